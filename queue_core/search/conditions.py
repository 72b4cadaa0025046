"""What a term says about tasks, as a condition on their table. `indexed`: the database finds such rows by an index."""

import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from queue_core.fingerprints import FINGERPRINT
from queue_core.models import Task, Worker
from queue_core.querysets import SHOWN_STATES
from queue_core.search.language import Query, SearchError, Term, Value
from queue_core.states import DeathReason, TaskState

# “waiting” is whatever will be run some day: queued, scheduled or retrying.
_STATES = {**SHOWN_STATES, "waiting": Q(state=TaskState.QUEUED)}
_LOOKUPS = {"": "exact", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
# States few tasks are in, each with an index of its own (see models/task.py).
_INDEXED_STATES = {"blocked", "running", "scheduled", "retrying", "failed", "cancelled", "expired"}
_SPAN = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(s|m|h|d|w)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)
_SCALAR = re.compile(r"-?(0|[1-9]\d{0,30})(\.\d{1,30})?|true|false|null", re.ASCII)
_MIN_ERROR_CHARS = 3


@dataclass(frozen=True, slots=True)
class Condition:
    q: Q
    indexed: bool = False


Maker = Callable[[Term, Value, datetime.datetime], Condition]


def condition(query: Query, *, now: datetime.datetime) -> Condition:
    """All terms together; `now` is what ages are counted back from. Raises SearchError."""
    return _all(query.terms, now, _FIELDS)


def letters(query: Query, *, now: datetime.datetime) -> Q:
    """The same of dead letters: their own fields, and whatever a search can say about their tasks."""
    own = [term for term in query.terms if term.field in _LETTER_FIELDS]
    others = [term for term in query.terms if term.field not in _LETTER_FIELDS]
    q = _all(own, now, _LETTER_FIELDS).q
    if others:
        q &= Q(task_id__in=Task.objects.filter(_all(others, now, _FIELDS).q).values("pk"))
    return q


def groups(query: Query, *, now: datetime.datetime) -> Q:
    """The same of groups of dead letters, by what the group itself knows."""
    return _all(query.terms, now, _GROUP_FIELDS).q


def _all(terms: Sequence[Term], now: datetime.datetime, fields: Mapping[str, "_Field"]) -> Condition:
    q, indexed = Q(), False
    for term in terms:
        one = _of_term(term, now, fields)
        q &= ~one.q if term.is_negated else one.q
        indexed |= one.indexed and not term.is_negated
    return Condition(q, indexed)


def _of_term(term: Term, now: datetime.datetime, fields: Mapping[str, "_Field"]) -> Condition:
    name, _, path = term.field.partition(".")
    if path and name != "payload":
        raise SearchError(f"Only payload has parts, as in payload.customer.id:7; {name} has none", term.position)
    kind = fields.get(name)
    if kind is None:
        known = ", ".join(sorted(field for field in fields if field))
        raise SearchError(
            f"There is no field {name!r}; there are {known}. To look for that text, put it in quotes", term.position
        )
    if term.operator and not kind.compares:
        raise SearchError(f"{name} cannot be compared by {term.operator}; write {name}:value", term.position)
    if any(value.is_prefix for value in term.values) and not kind.begins:
        raise SearchError(f"{name} has no beginnings to look for by *; give it whole", term.position)
    found = [kind.make(term, value, now) for value in term.values]
    return Condition(reduce(or_, (one.q for one in found)), all(one.indexed for one in found))


def _state(term: Term, value: Value, now: datetime.datetime) -> Condition:
    state = value.text.lower()
    if state not in _STATES:
        raise SearchError(f"There is no state {value.text!r}; there are {', '.join(_STATES)}", term.position)
    return Condition(_STATES[state], state in _INDEXED_STATES)


def _text(column: str) -> Maker:
    def make(term: Term, value: Value, now: datetime.datetime) -> Condition:
        return Condition(Q(**{f"{column}__{'startswith' if value.is_prefix else 'exact'}": value.text}))

    return make


