"""Schedules that fire, on a real database."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError, connection

from queue_core import services
from queue_core.errors import QueueError
from queue_core.models import Schedule, ScheduleFire, Task
from queue_core.services import runs
from queue_core.services.clock import database_time
from queue_core.services.fire_schedules import jitter
from queue_core.ticker import tick

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def make(**values: Any) -> Schedule:
    names = {"name": f"S{Schedule.objects.count()}", "task": "tests.noop"}
    rhythm = {} if {"expression", "interval_seconds"} & values.keys() else {"interval_seconds": 3600}
    return services.save_schedule(**names | rhythm | values)


def be_due(schedule: Schedule, **ago: float) -> datetime:
    """Let its next time be so long ago, and an interval be counted from there."""
    then = database_time() - timedelta(**ago)
    Schedule.objects.filter(pk=schedule.pk).update(next_fire_at=then, starts_at=min(then, schedule.starts_at))
    return then


def end_tasks() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks SET state = 'succeeded'")


def fires(schedule: Schedule) -> list[str]:
    return [str(fire.outcome) for fire in schedule.fires.order_by("fire_at")]


def test_save_schedule_makes_one_whose_first_time_lies_ahead() -> None:
    schedule = make(expression="30 2 * * *", timezone="Europe/Berlin", payload={"a": 1})
    schedule.refresh_from_db()
    assert schedule.next_fire_at > database_time()
    assert (schedule.kind, schedule.missed, schedule.overlap, schedule.paused) == ("cron", "once", "skip", False)
    assert schedule.description == "At 02:30 every day (Europe/Berlin)"
    hourly = make(interval_seconds=3600)
    assert (hourly.kind, hourly.next_fire_at) == ("interval", hourly.starts_at + timedelta(hours=1))


def test_save_schedule_starts_no_sooner_than_asked() -> None:
    later = database_time().replace(microsecond=0) + timedelta(days=40)
    assert make(interval_seconds=60, starts_at=later).next_fire_at == later
    assert make(expression="* * * * * *", starts_at=later).next_fire_at == later
    assert make(expression="@daily", starts_at=later).next_fire_at >= later


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "taken"}, "name"),
        ({"task": "os.system"}, "task"),
        ({"task": None}, "task"),
        ({"payload": []}, "payload"),
        ({"payload": [1]}, "payload"),
        ({"payload": {"a": "\x00"}}, "payload"),
        ({"payload": {"a": "x" * 2**20}}, "payload"),
        ({"queue": "nowhere"}, "queue"),
        ({"priority": 101}, "priority"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"expression": "61 * * * *"}, "expression"),
        ({"expression": "0 0 31 2 *"}, "expression"),
        ({"kind": "cron"}, "expression"),
        ({"kind": "cron", "expression": ""}, "expression"),
        ({"kind": "interval", "interval_seconds": None}, "interval_seconds"),
        ({"kind": "weekly"}, "kind"),
        ({"expression": "@daily", "interval_seconds": 5}, "kind"),
        ({"interval_seconds": 0}, "interval_seconds"),
        ({"interval_seconds": 10 * 366 * 86_400 + 1}, "interval_seconds"),
        ({"interval_seconds": "often"}, "interval_seconds"),
        ({"expression": "@daily", "timezone": "Middle/Earth"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"starts_at": datetime(2026, 1, 1)}, "starts_at"),  # noqa: DTZ001 - that is the mistake
        ({"starts_at": datetime(1, 1, 1, tzinfo=UTC)}, "starts_at"),
        ({"starts_at": datetime(9999, 12, 31, tzinfo=UTC)}, "starts_at"),
        ({"starts_at": None}, "starts_at"),
        ({"missed": "maybe"}, "missed"),
        ({"overlap": "never"}, "overlap"),
        ({"jitter_seconds": -1}, "jitter_seconds"),
        ({"jitter_seconds": 86_401}, "jitter_seconds"),
        ({"interval_seconds": 60, "jitter_seconds": 60}, "jitter_seconds"),
        ({"expression": "0,50 9 * * 1", "jitter_seconds": 3_000}, "jitter_seconds"),
        ({"owner": "me"}, "owner"),
    ],
)
def test_save_schedule_refuses_what_could_not_fire(values: dict[str, Any], field: str) -> None:
    make(name="taken")
    with pytest.raises(services.InvalidSchedule) as refused:
        make(**{"name": "new"} | values)
    assert list(refused.value.errors) == [field]
    assert Schedule.objects.count() == 1


@pytest.mark.parametrize(
    ("values", "apart"),
    [
        ({"interval_seconds": 60, "jitter_seconds": 59}, ""),
        ({"expression": "0 0 29 2 *", "jitter_seconds": 86_400}, ""),
        ({"expression": "0,50 9 * * 1", "jitter_seconds": 2_999}, ""),
        ({"expression": "* * * * * *", "jitter_seconds": 5}, "1 s apart"),
        ({"expression": "0 9 * * *", "jitter_seconds": 0}, ""),
    ],
)
def test_jitter_is_less_than_the_time_between_two_runs(values: dict[str, Any], apart: str) -> None:
    if not apart:
        assert make(**values).pk
        return
    with pytest.raises(services.InvalidSchedule, match=f"jitter_seconds: Runs come as little as {apart}"):
        make(**values)


def test_an_interval_that_gets_shorter_than_its_jitter_is_refused() -> None:
    schedule = make(interval_seconds=600, jitter_seconds=300)
    with pytest.raises(services.InvalidSchedule, match="jitter_seconds"):
        services.save_schedule(schedule=schedule, interval_seconds=300)


def test_save_schedule_changes_what_is_given_and_nothing_else() -> None:
    schedule = make(name="old", expression="@daily", payload={"a": 1})
    changed = services.save_schedule(schedule=schedule, name="new", jitter_seconds=5)
    assert (changed.pk, changed.name, changed.expression, changed.payload) == (schedule.pk, "new", "@daily", {"a": 1})
    assert changed.next_fire_at == schedule.next_fire_at
    changed = services.save_schedule(schedule=schedule, interval_seconds=60)
    assert (changed.kind, changed.expression, changed.interval_seconds) == ("interval", "", 60)
    assert changed.next_fire_at <= database_time() + timedelta(seconds=61)
    with pytest.raises(services.InvalidSchedule):
        services.save_schedule(schedule=schedule, interval_seconds=0)
    schedule.refresh_from_db()
    assert schedule.interval_seconds == 60
    services.delete_schedule([schedule.pk])
    with pytest.raises(QueueError, match="deleted meanwhile"):
        services.save_schedule(schedule=changed, name="ghost")


@pytest.mark.django_db(transaction=True)
def test_save_schedule_gives_a_name_to_one_of_many_at_once(in_thread: Callable[..., threading.Thread]) -> None:
    barrier, refused = threading.Barrier(4), []

    def race() -> None:
        barrier.wait(10)
        try:
            services.save_schedule(name="same", task="tests.noop", interval_seconds=5)
        except services.InvalidSchedule as exc:
            refused.append(list(exc.errors))

    for thread in [in_thread(race) for _ in range(4)]:
        thread.join(20)
    assert refused == [["name"]] * 3
    assert Schedule.objects.count() == 1


def test_fire_schedules_submits_what_is_due_and_moves_on() -> None:
    schedule = make(task="tests.add", payload={"a": 1, "b": 2}, queue="low", priority=7, max_attempts=2)
    fire_at = be_due(schedule, seconds=2)
    make(name="not yet")
    assert services.fire_schedules() == 1
    task = Task.objects.get()
    assert (task.name, task.payload, task.queue, task.priority, task.max_attempts) == (
        "tests.add",
        {"a": 1, "b": 2},
        "low",
        7,
        2,
    )
    assert (task.run_at, task.parked) == (fire_at, False)
    fire = schedule.fires.get()
    assert (fire.fire_at, fire.outcome, fire.task_id, fire.note) == (fire_at, "submitted", task.pk, "")
    schedule.refresh_from_db()
    assert (schedule.last_fire_at, schedule.last_task_id) == (fire_at, task.pk)
    assert schedule.next_fire_at == fire_at + timedelta(hours=1)
    assert services.fire_schedules() == 0


def test_fire_schedules_takes_policy_from_the_task_where_the_schedule_has_none() -> None:
    be_due(make(task="tests.fail"), seconds=1)
    services.fire_schedules()
    task = Task.objects.get()
    assert (task.queue, task.priority, task.max_attempts) == ("default", 0, 3)


@pytest.mark.django_db(transaction=True)
def test_the_tick_fires_schedules_and_rings(silent_bell: list[str]) -> None:
    be_due(make(queue="high"), seconds=1)
    assert tick(if_older_than=0)
    assert set(silent_bell) == {"high"}
    assert Task.objects.count() == 1


def test_the_tick_fires_more_than_one_slice() -> None:
    for _ in range(230):
        make()
    Schedule.objects.update(next_fire_at=database_time() - SECOND)
    tick(if_older_than=0)
    assert Task.objects.count() == 230


def test_fire_schedules_never_fires_the_same_time_twice() -> None:
    schedule = make()
    fire_at = be_due(schedule, seconds=5)
    services.fire_schedules()
    # As after a clock that was set back.
    Schedule.objects.update(next_fire_at=fire_at)
    assert services.fire_schedules() == 1
    assert Task.objects.count() == 1
    assert fires(schedule) == ["submitted"]


@pytest.mark.django_db(transaction=True)
def test_fire_schedules_on_many_hosts_at_once_fires_once(in_thread: Callable[..., threading.Thread]) -> None:
    for _ in range(60):
        make(interval_seconds=1, overlap="allow")
    Schedule.objects.update(next_fire_at=database_time())
    barrier = threading.Barrier(6)

    def host() -> None:
        barrier.wait(10)
        for _ in range(10):
            services.fire_schedules(7)

    for thread in [in_thread(host) for _ in range(6)]:
        thread.join(30)
    tasks = list(ScheduleFire.objects.values_list("task_id", flat=True))
    assert len(tasks) == len(set(tasks)) == Task.objects.count() >= 60
    for schedule in Schedule.objects.all():
        times = list(schedule.fires.order_by("fire_at").values_list("fire_at", flat=True))
        assert all(later - earlier >= SECOND for earlier, later in pairwise(times[1:]))


@pytest.mark.django_db(transaction=True)
def test_fire_schedules_killed_before_its_commit_has_fired_nothing(
    monkeypatch: pytest.MonkeyPatch, in_thread: Callable[..., threading.Thread], silent_bell: list[str]
) -> None:
    schedule = make()
    be_due(schedule, seconds=1)
    settle, written = runs.settle, []

    def settle_and_die(planned: list[runs.Run]) -> None:
        settle(planned)
        written.extend(planned)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    def die() -> None:
        with pytest.raises(OperationalError):
            services.fire_schedules()

    with monkeypatch.context() as patched:
        patched.setattr(runs, "settle", settle_and_die)
        in_thread(die).join(20)
    assert len(written) == 1
    assert (Task.objects.count(), ScheduleFire.objects.count(), silent_bell) == (0, 0, [])
    assert services.fire_schedules() == 1
    assert Task.objects.count() == 1


def test_fire_schedules_goes_on_when_one_cannot_be_submitted_any_more(settings: LazySettings) -> None:
    gone, elsewhere, unreadable, well = make(), make(queue="low"), make(expression="@daily"), make()
    Schedule.objects.filter(pk=gone.pk).update(task="tests.removed")
    Schedule.objects.filter(pk=unreadable.pk).update(timezone="Europe/Atlantis")
    for schedule in (gone, elsewhere, unreadable, well):
        be_due(schedule, seconds=1)
    settings.QUEUES = ["default"]
    assert services.fire_schedules() == 4
    assert [fires(schedule) for schedule in (gone, elsewhere, unreadable, well)] == [
        ["failed"],
        ["failed"],
        ["failed"],
        ["submitted"],
    ]
    assert "'tests.removed'" in gone.fires.get().note
    assert "'low'" in elsewhere.fires.get().note
    assert "Europe/Atlantis" in unreadable.fires.get().note
    gone.refresh_from_db()
    assert (gone.paused, gone.next_fire_at > database_time()) == (False, True)
    unreadable.refresh_from_db()
    assert unreadable.paused
    assert "Europe/Atlantis" in unreadable.description
    with pytest.raises(QueueError, match="cannot be resumed: There is no time zone 'Europe/Atlantis'"):
        services.resume_schedule([unreadable.pk])


def test_fire_schedules_runs_everything_that_is_merely_late() -> None:
    schedule = make(interval_seconds=10, missed="skip", overlap="allow")
    fire_at = be_due(schedule, seconds=35)
    services.fire_schedules()
    times = schedule.fires.filter(outcome="submitted").order_by("fire_at").values_list("fire_at", flat=True)
    assert list(times) == [fire_at + n * 10 * SECOND for n in range(4)]


def test_missed_runs_are_left_out_under_skip_with_a_trace() -> None:
    schedule = make(interval_seconds=600, missed="skip")
    first = be_due(schedule, hours=3, minutes=5)
    services.fire_schedules()
    assert fires(schedule) == ["missed"]
    fire = schedule.fires.get()
    assert fire.fire_at == first
    assert fire.note.startswith("Missed: 19 from ")
    assert fire.note.endswith("; they were left out.")
    assert not Task.objects.exists()
    schedule.refresh_from_db()
    assert schedule.next_fire_at == first + timedelta(minutes=190)


def test_missed_runs_are_made_up_by_one_under_once() -> None:
    schedule = make(interval_seconds=600)
    be_due(schedule, hours=3, minutes=5)
    services.fire_schedules()
    assert fires(schedule) == ["submitted"]
    assert "19 from" in schedule.fires.get().note
    assert Task.objects.count() == 1


def test_missed_runs_need_no_making_up_under_once_when_one_is_due_anyway() -> None:
    schedule = make(interval_seconds=600)
    be_due(schedule, minutes=30, seconds=5)
    services.fire_schedules()
    assert fires(schedule) == ["missed", "submitted"]
    assert schedule.fires.get(outcome="missed").note.startswith("Missed: 3 from ")


def test_missed_runs_are_all_made_up_under_all() -> None:
    schedule = make(interval_seconds=600, missed="all", overlap="allow")
    first = be_due(schedule, hours=3, minutes=5)
    services.fire_schedules()
    assert fires(schedule) == ["submitted"] * 19
    runs_at = Task.objects.order_by("run_at").values_list("run_at", flat=True)
    assert list(runs_at) == [first + timedelta(minutes=10) * n for n in range(19)]


@pytest.mark.parametrize(
    "rhythm", [{"interval_seconds": 1}, {"expression": "* * * * * *"}, {"expression": "* 8-9 * * *"}]
)
def test_missed_runs_are_the_newest_hundred_under_all_however_long_it_was(rhythm: dict[str, Any]) -> None:
    schedule = make(missed="all", overlap="allow", starts_at=datetime(2010, 1, 1, tzinfo=UTC), **rhythm)
    first = datetime(2011, 1, 1, tzinfo=UTC)
    Schedule.objects.update(next_fire_at=first)
    services.fire_schedules()
    assert fires(schedule) == ["missed"] + ["submitted"] * 100
    trace = schedule.fires.get(outcome="missed")
    assert (trace.fire_at, "more than 1000" in trace.note) == (first, True)
    schedule.refresh_from_db()
    times = list(schedule.fires.order_by("fire_at").values_list("fire_at", flat=True))[1:]
    assert [*times[1:], schedule.next_fire_at] == [next(schedule.times_after(time)) for time in times]


def test_an_overlapping_run_is_left_out_under_skip() -> None:
    schedule = make(overlap="skip")
    for hours in (3, 2):
        be_due(schedule, seconds=hours)
        services.fire_schedules()
    assert fires(schedule) == ["submitted", "skipped_overlap"]
    end_tasks()
    be_due(schedule, seconds=1)
    services.fire_schedules()
    assert fires(schedule) == ["submitted", "skipped_overlap", "submitted"]
    assert Task.objects.count() == 2


def test_an_overlapping_run_starts_beside_the_other_under_allow() -> None:
    schedule = make(overlap="allow")
    for seconds in (3, 2):
        be_due(schedule, seconds=seconds)
        services.fire_schedules()
    assert Task.objects.live().count() == 2


def test_an_overlapping_run_waits_for_the_other_under_queue() -> None:
    schedule = make(overlap="queue")
    for seconds in (4, 3, 2):
        be_due(schedule, seconds=seconds)
        tick(if_older_than=0)
    assert fires(schedule) == ["submitted", "waiting", "skipped_overlap"]
    tick(if_older_than=0)
    assert Task.objects.count() == 1
    services.pause_schedule([schedule.pk])
    end_tasks()
    tick(if_older_than=0)
    assert Task.objects.count() == 1
    services.resume_schedule([schedule.pk])
    tick(if_older_than=0)
    assert fires(schedule) == ["submitted", "submitted", "skipped_overlap"]
    schedule.refresh_from_db()
    assert schedule.last_task_id == Task.objects.live().get().pk


def test_a_run_that_waited_in_vain_says_so() -> None:
    schedule = make(overlap="queue")
    for seconds in (3, 2):
        be_due(schedule, seconds=seconds)
        services.fire_schedules()
    Schedule.objects.update(task="tests.removed")
    end_tasks()
    tick(if_older_than=0)
    assert fires(schedule) == ["submitted", "failed"]
    assert "'tests.removed'" in schedule.fires.get(outcome="failed").note


def test_the_history_of_a_schedule_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_KEEP", 3)
    schedule, quiet = make(overlap="queue"), make()
    services.run_schedule_now(quiet)
    for seconds in range(9, 0, -1):
        be_due(schedule, seconds=seconds)
        services.fire_schedules()
    # The run that waits is kept beside the newest three.
    assert fires(schedule) == ["waiting", *["skipped_overlap"] * 3]
    assert fires(quiet) == ["submitted"]


def test_jitter_delays_each_run_by_the_same_share_for_the_same_fire() -> None:
    schedule = make(jitter_seconds=1000)
    fire_at = be_due(schedule, seconds=1)
    services.fire_schedules()
    task = Task.objects.get()
    assert task.run_at == fire_at + jitter(schedule, fire_at)
    shares = [jitter(schedule, fire_at + n * SECOND) / SECOND for n in range(400)]
    assert min(shares) >= 0
    assert max(shares) <= 1000
    assert len(set(shares)) > 390
    assert 400 < sum(shares) / len(shares) < 600
    assert jitter(make(), fire_at) == timedelta(0)


def test_a_paused_schedule_rests_and_does_not_make_up_for_it() -> None:
    schedule, other = make(interval_seconds=600, missed="all"), make()
    assert services.pause_schedule([schedule.pk, schedule.pk]).changed == 1
    assert services.pause_schedule([schedule.pk, other.pk]) == services.BulkOutcome(1, 1, "paused already")
    be_due(schedule, hours=2, minutes=1)
    assert services.fire_schedules() == 0
    assert services.resume_schedule([schedule.pk]) == services.BulkOutcome(1, 0, "not paused")
    assert services.resume_schedule([schedule.pk]) == services.BulkOutcome(0, 1, "not paused")
    assert services.fire_schedules() == 0
    schedule.refresh_from_db()
    assert schedule.next_fire_at > database_time()


def test_run_schedule_now_runs_once_beside_the_rhythm() -> None:
    schedule = make(overlap="allow", jitter_seconds=1000)
    services.pause_schedule([schedule.pk])
    fire = services.run_schedule_now(schedule)
    assert (fire.outcome, fire.note) == ("submitted", "run by hand")
    assert abs(fire.fire_at - database_time()) < 5 * SECOND
    assert Task.objects.get(pk=fire.task_id).run_at == fire.fire_at
    services.run_schedule_now(schedule)
    assert fires(schedule) == ["submitted", "submitted"]
    before = schedule.next_fire_at
    schedule.refresh_from_db()
    assert (schedule.next_fire_at, schedule.paused) == (before, True)


def test_run_schedule_now_keeps_the_overlap_policy() -> None:
    careful, patient = make(overlap="skip"), make(overlap="queue")
    services.run_schedule_now(careful)
    with pytest.raises(services.ScheduleBusy, match="overlap policy is skip"):
        services.run_schedule_now(careful)
    services.run_schedule_now(patient)
    assert services.run_schedule_now(patient).outcome == "waiting"
    with pytest.raises(services.ScheduleBusy):
        services.run_schedule_now(patient)
    be_due(careful, seconds=1)
    services.fire_schedules()
    assert "skipped_overlap" in fires(careful)
    assert Task.objects.count() == 2


def test_run_schedule_now_says_when_it_cannot() -> None:
    schedule = make()
    Schedule.objects.update(task="tests.removed")
    with pytest.raises(QueueError, match=r"'tests\.removed'"):
        services.run_schedule_now(schedule)
    services.delete_schedule([schedule.pk])
    with pytest.raises(QueueError, match="deleted meanwhile"):
        services.run_schedule_now(schedule)


def test_delete_schedule_takes_its_history_and_leaves_its_tasks() -> None:
    schedule = make()
    services.run_schedule_now(schedule)
    assert services.delete_schedule([schedule.pk, 999_999_999]) == services.BulkOutcome(1, 1, "deleted already")
    assert (Schedule.objects.count(), ScheduleFire.objects.count(), Task.objects.count()) == (0, 0, 1)
