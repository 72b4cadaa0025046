"""The benchmark's task as Posthaste runs it; found by its name, like any task of an app."""

from queue_core.registry import task
from tests.benchmarks import marks


@task(name="tests.benchmarks.mark")
def mark(*, number: int, sent: float, seconds: float) -> None:
    marks.mark(number, sent, seconds)