def _key(term: Term, value: Value, now: datetime.datetime) -> Condition:
    lookup = "startswith" if value.is_prefix else "exact"
    return Condition(Q(**{f"unique_key__{lookup}": value.text}), not value.is_prefix)


def _tag(term: Term, value: Value, now: datetime.datetime) -> Condition:
    # That it has tags at all is what the index is about.
    return Condition(~Q(tags=[]) & Q(tags__contains=[value.text]), indexed=True)


def _error(term: Term, value: Value, now: datetime.datetime) -> Condition:
    lookup = "istartswith" if value.is_prefix else "icontains"
    return Condition(~Q(error="") & Q(**{f"error__{lookup}": value.text}), len(value.text) >= _MIN_ERROR_CHARS)


def _number(column: str, *, indexed: bool = False) -> Maker:
    def make(term: Term, value: Value, now: datetime.datetime) -> Condition:
        if not _NUMBER.fullmatch(value.text):
            raise SearchError(f"{term.field} is a whole number, which {value.text!r} is not", term.position)
        return Condition(Q(**{f"{column}__{_LOOKUPS[term.operator]}": int(value.text)}), indexed and not term.operator)

    return make


def _yes_no(column: str) -> Maker:
    def make(term: Term, value: Value, now: datetime.datetime) -> Condition:
        if value.text not in ("yes", "no"):
            raise SearchError(f"{term.field} is yes or no, not {value.text!r}", term.position)
        return Condition(Q(**{column: value.text == "yes"}))

    return make


def _time(column: str) -> Maker:
    def make(term: Term, value: Value, now: datetime.datetime) -> Condition:
        time, is_day = _moment(term, value)
        if not term.operator and not is_day:
            raise SearchError(f"Compare a time, as in {term.field}:>={value.text}; or give a day", term.position)
        if not term.operator:
            return Condition(Q(**{f"{column}__gte": time, f"{column}__lt": _later(term, time)}))
        # “After the 3rd” begins with the 4th.
        if is_day and term.operator in (">", "<="):
            time = _later(term, time)
            return Condition(Q(**{f"{column}__{'gte' if term.operator == '>' else 'lt'}": time}))
        return Condition(Q(**{f"{column}__{_LOOKUPS[term.operator]}": time}))

    return make


def _moment(term: Term, value: Value) -> tuple[datetime.datetime, bool]:
    """(aware time, whether it is a whole day). In the time zone of the server where none is given."""
    try:
        is_day = len(value.text) == 10
        time = parse_datetime(f"{value.text}T00:00" if is_day else value.text)
        if time is not None:
            return (time if time.tzinfo else timezone.make_aware(time)).astimezone(datetime.UTC), is_day
    except (ValueError, OverflowError):
        pass
    raise SearchError(f"{value.text!r} is no time; write 2026-01-31, or 2026-01-31T18:00:00Z", term.position) from None


def _later(term: Term, time: datetime.datetime) -> datetime.datetime:
    try:
        return time + datetime.timedelta(days=1)
    except OverflowError:
        raise SearchError("That day is too late", term.position) from None


def _age(term: Term, value: Value, now: datetime.datetime) -> Condition:
    match = _SPAN.fullmatch(value.text)
    if not match or not term.operator:
        raise SearchError("Write an age as age:>2h or age:<=30m (s, m, h, d or w)", term.position)
    try:
        born = now - datetime.timedelta(seconds=float(match[1]) * _SECONDS[match[2]])
    except OverflowError:
        raise SearchError("Nothing is that old; write a shorter age", term.position) from None
    turned = {">": "lt", ">=": "lte", "<": "gt", "<=": "gte"}
    return Condition(Q(**{f"created_at__{turned[term.operator]}": born}))


def _worker(term: Term, value: Value, now: datetime.datetime) -> Condition:
    """By its name or its number."""
    lookup = "startswith" if value.is_prefix else "exact"
    workers = Worker.objects.filter(**{f"name__{lookup}": value.text}, pk=OuterRef("worker_id"))
    q = Q(Exists(workers))
    return Condition(q | Q(worker_id=int(value.text)) if _NUMBER.fullmatch(value.text) else q)


