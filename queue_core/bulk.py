"""Verbs that work through everything that matches, in the background: what an app registers, by name.

An app says how its rows are found (a Target, with the language of its own searches) and what is done to a slice of them
(a function under `bulk_verb`); services.start_bulk, the API, the admin and the commands then offer it.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model, QuerySet

from queue_core.errors import QueueError, shown


class UnknownVerb(QueueError):
    field = "verb"

    def __init__(self, name: Any, known: Sequence[str]) -> None:
        super().__init__(f"There is no bulk verb {shown(name)}; there are {', '.join(known)}.")


@dataclass(frozen=True, slots=True)
class Slice:
    """What became of some rows: how many were changed, and why not the others, by id."""

    changed: int
    refusals: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """Rows with a number as primary key. `where` gives those a text means at a time; it raises QueueError."""

    model: type[Model]
    where: Callable[[str, datetime.datetime], QuerySet[Any]]

    @property
    def label(self) -> str:
        return self.model._meta.label_lower

    @property
    def noun(self) -> str:
        return str(self.model._meta.verbose_name)


# ids, params, the id of the user who asked -> what became of them; in the caller's transaction.
Work = Callable[[Sequence[int], Mapping[str, Any], int | None], Slice]


@dataclass(frozen=True, slots=True)
class BulkVerb:
    """`done` is the verb in the past tense; `check` makes the parameters, or raises QueueError."""

    name: str
    target: Target
    permission: str
    done: str
    work: Work
    check: Callable[[Mapping[str, Any]], dict[str, Any]]


_verbs: dict[tuple[str, str], BulkVerb] = {}


def no_params(given: Mapping[str, Any]) -> dict[str, Any]:
    if given:
        raise BadParams(f"this verb takes none, not {min(given)}")
    return {}


class BadParams(QueueError):
    field = "params"


def bulk_verb(
    name: str,
    target: Target,
    *,
    permission: str,
    done: str,
    check: Callable[[Mapping[str, Any]], dict[str, Any]] = no_params,
) -> Callable[[Work], Work]:
    """Register a function as what a verb does to a slice of rows."""

    def register(work: Work) -> Work:
        _verbs[target.label, name] = BulkVerb(name, target, permission, done, work, check)
        return work

    return register


def verbs(target: str) -> list[BulkVerb]:
    """Those of a model (`app.model`), in the order of their registration."""
    return [verb for (label, _), verb in _verbs.items() if label == target]


def every() -> list[BulkVerb]:
    """Those of all models."""
    return list(_verbs.values())


def get(target: str, name: str) -> BulkVerb:
    """Raises UnknownVerb."""
    try:
        return _verbs[target, name]
    except (KeyError, TypeError):  # a TypeError where somebody gave a list
        raise UnknownVerb(name, [verb.name for verb in verbs(target)]) from None
