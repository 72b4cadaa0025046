"""Filters of the task list. Their choices are known without asking the table."""

import datetime
from collections.abc import Callable, Collection, Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import RangeDateFilter

from queue_core import conf, registry, search
from queue_core.querysets import SHOWN_STATES
from queue_core.search import Term, Value
from queue_core.services.clock import database_time

TAB_STATES = ("queued", "scheduled", "running", "retrying", "failed", "succeeded", "cancelled")


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state.capitalize()) for state in SHOWN_STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = SHOWN_STATES.get(self.value() or "")
        return queryset if wanted is None else queryset.filter(wanted)


class QueueFilter(admin.SimpleListFilter):
    title = "queue"
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in conf.queues()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(queue=self.value()) if self.value() in conf.queues() else queryset


class NameFilter(admin.SimpleListFilter):
    title = "task"
    parameter_name = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in registry.names()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(name=self.value()) if self.value() in registry.names() else queryset


class DayRange(RangeDateFilter):  # type: ignore[misc]
    """From one day to another, both included, in the current time zone. A text that is no date is left out."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        field = self.parameter_name
        first = _midnight(self.used_parameters.get(f"{field}_from"))
        end = _midnight(self.used_parameters.get(f"{field}_to"), days_later=1)
        if first:
            queryset = queryset.filter(**{f"{field}__gte": first})
        return queryset.filter(**{f"{field}__lt": end}) if end else queryset


def _midnight(text: str | None, days_later: int = 0) -> datetime.datetime | None:
    try:
        day = datetime.date.fromisoformat(text or "") + datetime.timedelta(days=days_later)
        return timezone.make_aware(datetime.datetime.combine(day, datetime.time()))
    except (ValueError, OverflowError):
        return None


def one_of(field: str, known: Callable[[], Collection[str]]) -> Callable[[str], Term | None]:
    """The term of a search that a filter with known choices stands for."""
    return lambda text: Term(field, (Value(text),)) if text in known() else None


def days(field: str) -> dict[str, Callable[[str], Term | None]]:
    """The same of both ends of a DayRange."""

    def bound(operator: str, days_later: int) -> Callable[[str], Term | None]:
        def term(text: str) -> Term | None:
            time = _midnight(text, days_later)
            return Term(field, (Value(time.isoformat()),), operator) if time else None

        return term

    return {"from": bound(">=", 0), "to": bound("<", 1)}


def searched(request: HttpRequest, rows: QuerySet[Any], text: str, meaning: Callable[..., Q]) -> QuerySet[Any]:
    """The rows that a search finds; none, and a message, where it cannot be understood."""
    try:
        return rows.filter(meaning(search.parse(text), now=database_time())) if text else rows
    except search.SearchError as exc:
        messages.error(request, f"{exc}.")
        return rows.none()


def tabs(model: str, path: str, chosen: str, states: Sequence[str], kept: str = "") -> list[dict[str, Any]]:
    """Unfold's tabs above a list: one per state, without counting.

    `model` is `app.name`, `chosen` the state shown now ("" for all), `kept` a query that every tab keeps.
    """
    items = [("", "All"), *((state, state.capitalize()) for state in states)]
    return [
        {
            "models": [model],
            "items": [
                {
                    "title": title,
                    "link": f"{path}?" + "&".join(part for part in (kept, state and f"state={state}") if part),
                    "active": state == chosen,
                    "has_permission": True,
                }
                for state, title in items
            ],
        }
    ]
