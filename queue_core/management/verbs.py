"""What the commands that call a verb share: ids from the command line, and how it ended."""

import datetime
import json
import math
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError, OutputWrapper
from django.utils import timezone

from queue_core.services import Actor

ACTOR = Actor(None, "command")
# The exit code when some, or all, were left alone. 1 is an error, 2 a wrong command line.
LEFT_ALONE = 3
_DAY = 86_400
EXIT_CODES = f"Exit code: 0 when all of them moved, {LEFT_ALONE} when some were left alone, 1 for an error."


def add_json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for scripts: one object on standard output")


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
