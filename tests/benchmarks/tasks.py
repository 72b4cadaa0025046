"""The benchmark's tasks as Posthaste runs them; found by their names, like any task of an app."""

from queue_core.registry import task
from tests.benchmarks import marks


@task(name="tests.benchmarks.mark")
def mark(*, number: int, sent: float, seconds: float) -> None:
    marks.mark(number, sent, seconds)


@task(name="tests.benchmarks.mark_async")
async def mark_async(*, number: int, sent: float, seconds: float) -> None:
    await marks.mark_async(number, sent, seconds)
