"""What is known after a run: rows of the tables, and the journal. Times are seconds since 1970, of one host."""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(slots=True)
class Run:
    """One run of a task's function, as the journal has it. Without `end` its process was killed in it."""

    task: int
    attempt: int
    lease: str
    pid: int
    started: float
    finished: float | None = None
    end: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    id: int
    name: str = "t"
    queue: str = "default"
    state: str = "succeeded"
    attempt: int = 1
    max_attempts: int = 5
    crashes: int = 0
    max_crashes: int = 100
    lease: str | None = None
    unique_key: str | None = None
    created: float = 0.0
    finished: float | None = 0.0
    expires: float | None = None
    lane: str = ""
    # Of which workflow it is a step.
    workflow: int | None = None


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    id: int
    state: str
    total: int
    done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    task: int
    attempt: int = 1
    outcome: str = "succeeded"
    error: str = ""
    pid: int | None = None
    started: float = 0.0
    finished: float = 0.0


@dataclass(frozen=True, slots=True)
class Letter:
    task: int
    fingerprint: str
    resolution: str


@dataclass(frozen=True, slots=True)
class Group:
    fingerprint: str
    open: int
    total: int


@dataclass(frozen=True, slots=True)
class Fire:
    at: float
    outcome: str
    task: int | None


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """`due` are the times at which it should have fired, computed apart from the engine's own record."""

    name: str
    due: tuple[float, ...]
    fires: tuple[Fire, ...]


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker process that was killed, and when."""

    pid: int
    at: float


@dataclass(kw_only=True)
class History:
    """`accepted`: ids that a submission answered. `retried`: those a person put back in line.

    `limits`: how many tasks of a queue, or lane, may run at once. `frozen`: pids that were stopped for longer than
    their lease.
    """

    tasks: list[TaskRow] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    # task -> what it returned
    results: dict[int, dict[str, object]] = field(default_factory=dict)
    letters: list[Letter] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    workflows: list[WorkflowRow] = field(default_factory=list)
    # (task, the one it waits for to succeed)
    edges: list[tuple[int, int]] = field(default_factory=list)
    schedules: list[ScheduleRow] = field(default_factory=list)
    accepted: set[int] = field(default_factory=set)
    retried: set[int] = field(default_factory=set)
    limits: dict[str, int] = field(default_factory=dict)
    frozen: set[int] = field(default_factory=set)
    kills: list[Kill] = field(default_factory=list)
    online_workers: int = 0

    @cached_property
    def attempts(self) -> dict[int, list[Execution]]:
        """The executions of each task, in the order of their numbers."""
        found: dict[int, list[Execution]] = defaultdict(list)
        for execution in sorted(self.executions, key=lambda one: (one.task, one.attempt)):
            found[execution.task].append(execution)
        return found

    @cached_property
    def outcomes(self) -> dict[tuple[int, int], str]:
        """(task, attempt) -> outcome."""
        return {(one.task, one.attempt): one.outcome for one in self.executions}

    @cached_property
    def runs_of(self) -> dict[int, list[Run]]:
        """The runs of each task, in the order in which they began."""
        found: dict[int, list[Run]] = defaultdict(list)
        for run in sorted(self.runs, key=lambda one: one.started):
            found[run.task].append(run)
        return found

    def was_lost(self, run: Run) -> bool:
        """Whether the lease under which it ran was lost: from then on, others may run the task."""
        return self.outcomes.get((run.task, run.attempt)) == "lost"
