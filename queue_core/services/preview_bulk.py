"""What a bulk operation would work on: checked, counted and sampled, with nothing changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet

from queue_core import bulk
from queue_core.errors import QueueError
from queue_core.services import audit
from queue_core.services.clock import database_time
from queue_core.services.ids import is_id
from queue_core.texts import grouped, ids_shown
from queue_core.time_limit import TooSlow, time_limit

IDS_MAX = 10_000
_COUNT_MAX = 100_000
_SAMPLE = 10
_COUNT_SECONDS, _SAMPLE_SECONDS = 3.0, 1.0


class BadSelection(QueueError):
    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Selection:
    """Either a search or ids, checked, with the verb and its parameters."""

    verb: bulk.BulkVerb
    query: str
    ids: list[int] | None
    params: dict[str, Any]

    @property
    def scope(self) -> str:
        noun = self.verb.target.noun
        return f"all {noun}s that match {self.query}" if self.ids is None else f"{noun}s by {ids_shown(self.ids)}"


@dataclass(frozen=True, slots=True)
class Preview:
    """`count` is exact, or else “at least”. `sample` holds the newest few rows."""

    selection: Selection
    count: int
    is_exact: bool
    sample: list[Any]

    @property
    def shown_count(self) -> str:
        count = grouped(self.count)
        return count if self.is_exact else f"at least {count}"


def preview_bulk(
    verb: str,
    *,
    target: str = "queue_core.task",
    query: str = "",
    ids: Sequence[int] | None = None,
    params: Mapping[str, Any] | None = None,
    asked_by: audit.Actor | None = None,
) -> Preview:
    """Check a bulk operation, count what it would work on (up to 100 000) and show some of it.

    Raises UnknownVerb, BadSelection, SearchError or another QueueError; PermissionDenied for a person who may
    not.
    """
    chosen = _select(bulk.get(target, verb), query, ids, params or {})
    demand(chosen.verb, asked_by)
    rows = _rows(chosen)
    sample = _sample(rows)
    try:
        with time_limit(_COUNT_SECONDS):
            count = rows.values("pk")[: _COUNT_MAX + 1].count()
    except TooSlow:
        return Preview(chosen, len(sample), False, sample)
    return Preview(chosen, min(count, _COUNT_MAX), count <= _COUNT_MAX, sample)


def demand(verb: bulk.BulkVerb, by: audit.Actor | None) -> None:
    """PermissionDenied unless this person may; a command, and the system itself, may."""
    if by and by.user and not by.user.has_perm(verb.permission):  # type: ignore[union-attr]  # of PermissionsMixin
        raise PermissionDenied(f"To {verb.name} takes the permission {verb.permission}.")


def _select(verb: bulk.BulkVerb, query: str, ids: Sequence[int] | None, params: Mapping[str, Any]) -> Selection:
    if not isinstance(query, str):
        raise BadSelection("q", "Must be the text of a search.")
    if ids is None:
        if not query.strip():
            raise BadSelection("q", "Say what to work on, such as state:failed; id:>0 is all there is.")
        verb.target.where(query, database_time())
    elif query:
        raise BadSelection("q", "Give a search or ids, not both.")
    elif not isinstance(ids, list | tuple) or not 0 < len(ids) <= IDS_MAX or not all(map(is_id, ids)):
        raise BadSelection("ids", f"Give 1 to {IDS_MAX} ids, each a whole number from 1 on.")
    return Selection(verb, query.strip(), None if ids is None else sorted(set(ids)), verb.check(params))


def _rows(chosen: Selection) -> QuerySet[Any]:
    if chosen.ids is None:
        return chosen.verb.target.where(chosen.query, database_time())
    return chosen.verb.target.model._default_manager.filter(pk__in=chosen.ids)


def _sample(rows: QuerySet[Any]) -> list[Any]:
    try:
        with time_limit(_SAMPLE_SECONDS):
            return list(rows.order_by("-pk")[:_SAMPLE])
    except TooSlow:
        return []