def _reason(term: Term, value: Value, now: datetime.datetime) -> Condition:
    if value.text not in DeathReason.values:
        raise SearchError(f"There is no reason {value.text!r}; there are {', '.join(DeathReason)}", term.position)
    return Condition(Q(reason=value.text))


def _group(term: Term, value: Value, now: datetime.datetime) -> Condition:
    if not FINGERPRINT.fullmatch(value.text):
        raise SearchError("A group is named by its fingerprint of 32 hexadecimal digits", term.position)
    return Condition(Q(fingerprint=value.text), indexed=True)


def _group_word(term: Term, value: Value, now: datetime.datetime) -> Condition:
    """A word for itself: how a name begins, or part of an error."""
    q = Q(name__startswith=value.text)
    return Condition(q if value.is_prefix else q | Q(error__icontains=value.text))


def _payload(term: Term, value: Value, now: datetime.datetime) -> Condition:
    """`payload.a.b:7` holds 7 or "7" there."""
    path = term.field.split(".")[1:]
    if not path or not all(path):
        raise SearchError("Say which part of the payload, as in payload.customer.id:7", term.position)
    wanted: list[Any] = [value.text]
    if not value.is_quoted and _SCALAR.fullmatch(value.text):
        wanted.append(json.loads(value.text))
    q = Q()
    for leaf in wanted:
        for key in reversed(path):
            leaf = {key: leaf}
        q |= Q(payload__contains=leaf)
    return Condition(q)


def _word(term: Term, value: Value, now: datetime.datetime) -> Condition:
    """A word for itself: how a name begins, a key, part of an error; a number also an id."""
    if value.is_prefix:
        return Condition(Q(name__startswith=value.text))
    q = Q(name__startswith=value.text) | Q(unique_key=value.text)
    if not value.is_quoted and _NUMBER.fullmatch(value.text):
        return Condition(Q(pk=int(value.text)) | Q(unique_key=value.text), indexed=True)
    return Condition(q | (~Q(error="") & Q(error__icontains=value.text)))


@dataclass(frozen=True, slots=True)
class _Field:
    make: Maker
    compares: bool = False
    begins: bool = False


_FIELDS = {
    "": _Field(_word, begins=True),
    "age": _Field(_age, compares=True),
    "attempt": _Field(_number("attempt"), compares=True),
    "created": _Field(_time("created_at"), compares=True),
    "due": _Field(_time("run_at"), compares=True),
    "error": _Field(_error, begins=True),
    "finished": _Field(_time("finished_at"), compares=True),
    "id": _Field(_number("id", indexed=True), compares=True),
    "key": _Field(_key, begins=True),
    "name": _Field(_text("name"), begins=True),
    "payload": _Field(_payload),
    "pinned": _Field(_yes_no("pinned")),
    "priority": _Field(_number("priority"), compares=True),
    "queue": _Field(_text("queue"), begins=True),
    "replay_of": _Field(_number("replay_of")),
    "started": _Field(_time("started_at"), compares=True),
    "state": _Field(_state),
    "tag": _Field(_tag),
    "worker": _Field(_worker, begins=True),
    "workflow": _Field(_number("workflow_id", indexed=True)),
}
# What a dead letter itself knows; the name and the queue also when its task has been forgotten.
_LETTER_FIELDS = {
    "failed": _Field(_time("failed_at"), compares=True),
    "group": _Field(_group),
    "id": _Field(_number("task_id"), compares=True),
    "letter": _Field(_number("id"), compares=True),
    "name": _FIELDS["name"],
    "queue": _FIELDS["queue"],
    "reason": _Field(_reason),
}
_GROUP_FIELDS = {
    "": _Field(_group_word, begins=True),
    "error": _FIELDS["error"],
    "first": _Field(_time("first_seen"), compares=True),
    "group": _LETTER_FIELDS["group"],
    "last": _Field(_time("last_seen"), compares=True),
    "name": _FIELDS["name"],
    "open": _Field(_number("open"), compares=True),
    "total": _Field(_number("total"), compares=True),
}
