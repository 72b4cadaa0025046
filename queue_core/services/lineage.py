"""lineage: the task that one repeats, those that repeat it, and what became of its failures."""

from dataclasses import dataclass

from queue_core.models import DeadLetter, Task

REPLAYS_MAX = 100


@dataclass(frozen=True, slots=True)
class Lineage:
    """Ids of its replays, in order, the first REPLAYS_MAX; its dead letters, the latest first."""

    replays: list[int]
    letters: list[DeadLetter]


def lineage(task: Task) -> Lineage:
    """Two queries, each by an index: they are sorted here, so that no index of the ids is walked for them instead."""
    again = Task.objects.filter(replay_of=task.pk).order_by().values_list("pk", flat=True)
    letters = DeadLetter.objects.filter(task=task.pk).order_by()
    return Lineage(sorted(again[:REPLAYS_MAX]), sorted(letters, key=lambda letter: -letter.pk))
