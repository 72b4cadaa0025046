"""The checker finds every kind of violation, in histories that are made up; and finds none in a sound one."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos import journal
from tests.chaos.checker import CHECKS, figures, violations
from tests.chaos.history import Execution, Fire, Group, History, Kill, Letter, Run, ScheduleRow, TaskRow, WorkflowRow


def run(task: int = 1, attempt: int = 1, lease: str = "a", *, at: float = 1.0, end: str = "ok", **more: Any) -> Run:
    return Run(task, attempt, lease, more.pop("pid", 9), at, at + 0.5 if end else None, end)


def sound() -> History:
    """Task 1 was lost and repeated while its stopped process went on, 2 failed, 3 expired, 4 snoozed, 5 and 6 share
    a key one after the other."""
    return History(
        tasks=[
            TaskRow(id=1, attempt=2, crashes=1, queue="low", finished=30.5),
            TaskRow(id=2, state="failed", max_attempts=1, finished=2.0),
            TaskRow(id=3, state="expired", attempt=0, expires=5.0, finished=5.1),
            TaskRow(id=4, finished=3.0),
            TaskRow(id=5, unique_key="k", created=0.0, finished=10.0, workflow=1),
            TaskRow(id=6, unique_key="k", created=11.0, finished=20.0, expires=30.0, workflow=1),
        ],
        executions=[
            Execution(task=1, attempt=1, outcome="lost", pid=9, started=1.0, finished=21.0),
            Execution(task=1, attempt=2, started=30.0, finished=30.5),
            Execution(task=2, outcome="failed", error="ValueError: no", started=1.0, finished=1.5),
            *(Execution(task=pk, started=pk, finished=pk + 0.5) for pk in (4, 5, 6)),
        ],
        runs=[
            Run(1, 1, "a", 9, 1.0, 40.0, "ok"),
            run(1, 2, "b", at=30.0),
            run(2, end="ValueError"),
            run(4, lease="c", end="Snooze"),
            run(4, lease="d", at=2.0),
            run(5),
            run(6, at=12.0),
        ],
        results={
            1: {"attempt": 2, "lease": "b"},
            4: {"attempt": 1, "lease": "d"},
            5: {"attempt": 1, "lease": "a"},
            6: {"attempt": 1, "lease": "a"},
        },
        letters=[Letter(2, "f", "")],
        groups=[Group("f", 1, 1)],
        workflows=[WorkflowRow(1, "succeeded", 2, 2)],
        edges=[(6, 5)],
        schedules=[ScheduleRow("tick", (1.0, 2.0), (Fire(1.0, "submitted", 5), Fire(2.0, "submitted", 6)))],
        accepted={1, 2, 3, 4, 5, 6},
        limits={"low": 1},
        kills=[Kill(9, 2.0)],
    )


def changed(task: int, **values: Any) -> Callable[[History], None]:
    """Another row of that task."""

    def change(history: History) -> None:
        (row,) = [one for one in history.tasks if one.id == task]
        fields = {name: getattr(row, name) for name in TaskRow.__slots__} | values
        history.tasks[history.tasks.index(row)] = TaskRow(**fields)

    return change


def plus(name: str, *rows: Any) -> Callable[[History], None]:
    return lambda history: getattr(history, name).extend(rows)


def without(name: str, index: int) -> Callable[[History], None]:
    return lambda history: getattr(history, name).pop(index)


def put(name: str, index: int, row: Any) -> Callable[[History], None]:
    return lambda history: getattr(history, name).__setitem__(index, row)


# check -> histories that break it
BROKEN: dict[str, list[Callable[[History], None]]] = {
    "every_accepted_task_is_final": [
        without("tasks", 2),
        changed(4, state="running"),
        changed(4, state="queued"),
    ],
    "nothing_is_held": [
        changed(4, lease="d"),
        changed(4, finished=None),
        lambda history: setattr(history, "online_workers", 1),
    ],
    "attempts_have_no_gaps": [
        without("executions", 0),
        without("executions", 1),
        changed(4, attempt=2),
        plus("executions", Execution(task=4)),
        plus("executions", Execution(task=99)),
    ],
    "a_state_fits_its_attempts": [
        changed(4, state="cancelled"),
        changed(2, state="succeeded"),
        changed(3, state="failed"),
        put("executions", 0, Execution(task=1, attempt=1)),
        plus("executions", Execution(task=4, attempt=2, outcome="failed")),
        changed(1, crashes=0),
        changed(2, max_attempts=0),
        changed(1, max_crashes=0),
    ],
    "attempts_follow_one_another": [
        put("executions", 1, Execution(task=1, attempt=2, started=15.0, finished=16.0)),
    ],
    "no_two_attempts_are_live": [
        put("runs", 3, Run(4, 1, "c", 9, 1.0, 2.5, "Snooze")),
        plus("runs", Run(4, 2, "z", 9, 1.5)),
        put("executions", 0, Execution(task=1, attempt=1, outcome="failed", finished=21.0)),
    ],
    "an_attempt_runs_once": [put("runs", 3, run(4, lease="c")), plus("runs", run(5, lease="z", at=9.0))],
    "a_result_is_of_the_attempt_that_succeeded": [
        lambda history: history.results.update({1: {"attempt": 1, "lease": "a"}}),
        lambda history: history.results.update({1: {"attempt": 2, "lease": "z"}}),
        lambda history: history.results.pop(4),
        lambda history: history.results.update({2: {"attempt": 1, "lease": "a"}}),
    ],
    "executions_are_what_the_journal_says": [
        without("runs", 1),
        without("runs", 2),
        put("runs", 5, run(5, end="")),
        put("runs", 2, run(2, end="ok")),
        plus("runs", run(3)),
        plus("runs", run(6, attempt=2, lease="z")),
    ],
    "failures_have_their_letters": [
        without("letters", 0),
        plus("letters", Letter(2, "f", "")),
        plus("letters", Letter(4, "f", "")),
        put("letters", 0, Letter(2, "f", "retried")),
    ],
    "groups_count_their_letters": [
        without("groups", 0),
        put("groups", 0, Group("f", 0, 1)),
        put("groups", 0, Group("f", 1, 2)),
        plus("groups", Group("g", 1, 1)),
    ],
    "a_unique_key_is_live_once": [changed(6, created=5.0), changed(5, finished=None)],
    "nothing_runs_after_it_expired": [put("runs", 6, run(6, at=33.0))],
    "a_schedule_fires_each_time_once": [
        put("schedules", 0, ScheduleRow("tick", (1.0, 2.0), (Fire(1.0, "submitted", 5),))),
        put("schedules", 0, ScheduleRow("tick", (1.0,), (Fire(1.0, "submitted", 5), Fire(2.0, "submitted", 6)))),
        put("schedules", 0, ScheduleRow("tick", (1.0,), (Fire(1.0, "submitted", 5), Fire(1.0, "submitted", 6)))),
        put("schedules", 0, ScheduleRow("tick", (1.0, 2.0), (Fire(1.0, "submitted", 5), Fire(2.0, "submitted", 5)))),
        put("schedules", 0, ScheduleRow("tick", (1.0,), (Fire(1.0, "submitted", 77),))),
    ],
    "a_limit_holds": [
        lambda history: (changed(4, queue="low")(history), put("runs", 4, run(4, lease="d", at=30.1))(history)),
        lambda history: (
            history.limits.update({"of:1": 1}),
            changed(5, lane="of:1")(history),
            changed(4, lane="of:1")(history),
            put("runs", 4, run(4, lease="d", at=1.2))(history),
        ),
    ],
    "a_workflow_ends_as_its_steps_do": [
        put("workflows", 0, WorkflowRow(1, "running", 2, 2)),
        put("workflows", 0, WorkflowRow(1, "failed", 2, 2)),
        put("workflows", 0, WorkflowRow(1, "succeeded", 2, 1)),
        put("workflows", 0, WorkflowRow(1, "succeeded", 3, 3)),
        changed(6, state="cancelled"),
        changed(6, workflow=None),
    ],
    "a_step_waits_for_its_parents": [put("runs", 6, run(6, at=1.2)), put("runs", 5, run(5, end="ValueError"))],
}
CASES = [(name, breaks) for name, found in BROKEN.items() for breaks in found]


def test_a_sound_history_is_let_through() -> None:
    assert violations(sound()) == {}


@pytest.mark.parametrize(("check", "breaks"), CASES, ids=[f"{name}-{n}" for n, (name, _) in enumerate(CASES)])
def test_a_violation_is_found(check: str, breaks: Callable[[History], None]) -> None:
    history = sound()
    breaks(history)
    assert check in violations(history)


def test_every_check_has_a_history_that_breaks_it() -> None:
    assert BROKEN.keys() == {check.__name__ for check in CHECKS}


def test_a_process_that_was_stopped_is_excused_where_it_cannot_know() -> None:
    late = sound()
    put("runs", 6, run(6, at=33.0))(late)
    late.frozen.add(9)
    assert violations(late) == {}


def test_the_figures_count_what_was_repeated_and_how_long_it_took() -> None:
    counted = figures(sound())
    expected = {"tasks": 6, "succeeded": 4, "failed": 1, "lost_attempts": 1, "repeated_runs": 1, "back_in_line": 19.0}
    assert {name: counted[name] for name in expected} == expected


def test_the_journal_joins_the_two_lines_of_a_run_and_leaves_a_killed_one_open() -> None:
    mark = {"task": 1, "attempt": 1, "lease": "a", "pid": 9}
    lines = [{**mark, "started": 1.0}, {**mark, "pid": 8, "started": 1.5}, {**mark, "finished": 2.0, "end": "ok"}]
    assert journal.assemble(lines) == [Run(1, 1, "a", 9, 1.0, 2.0, "ok"), Run(1, 1, "a", 8, 1.5)]
