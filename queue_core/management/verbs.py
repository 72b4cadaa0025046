"""What the commands that call a verb share: ids from the command line, and how it ended."""

import datetime
import json
import math
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Sequence
from typing import Any

from django.core.management.base import CommandError, OutputWrapper
from django.db.models import Model
from django.utils import timezone

from queue_core.errors import QueueError
from queue_core.services import Actor

ACTOR = Actor(None, "command")
# The exit code when some, or all, were left alone. 1 is an error, 2 a wrong command line.
LEFT_ALONE = 3
WRONG_LINE = 2
_DAY = 86_400
_MOST = 1000
EXIT_CODES = f"Exit code: 0 when all of them moved, {LEFT_ALONE} when some were left alone, 1 for an error."


def add_ids(parser: ArgumentParser, what: str) -> None:
    parser.add_argument("ids", nargs="*", type=task_id, metavar="ID", help=f"of {what}")


def add_json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for scripts: one object on standard output")


def add_newest(parser: ArgumentParser) -> None:
    parser.add_argument("--newest", type=_few, default=20, metavar="N", help="list so many (default: 20)")


def _few(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 4 and 0 < int(text) <= _MOST:
        return int(text)
    raise ArgumentTypeError(f"{text[:40]!r} is not a number from 1 to {_MOST}")


def task_id(text: str) -> int:
    """For argparse. PostgreSQL's bigint ends there; a larger number is nobody's id."""
    if text.isascii() and text.isdigit() and len(text) <= 19 and 0 < int(text) < 2**63:
        return int(text)
    raise ArgumentTypeError(f"{text!r} is not an id: give a whole number from 1 on")


def seconds(text: str) -> float:
    """For argparse: a length of time, up to a day."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if 0 < value <= _DAY:
        return value
    raise ArgumentTypeError(f"{text[:40]!r} is no number of seconds above 0 and up to {_DAY} (a day)")


def moment(text: str) -> datetime.datetime:
    """For argparse: a point in time; without an offset it is one of the setting TIME_ZONE."""
    try:
        given = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text[:40]!r} is no time such as 2026-12-24T18:00 or 2026-12-24T18:00+01:00"
        ) from None
    return given if given.tzinfo else timezone.make_aware(given)


def tell(out: OutputWrapper, sentence: str, numbers: dict[str, Any], *, as_json: bool, complete: bool) -> None:
    """Say how a verb ended; raises CommandError, with the exit code that says so, when it was not complete."""
    if as_json:
        out.write(json.dumps(numbers))
    elif complete:
        out.write(sentence)
    if not complete:
        raise CommandError(sentence, returncode=LEFT_ALONE)


def ids_fit(verb: str, ids: Sequence[int], noun: str) -> None:
    """CommandError unless there are ids for a verb, and none for `list`."""
    if verb == "list" and ids:
        raise CommandError("`list` lists them all; leave out the ids.", returncode=WRONG_LINE)
    if verb != "list" and not ids:
        raise CommandError(f"Say which {noun}s to {verb}, by their ids.", returncode=WRONG_LINE)


def one_by_one(model: type[Model], ids: Sequence[int], act: Callable[[Any], Any]) -> tuple[int, list[str]]:
    """Call a verb that takes a single row for each of them: (how many moved, why each of the others did not)."""
    reasons = []
    for pk in ids:
        row = model._default_manager.filter(pk=pk).first()
        try:
            if row is None:
                raise QueueError(f"There is no {model._meta.verbose_name} {pk}.")
            act(row)
        except QueueError as exc:
            reasons.append(str(exc))
    return len(ids) - len(reasons), reasons
