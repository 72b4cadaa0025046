"""What must hold of a history, whatever was killed meanwhile. Each check answers its violations, one sentence each."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from tests.chaos.history import Execution, History, Run, TaskRow

FINAL = {"succeeded", "failed", "cancelled", "expired"}
# The times of rows are those at which transactions began, and a claimed task may lie in hand for a moment.
SLACK = 2.0
Check = Callable[[History], Iterator[str]]


def every_accepted_task_is_final(history: History) -> Iterator[str]:
    there = {task.id for task in history.tasks}
    for missing in sorted(history.accepted - there):
        yield f"task {missing} was accepted and is not there"
    for task in history.tasks:
        if task.state not in FINAL:
            yield f"task {task.id} ({task.name}) is {task.state}, not final"


def nothing_is_held(history: History) -> Iterator[str]:
    for task in history.tasks:
        if task.lease is not None:
            yield f"task {task.id} is {task.state} and still has a lease"
        if task.state in FINAL and task.finished is None:
            yield f"task {task.id} is {task.state} and has no time at which it finished"
    if history.online_workers:
        yield f"{history.online_workers} workers are online though all have ended"


def attempts_have_no_gaps(history: History) -> Iterator[str]:
    there = {task.id for task in history.tasks}
    for task in history.tasks:
        numbers = [one.attempt for one in history.attempts.get(task.id, [])]
        if numbers != list(range(1, task.attempt + 1)):
            yield f"task {task.id} had {task.attempt} attempts; the executions on record are {numbers}"
    for orphan in sorted(history.attempts.keys() - there):
        yield f"executions of task {orphan}, which is not there"


def a_state_fits_its_attempts(history: History) -> Iterator[str]:
    for task in history.tasks:
        attempts = history.attempts.get(task.id, [])
        succeeded = [one.attempt for one in attempts if one.outcome == "succeeded"]
        if len(succeeded) != (task.state == "succeeded"):
            yield f"task {task.id} is {task.state} and its attempts {succeeded} succeeded"
        if task.state == "succeeded" and attempts and attempts[-1].outcome != "succeeded":
            yield f"task {task.id} succeeded, and then attempt {attempts[-1].attempt} was {attempts[-1].outcome}"
        if task.state == "failed" and (not attempts or attempts[-1].outcome not in {"failed", "lost"}):
            yield f"task {task.id} failed, and its last attempt did not"
        lost = sum(one.outcome == "lost" for one in attempts)
        if lost != task.crashes:
            yield f"task {task.id} counts {task.crashes} crashes; {lost} of its attempts were lost"
        yield from _beyond_its_limits(task, attempts)


def _beyond_its_limits(task: TaskRow, attempts: list[Execution]) -> Iterator[str]:
    failed = sum(one.outcome == "failed" for one in attempts)
    if failed > task.max_attempts:
        yield f"task {task.id} failed {failed} times; {task.max_attempts} attempts are allowed"
    if task.crashes > task.max_crashes:
        yield f"task {task.id} was lost {task.crashes} times; {task.max_crashes} are allowed"


def attempts_follow_one_another(history: History) -> Iterator[str]:
    for task, attempts in history.attempts.items():
        for one, other in pairwise(attempts):
            if other.started < one.finished - SLACK:
                yield f"attempt {other.attempt} of task {task} began before attempt {one.attempt} was over"


def no_two_attempts_are_live(history: History) -> Iterator[str]:
    """By the journal. A process that was stopped does not know that it lost its lease: its run is no live attempt."""
    for task, runs in history.runs_of.items():
        live = [run for run in runs if not history.was_lost(run)]
        for one, other in pairwise(live):
            if other.started < _end_of(one, history):
                yield f"task {task} began under lease {other.lease} while its run under lease {one.lease} was live"


def _end_of(run: Run, history: History) -> float:
    """A run that was ended by force wrote none; its attempt is on record."""
    if run.finished is not None:
        return run.finished
    ends = [one.finished - SLACK for one in history.attempts.get(run.task, []) if one.attempt == run.attempt]
    return ends[0] if ends else float("inf")


def an_attempt_runs_once(history: History) -> Iterator[str]:
    """Unless it snoozed: that uses no attempt."""
    for task, runs in history.runs_of.items():
        ended = Counter(run.attempt for run in runs if run.end != "Snooze")
        for attempt, times in ended.items():
            if times > 1:
                yield f"attempt {attempt} of task {task} ran {times} times"


def a_result_is_of_the_attempt_that_succeeded(history: History) -> Iterator[str]:
    """What a worker without its lease computed must not be found."""
    for task in history.tasks:
        result = history.results.get(task.id)
        if task.state != "succeeded":
            if result is not None:
                yield f"task {task.id} is {task.state} and has a result"
            continue
        winner = next((one.attempt for one in history.attempts.get(task.id, []) if one.outcome == "succeeded"), 0)
        if result is None or result.get("attempt") != winner:
            yield f"attempt {winner} of task {task.id} succeeded; its result is {result}"
        elif not any(run.lease == result.get("lease") and run.end == "ok" for run in history.runs_of.get(task.id, [])):
            yield f"the result of task {task.id} is of a run that the journal does not know"


def executions_are_what_the_journal_says(history: History) -> Iterator[str]:
    runs = {(run.task, run.attempt): run for run in history.runs if run.end != "Snooze"}
    for one in history.executions:
        run = runs.pop((one.task, one.attempt), None)
        if one.outcome == "succeeded" and (run is None or run.end != "ok"):
            yield f"attempt {one.attempt} of task {one.task} succeeded; the journal says {_said(run)}"
        # A task that has to be ended by force writes nothing.
        forced = "imeout" in one.error
        if one.outcome == "failed" and not forced and (run is None or run.end in {"", "ok"}):
            yield f"attempt {one.attempt} of task {one.task} failed; the journal says {_said(run)}"
    for run in runs.values():
        yield f"task {run.task} ran as attempt {run.attempt} (lease {run.lease}), which is not on record"


def _said(run: Run | None) -> str:
    return "nothing" if run is None else repr(run.end or "not ended")


def failures_have_their_letters(history: History) -> Iterator[str]:
    states = {task.id: task.state for task in history.tasks}
    letters: dict[int, list[str]] = defaultdict(list)
    for letter in history.letters:
        letters[letter.task].append(letter.resolution)
    for task, resolutions in letters.items():
        count = resolutions.count("")
        if count > 1 or (count and states.get(task) != "failed"):
            yield f"task {task} is {states.get(task)} and has {count} open dead letters"
    for task, state in states.items():
        closed_by_hand = {"", "replayed", "discarded"} & set(letters.get(task, []))
        if state == "failed" and not closed_by_hand:
            yield f"task {task} failed and has no dead letter"


def groups_count_their_letters(history: History) -> Iterator[str]:
    total = Counter(letter.fingerprint for letter in history.letters)
    still_open = Counter(letter.fingerprint for letter in history.letters if not letter.resolution)
    counted = {group.fingerprint: (group.open, group.total) for group in history.groups}
    for fingerprint in sorted(total.keys() | counted.keys()):
        true = (still_open[fingerprint], total[fingerprint])
        if counted.get(fingerprint, (0, 0)) != true:
            yield f"group {fingerprint} counts {counted.get(fingerprint)} (open, all); there are {true}"


def a_unique_key_is_live_once(history: History) -> Iterator[str]:
    """By the rows of tasks that nobody put back in line, whose life is one span."""
    by_key: dict[tuple[str, str], list[TaskRow]] = defaultdict(list)
    for task in history.tasks:
        if task.unique_key is not None and task.id not in history.retried:
            by_key[task.name, task.unique_key].append(task)
    for (_, key), tasks in by_key.items():
        for one, other in pairwise(sorted(tasks, key=lambda task: task.created)):
            if one.finished is None or other.created < one.finished - SLACK:
                yield f"tasks {one.id} and {other.id} were live at once with the unique key {key}"


def nothing_runs_after_it_expired(history: History) -> Iterator[str]:
    """One that was taken in time and then stopped with its process may begin late."""
    expires = {task.id: task.expires for task in history.tasks}
    for run in history.runs:
        end = expires.get(run.task)
        excused = run.pid in history.frozen or history.was_lost(run)
        if end is not None and run.started > end + SLACK and not excused and run.task not in history.retried:
            yield f"task {run.task} began {run.started - end:.1f} s after it had expired"


def a_schedule_fires_each_time_once(history: History) -> Iterator[str]:
    tasks = {task.id for task in history.tasks}
    owners = Counter(fire.task for schedule in history.schedules for fire in schedule.fires if fire.task)
    for schedule in history.schedules:
        fired = Counter(fire.at for fire in schedule.fires)
        for at in schedule.due:
            if fired[at] != 1:
                yield f"{schedule.name} was due at {at} and fired {fired[at]} times"
        for at in sorted(fired.keys() - set(schedule.due)):
            yield f"{schedule.name} fired at {at}, when it was not due"
        for fire in schedule.fires:
            if fire.outcome == "submitted" and (fire.task not in tasks or owners[fire.task] != 1):
                yield f"{schedule.name} at {fire.at}: task {fire.task} is not there, or of another fire as well"


def a_limit_holds(history: History) -> Iterator[str]:
    places = {task.id: {task.queue, task.lane} & history.limits.keys() for task in history.tasks}
    steps: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for run in history.runs:
        if run.finished is not None and not history.was_lost(run):
            for place in places.get(run.task, ()):
                steps[place] += [(run.started, 1), (run.finished, -1)]
    for place, moves in steps.items():
        running = most = 0
        for _, step in sorted(moves):
            running += step
            most = max(most, running)
        if most > history.limits[place]:
            yield f"{most} tasks of {place} ran at once; {history.limits[place]} are allowed"


def a_workflow_ends_as_its_steps_do(history: History) -> Iterator[str]:
    steps: dict[int, list[str]] = defaultdict(list)
    for task in history.tasks:
        if task.workflow is not None:
            steps[task.workflow].append(task.state)
    for row in history.workflows:
        states = steps[row.id]
        if not row.total == row.done == len(states):
            yield f"workflow {row.id} counts {row.done} of {row.total} steps; there are {len(states)}"
        if row.state not in FINAL or (row.state == "succeeded") != (set(states) == {"succeeded"}):
            yield f"workflow {row.id} is {row.state}; its steps are {sorted(set(states))}"


def a_step_waits_for_its_parents(history: History) -> Iterator[str]:
    for task, parent in history.edges:
        ends = [run.finished for run in history.runs_of.get(parent, []) if run.end == "ok" and run.finished]
        began = [run.started for run in history.runs_of.get(task, [])]
        if began and (not ends or min(began) < min(ends)):
            yield f"task {task} began before task {parent} had succeeded"


CHECKS: tuple[Check, ...] = (
    every_accepted_task_is_final,
    nothing_is_held,
    attempts_have_no_gaps,
    a_state_fits_its_attempts,
    attempts_follow_one_another,
    no_two_attempts_are_live,
    an_attempt_runs_once,
    a_result_is_of_the_attempt_that_succeeded,
    executions_are_what_the_journal_says,
    failures_have_their_letters,
    groups_count_their_letters,
    a_unique_key_is_live_once,
    nothing_runs_after_it_expired,
    a_schedule_fires_each_time_once,
    a_limit_holds,
    a_workflow_ends_as_its_steps_do,
    a_step_waits_for_its_parents,
)


def violations(history: History) -> dict[str, list[str]]:
    """Name of the check -> what it found; empty when all is well."""
    return {check.__name__: found for check in CHECKS if (found := list(check(history)))}


def figures(history: History) -> dict[str, float | int]:
    """How much there was to check; `back_in_line`: seconds from a kill until what it lost was queued again, at most."""
    ends: dict[int, list[float]] = defaultdict(list)
    for execution in history.executions:
        if execution.outcome == "lost" and execution.pid is not None:
            ends[execution.pid].append(execution.finished)
    waits = [end - kill.at for kill in history.kills for end in ends[kill.pid] if end >= kill.at]
    succeeded = Counter(run.task for run in history.runs if run.end == "ok")
    return {
        **{state: sum(task.state == state for task in history.tasks) for state in sorted(FINAL)},
        "tasks": len(history.tasks),
        "attempts": len(history.executions),
        "lost_attempts": sum(one.outcome == "lost" for one in history.executions),
        "repeated_runs": sum(times - 1 for times in succeeded.values()),
        "workflows": len(history.workflows),
        "fires": sum(len(schedule.fires) for schedule in history.schedules),
        "kills": len(history.kills),
        "back_in_line": round(max(waits, default=0.0), 1),
    }
