"""`--query` of the verbs: everything that matches, worked through in the foreground after a question."""

import json
import signal
import sys
import threading
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from queue_core import bulk, services
from queue_core.errors import QueueError
from queue_core.management.verbs import ACTOR, LEFT_ALONE, WRONG_LINE, tell
from queue_core.models import BulkOperation, DeadLetter
from queue_core.services.run_bulk import said
from queue_core.states import BulkState

_TURN_SECONDS = 0.2
_BAR = 30
_REASONS = 5


def add_query(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--query", metavar="SEARCH", help="everything that matches, such as 'state:failed name:campaigns.* age:>1h'"
    )
    parser.add_argument("--dry-run", action="store_true", help="say how many and which, change none")
    parser.add_argument("--yes", action="store_true", help="do not ask; needed where nobody can answer")


def only_one(**given: Any) -> None:
    """CommandError unless exactly one of these was given."""
    if sum(value not in (None, []) for value in given.values()) != 1:
        raise CommandError(f"Give one of these and no other: {', '.join(given)}.", returncode=WRONG_LINE)


def only_with_query(options: dict[str, Any], *names: str) -> None:
    for name in names:
        if options[name]:
            raise CommandError(f"--{name.replace('_', '-')} goes with --query only.", returncode=WRONG_LINE)


def work(command: BaseCommand, verb: str, options: dict[str, Any], **selection: Any) -> None:
    """Count, ask, work through it and say how it ended; CommandError carries the exit code.

    `options` are the command's own, `selection` is that of `preview_bulk`.
    """
    try:
        seen = services.preview_bulk(verb, **selection)
        if options["dry_run"]:
            return tell_preview(command, seen, options["json"])
        if seen.count or not seen.is_exact:
            ask(command, verb.replace("_", " "), seen, options["yes"])
        operation = _run(command, services.start_bulk(verb, by=ACTOR, in_background=False, **selection))
    except QueueError as exc:
        raise CommandError(str(exc)) from None
    return _tell(command, operation, options["json"])


def tell_preview(command: BaseCommand, seen: services.Preview, as_json: bool) -> None:
    sample = [row.pk for row in seen.sample]
    numbers = {"dry_run": True, "matched": seen.count, "is_exact": seen.is_exact, "sample": sample}
    command.stdout.write(json.dumps(numbers) if as_json else _described(seen))


def _described(seen: services.Preview) -> str:
    lines = [f"  {_row(row)}" for row in seen.sample]
    return "\n".join([f"Matches: {seen.shown_count}" + (", of which the newest:" if lines else "."), *lines])


def _row(row: Any) -> str:
    """A task or a dead letter."""
    if isinstance(row, DeadLetter):
        return f"{row.pk}: {row} ({row.resolution or 'open'}, in {row.queue})"
    return f"{row} ({row.shown_state}, in {row.queue})"


def ask(command: BaseCommand, verb: str, seen: services.Preview, yes: bool) -> None:
    """What is shown and asked goes to the error stream, so that --json stays one object."""
    if yes:
        return
    if not sys.stdin.isatty():
        reason = f"{seen.shown_count} match; add --yes to {verb} them without a question, or --dry-run to see them."
        raise CommandError(reason, returncode=WRONG_LINE)
    command.stderr.write(_described(seen), command.style.NOTICE)
    command.stderr.write(f"{verb.capitalize()} them? Type yes: ", command.style.NOTICE, ending="")
    command.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was changed.", returncode=LEFT_ALONE)


def _run(command: BaseCommand, operation: BulkOperation) -> BulkOperation:
    """Slice by slice; a signal ends it after the slice it is at."""
    with _signals() as heard:
        while not operation.is_over:
            if heard.is_set():
                with suppress(services.BulkOver):
                    services.stop_bulk(operation.pk, by=ACTOR)
            operation = services.run_bulk(operation.pk, seconds=_TURN_SECONDS)
            _show(command, operation)
    return operation


@contextmanager
def _signals() -> Iterator[threading.Event]:
    heard = threading.Event()
    old = {one: signal.signal(one, lambda *_: heard.set()) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield heard
    finally:
        for one, handler in old.items():
            signal.signal(one, handler)


def _show(command: BaseCommand, operation: BulkOperation) -> None:
    if command.stderr.isatty():
        full = "#" * round(operation.progress * _BAR)
        end = "\n" if operation.is_over else ""
        bar = f"\r[{full:<{_BAR}}] {operation.progress:4.0%}  {operation.seen} looked at, {operation.changed} changed"
        command.stderr.write(bar, command.style.NOTICE, ending=end)
        command.stderr.flush()


def _tell(command: BaseCommand, operation: BulkOperation, as_json: bool) -> None:
    left = operation.skipped + operation.failed
    numbers = {
        "operation": operation.pk,
        "state": operation.state,
        "changed": operation.changed,
        "skipped": left,
        "dry_run": False,
    }
    sentence = said(operation, bulk.get(operation.target, operation.verb))
    reasons = Counter(reason for _, reason in operation.refusals).most_common(_REASONS)
    sentence += "".join(f"\n  {count} {reason}" for reason, count in reasons)
    complete = operation.state == BulkState.DONE and not left
    tell(command.stdout, f"{sentence} {operation.error}".strip(), numbers, as_json=as_json, complete=complete)
