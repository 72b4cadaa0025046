"""How a verb works through the open letters of a group: by slices, each a transaction of its own."""

from collections.abc import Callable, Sequence

from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import Count, Max

from queue_core import registry
from queue_core.models import DeadLetter, DeadLetterGroup, Task
from queue_core.services import audit
from queue_core.services.outcome import BulkOutcome, plural

# A slice holds the row of its group, which every worker that fails in the same way needs too.
SLICE = 1_000


def lock_open(letter_ids: Sequence[int]) -> dict[int, int]:
    """{letter id: task id} of those that are open, locked: their tasks first, by id, as every verb locks them."""
    letters = DeadLetter.objects.filter(pk__in=letter_ids, resolution="").order_by("pk")
    tasks = Task.objects.select_for_update().filter(pk__in=list(letters.values_list("task_id", flat=True)))
    list(tasks.order_by("pk").values_list("pk"))
    return dict(letters.select_for_update().values_list("pk", "task_id"))


def why_left_letter(letter: DeadLetter) -> str:
    """Why a verb left this letter alone, in words that follow its name: "is open, but …"."""
    if letter.resolution:
        return f"was {letter.resolution} already"
    task = Task.objects.filter(pk=letter.task_id).first()
    if task is not None and task.name in registry.internal():
        return "is open, but its task was made by Posthaste itself: retry that one"
    if task is not None:
        return "is open, but another live task has the unique key of its task"
    return "is open, but its task is gone: discard it"


def resolve_open(
    group: DeadLetterGroup,
    resolve: Callable[[Sequence[tuple[int, int]]], int],
    done: str,
    *,
    by: audit.Actor | None,
) -> BulkOutcome:
    """Let `resolve` close the letters of a group that are open now, slice by slice; those of later failures stay.

    `resolve` gets (letter id, task id) of locked open letters and answers how many it closed; `done` is what it does,
    in the past tense. The one audit entry grows with each slice: it is true also when the process is killed on the
    way.
    """
    letters = DeadLetter.objects.filter(fingerprint=group.fingerprint, resolution="").order_by("pk")
    now = letters.order_by().aggregate(open=Count("pk"), last=Max("pk"))
    changed, after, entry = 0, 0, None
    while True:
        with transaction.atomic():
            due = list(letters.filter(pk__gt=after, pk__lte=now["last"] or 0).values_list("pk", flat=True)[:SLICE])
            if not due:
                break
            after = due[-1]
            rows = list(lock_open(due).items())
            changed += resolve(rows) if rows else 0
            entry = _written(entry, group, f"{done} {plural(changed, 'dead letter')}.", by) if changed else None
    return BulkOutcome(changed, now["open"] - changed, "resolved meanwhile, or without a task that could run")


def _written(entry: LogEntry | None, group: DeadLetterGroup, message: str, by: audit.Actor | None) -> LogEntry | None:
    if entry is None or by is None:
        name = f"{group.name}: {group.error}"
        return audit.record(DeadLetterGroup, [group.fingerprint], message, by=by, name=name)
    audit.amend(entry, message, by=by)
    return entry
