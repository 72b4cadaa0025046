"""Every verb on a task in every situation: it moves what the map of transitions allows, and touches nothing else.

What was not to move is compared byte for byte, with all that hangs on it, and beside tasks in every other situation.
"""

import datetime
import inspect
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from queue_core import lifecycle, services
from queue_core.lifecycle import Claimed, Ended, Failure, Line, Report
from queue_core.models import DeadLetter, DeadLetterGroup, Dependency, Queue, Schedule, Task, Worker, Workflow
from queue_core.policies import Limit
from queue_core.services import PulledFailure
from queue_core.services.register_worker import register_worker
from queue_core.services.rescue import rescue
from queue_core.services.worker_pool import open_pool
from queue_core.states import FINAL, TRANSITIONS, BulkState, DeathReason, Outcome, TaskState

pytestmark = pytest.mark.django_db
# A state, and what makes a difference within it: parked: due later; asked: to end, while it runs; doomed: one more
# loss of its worker is the last.
SITUATIONS = {
    **{"doomed": "running", "asked": "running", "running": "running"},
    **{"succeeded": "succeeded", "failed": "failed", "cancelled": "cancelled", "expired": "expired"},
    **{"blocked": "blocked", "parked": "queued", "queued": "queued"},
}
OVER = {name for name, state in SITUATIONS.items() if state in FINAL}
RUNNING = ("doomed", "asked", "running")
DAY = datetime.timedelta(days=1)
FAR = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


def register_puller() -> None:
    with override_settings(QUEUE_EXTERNAL_TASKS={"image.resize": {"queue": "low"}}):
        services.pull_register(name="w", hostname="h", queues=["low"])


def failure_of(mark: str) -> Failure:
    return Failure("ValueError: no", "builtins.ValueError", "trace", mark * 32, DeathReason.ATTEMPTS)


def ended(held: Claimed, state: str, outcome: str | None = None, **more: Any) -> Ended:
    if state == "succeeded":
        more["result"] = '"new"'
    return Ended(held, state, outcome, 0.001, 0.002, **more)


def make(situation: str, queue: str, mark: str) -> Claimed:
    """A task brought into that situation by verbs, in a queue that holds nothing to claim; as its worker knew it."""
    pk = services.submit("tests.noop", {"of": situation}, queue=queue, delay=60 if situation == "parked" else 0).id
    held = Claimed(pk, "tests.noop", queue, "{}", 1, 5, 0, uuid.uuid4())
    if situation in {*RUNNING, "succeeded", "failed"}:
        (held,) = lifecycle.claim([queue], register_worker([queue]), 1)
    if situation == "succeeded":
        lifecycle.finish([Ended(held, "succeeded", Outcome.SUCCEEDED, 0.001, 0.002, result="1")])
    if situation == "failed":
        lifecycle.finish([ended(held, "failed", Outcome.FAILED, failure=failure_of(mark))])
    if situation in {"asked", "cancelled"}:
        services.cancel([pk])
    if situation == "doomed":
        Task.objects.filter(pk=pk).update(max_crashes=1)
    if situation == "blocked":
        Task.objects.filter(pk=pk).update(state=TaskState.BLOCKED)
    if situation == "expired":
        Task.objects.filter(pk=pk).update(expires_at=timezone.now() - DAY)
        lifecycle.expire(1)
    return held


@dataclass(frozen=True, slots=True)
class Scene:
    """The task a verb is tried on, and what else a verb may be about."""

    held: Claimed
    schedule: Schedule

    @property
    def pk(self) -> int:
        return self.held.id

    @property
    def letters(self) -> list[int]:
        return list(DeadLetter.objects.filter(task=self.pk).values_list("pk", flat=True))

    @property
    def worker(self) -> list[int]:
        return list(Worker.objects.filter(task__pk=self.pk).values_list("pk", flat=True))

    def group(self) -> DeadLetterGroup:
        return DeadLetterGroup.objects.filter(fingerprint="f" * 32).first() or DeadLetterGroup(fingerprint="f" * 32)

    def change(self, **values: Any) -> None:
        Task.objects.filter(pk=self.pk).update(**values)

    def lose_worker(self) -> None:
        worker = Task.objects.get(pk=self.pk).worker_id
        Worker.objects.filter(pk=worker).update(lease_until=timezone.now() - DAY)

    def claim(self, take: Callable[[int], list[Claimed]]) -> None:
        take(register_worker(["default"]))

    def finish(self, state: str, outcome: str | None, **more: Any) -> None:
        lifecycle.finish([ended(self.held, state, outcome, **more)])

    def bulk(self, verb: str, **params: Any) -> int:
        return services.start_bulk(verb, ids=[self.pk], params=params, in_background=False).pk

    def run_bulk(self, verb: str, **params: Any) -> None:
        services.run_bulk(self.bulk(verb, **params), seconds=60)

    def tell(self, verb: Callable[..., Any], *given: Any) -> None:
        """As a worker that pulls, of a task it holds, or held."""
        with suppress(services.LeaseLost):
            verb(self.pk, self.held.lease, *given)

    def pull(self) -> None:
        """Its worker, and one that waits, are of those that pull."""
        Worker.objects.create(name="w", hostname="h", pid=0, queues=["default"], kind="pull", lease_until=FAR)
        Worker.objects.filter(task__pk=self.pk).update(kind="pull")

    def puller(self) -> int:
        return next(iter(self.worker), Worker.objects.latest("pk").pk)

    def hold_queue(self) -> None:
        Queue.objects.create(name="default", max_running=100)

    @property
    def workflow(self) -> Workflow:
        return Workflow.objects.latest("pk")

    def become_a_step(self, state: str = "failed", **more: Any) -> None:
        """Of a workflow in that state."""
        workflow = Workflow.objects.create(name="w", total=2, done=2, state=state)
        self.change(workflow=workflow, step="a", **more)

    def wait_for(self, state: str, outcome: str = "", **more: Any) -> int:
        """A parent that ended in that state, told or not."""
        parent = Task.objects.create(name="tests.noop", queue="low", state=state, awaited=not outcome, **more)
        Dependency.objects.create(task_id=self.pk, parent=parent, outcome=outcome)
        self.change(waits_for=int(not outcome))
        return parent.pk

    def wait_for_a_step(self) -> None:
        self.become_a_step()
        self.wait_for("failed", outcome="failed", workflow=self.workflow, step="b")

    def depend(self, state: str) -> None:
        parent = Task.objects.create(name="tests.noop", queue="low", state=state)
        self.change(waits_for=1)
        lifecycle.depend([(self.pk, parent.pk, "cancel")])

    def retry_workflow(self) -> None:
        with suppress(services.WorkflowUnmoved):
            services.retry_workflow(self.workflow)

    def age(self) -> None:
        """Long over."""
        old = timezone.now() - 1000 * DAY
        self.change(created_at=old)
        Task.objects.filter(pk=self.pk, finished_at__isnull=False).update(finished_at=old)


@dataclass(frozen=True, slots=True)
class Case:
    """`act` after `ready`. `moves`: situation -> new state ("gone": deleted). In `touches` it stays in its state and
    something of its own changes; in `adds` there is a new task after it. In all other situations nothing changes."""

    verb: str
    act: Callable[[Scene], Any]
    moves: dict[str, str] = field(default_factory=dict)
    touches: set[str] = field(default_factory=set)
    adds: set[str] = field(default_factory=set)
    ready: Callable[[Scene], Any] = lambda scene: None
    note: str = ""

    @property
    def name(self) -> str:
        return f"{self.verb} {self.note}".strip()


ALWAYS = set(SITUATIONS)
WAITING = {"blocked", "parked", "queued"}
TO_QUEUE = {"running": "queued", "doomed": "queued", "asked": "cancelled"}
RESCUED = {"running": "queued", "doomed": "failed", "asked": "cancelled"}
STOPPED = dict.fromkeys(("blocked", "parked", "queued"), "cancelled")
AGAIN = dict.fromkeys(("failed", "cancelled"), "queued")
LATE = dict.fromkeys(("blocked", "parked", "queued"), "expired")
BACK = dict.fromkeys(("failed", "cancelled", "expired"), "queued")
GONE = dict.fromkeys(OVER, "gone")
SOME_ROW = {"name": "tests.noop", "payload": {}}
SPOT = lifecycle.Spot("default", "", 9)
KEEP = {("*", state): 60.0 for state in FINAL}


def taker(worker: int, *held: str) -> lifecycle.Taker:
    return lifecycle.Taker(worker, uuid.uuid4(), held)


def _all_running(state: str) -> dict[str, str]:
    return dict.fromkeys(RUNNING, state)


OF_LIFECYCLE = [
    Case("claim", lambda s: s.claim(lambda w: lifecycle.claim(["default"], w, 9)), {"queued": "running"}),
    Case(
        "claim_limited",
        lambda s: s.claim(lambda w: lifecycle.claim_limited([SPOT], {}, 9, taker(w), queue_is_limited=True)),
        {"queued": "running"},
        ready=Scene.hold_queue,
    ),
    Case("take", lambda s: s.claim(lambda w: lifecycle.take([SPOT], 9, taker(w))), {"queued": "running"}),
    Case("take", lambda s: s.claim(lambda w: lifecycle.take([SPOT], 9, taker(w, "tests.noop"))), note="of a held type"),
    Case("set_aside", lambda s: lifecycle.set_aside([SPOT], ["tests.noop"], 100), touches={"queued"}),
    Case("release", lambda s: lifecycle.release([s.held]), TO_QUEUE),
    Case(
        "release_unheld",
        lambda s: lifecycle.release_unheld(Task.objects.get(pk=s.pk).worker_id or 0, [], 1.0),
        TO_QUEUE,
        ready=lambda s: Task.objects.filter(pk=s.pk, lease__isnull=False).update(started_at=timezone.now() - DAY),
    ),
    Case("finish", lambda s: s.finish("succeeded", "succeeded"), _all_running("succeeded"), note="succeeded"),
    Case(
        "finish",
        lambda s: s.finish("failed", "failed", failure=failure_of("f")),
        {**_all_running("failed"), "asked": "cancelled"},
        note="failed",
    ),
    Case(
        "finish",
        lambda s: s.finish("queued", "failed", failure=failure_of("f"), delay=5.0),
        TO_QUEUE,
        note="to be tried again",
    ),
    Case("finish", lambda s: s.finish("queued", None, delay=5.0), TO_QUEUE, note="snoozed"),
    Case("finish", lambda s: s.finish("cancelled", "cancelled"), _all_running("cancelled"), note="cancelled"),
    Case(
        "finish",
        lambda s: lifecycle.finish(
            [ended(Claimed(s.pk, "tests.noop", "default", "{}", 1, 5, 0, uuid.uuid4()), "succeeded", "succeeded")]
        ),
        note="under another lease",
    ),
    Case("rescue", lambda s: lifecycle.rescue(100), RESCUED, ready=Scene.lose_worker),
    Case("rescue", lambda s: lifecycle.rescue(100), note="of a live worker"),
    Case("queue_gates", lambda s: lifecycle.queue_gates(["default"])),
    Case("queue_room", lambda s: lifecycle.queue_room("default", lock=True)),
    Case("type_gates", lambda s: lifecycle.type_gates()),
    Case("rooms", lambda s: lifecycle.rooms({"tests.noop:": Limit(max_running=1)}, lock=True)),
    Case("lanes", lambda s: lifecycle.lanes("default", "", 9)),
    Case("scopes_of", lambda s: lifecycle.scopes_of("tests.noop:acme")),
    Case("prune_lanes", lambda s: lifecycle.prune_lanes(9)),
    Case("insert", lambda s: lifecycle.insert([services.build("tests.noop", {})]), adds=ALWAYS),
    Case("replay", lambda s: lifecycle.replay([s.pk], payload=None, by=None), touches={"failed"}, adds=OVER),
    Case("cancel", lambda s: lifecycle.cancel([s.pk]), STOPPED, touches={"running", "doomed"}),
    Case("retry", lambda s: lifecycle.retry([s.pk], by=None), AGAIN),
    Case("discard", lambda s: lifecycle.discard(s.letters, by=None), touches={"failed"}),
    Case(
        "expire",
        lambda s: lifecycle.expire(100),
        LATE,
        ready=lambda s: s.change(expires_at=timezone.now() - DAY),
    ),
    Case(
        "expire", lambda s: lifecycle.expire(100), ready=lambda s: s.change(expires_at=timezone.now() + DAY), note="no"
    ),
    Case(
        "unpark",
        lambda s: lifecycle.unpark(100),
        touches={"parked"},
        ready=lambda s: s.change(run_at=timezone.now() - DAY),
    ),
    Case("unpark", lambda s: lifecycle.unpark(100), note="too early"),
    Case("prune", lambda s: lifecycle.prune(0, 100, KEEP), GONE, ready=Scene.age),
    Case("prune", lambda s: lifecycle.prune(0, 100, KEEP), note="too early"),
    Case(
        "prune",
        lambda s: lifecycle.prune(0, 100, KEEP),
        ready=lambda s: (s.age(), s.change(pinned=True)),
        note="pinned",
    ),
    Case(
        "retry",
        lambda s: lifecycle.retry([s.pk], by=None),
        {"failed": "queued", "cancelled": "blocked"},
        ready=lambda s: Task.objects.filter(pk=s.pk, state="cancelled").update(waits_for=1),
        note="while others are not over",
    ),
    Case(
        "settle",
        lambda s: lifecycle.settle(9),
        {"blocked": "queued"},
        touches=ALWAYS,
        ready=lambda s: s.wait_for("succeeded"),
        note="after a success",
    ),
    Case(
        "settle",
        lambda s: lifecycle.settle(9),
        {"blocked": "cancelled"},
        touches=ALWAYS,
        ready=lambda s: s.wait_for("failed"),
        note="after a failure",
    ),
    Case("settle", lambda s: lifecycle.settle(9), note="of nothing"),
    Case("depend", lambda s: s.depend("succeeded"), {"blocked": "queued"}, adds=ALWAYS),
    Case(
        "depend",
        lambda s: s.depend("cancelled"),
        {"blocked": "cancelled"},
        adds=ALWAYS,
        note="on what was cancelled",
    ),
    Case("add_edges", lambda s: lifecycle.add_edges([(s.pk, s.pk, "cancel")])),
    Case("lock_parents", lambda s: lifecycle.lock_parents([s.pk])),
    Case("new_workflow", lambda s: lifecycle.new_workflow("w", 1, {}, None)),
    Case(
        "retry_workflow",
        lambda s: lifecycle.retry_workflow(s.workflow.pk, by=None),
        BACK,
        touches={"blocked"},
        ready=Scene.become_a_step,
    ),
    Case(
        "retry_workflow",
        lambda s: lifecycle.retry_workflow(s.workflow.pk, by=None),
        dict.fromkeys(BACK, "blocked"),
        touches=ALWAYS,
        ready=Scene.wait_for_a_step,
        note="behind another step",
    ),
    Case(
        "ask_workflows_to_end",
        lambda s: lifecycle.ask_workflows_to_end([s.workflow.pk]),
        ready=lambda s: s.become_a_step("running"),
    ),
    Case("edit", lambda s: lifecycle.edit([s.pk], priority=9), touches=WAITING),
    Case("delete", lambda s: lifecycle.delete([s.pk]), GONE),
    Case("begin_bulk", lambda s: lifecycle.begin_bulk(s.bulk("retry"))),
    Case("ask_bulk_to_stop", lambda s: lifecycle.ask_bulk_to_stop(s.bulk("retry"))),
    Case("end_bulk", lambda s: lifecycle.end_bulk(s.bulk("retry"), BulkState.DONE)),
    Case(
        "log",
        lambda s: lifecycle.log([Line(s.pk, s.held.attempt, s.held.lease, 0.0, 20, "tests", "said")]),
        touches={"running", "asked", "doomed"},
    ),
    Case(
        "report",
        lambda s: lifecycle.report([Report(s.pk, s.held.attempt, s.held.lease, 1.0, 2.0, "half")]),
        touches={"running", "asked", "doomed"},
    ),
    Case("how_far", lambda s: lifecycle.how_far(s.pk, 1, s.held.lease, 1, 2, "half")),
    Case("dump_json", lambda s: lifecycle.dump_json({}, max_bytes=9, what="it")),
    Case("hold_briefly", lambda s: lifecycle.hold_briefly()),
]
OF_SERVICES = [
    Case("preview_bulk", lambda s: services.preview_bulk("retry", ids=[s.pk])),
    Case("start_bulk", lambda s: services.start_bulk("retry", ids=[s.pk]), adds=ALWAYS),
    Case("stop_bulk", lambda s: services.stop_bulk(s.bulk("retry"))),
    Case("run_bulk", lambda s: s.run_bulk("retry"), AGAIN, note="retry"),
    Case("run_bulk", lambda s: s.run_bulk("cancel"), STOPPED, touches={"running", "doomed"}, note="cancel"),
    Case("run_bulk", lambda s: s.run_bulk("delete"), GONE, note="delete"),
    Case("run_bulk", lambda s: s.run_bulk("replay"), touches={"failed"}, adds=OVER, note="replay"),
    Case("run_bulk", lambda s: s.run_bulk("set_priority", priority=9), touches=WAITING, note="set_priority"),
    Case("run_bulk", lambda s: s.run_bulk("move", queue="mail"), touches=WAITING, note="move"),
    Case("run_bulk", lambda s: s.run_bulk("unpin"), note="unpin"),
    Case("backlog", lambda s: services.backlog()),
    Case("build", lambda s: services.build("tests.noop", {})),
    Case("ping_bell", lambda s: services.ping_bell()),
    Case("upcoming", lambda s: services.upcoming(s.schedule, 3)),
    Case("cancel", lambda s: services.cancel([s.pk]), STOPPED, touches={"running", "doomed"}),
    Case("retry", lambda s: services.retry([s.pk]), AGAIN),
    Case("replay", lambda s: services.replay([s.pk]), touches={"failed"}, adds=OVER),
    Case("replay_letters", lambda s: services.replay_letters(s.letters), touches={"failed"}, adds={"failed"}),
    Case("replay_group", lambda s: services.replay_group(s.group()), touches={"failed"}, adds={"failed"}),
    Case("discard", lambda s: services.discard(s.letters), touches={"failed"}),
    Case("discard_group", lambda s: services.discard_group(s.group()), touches={"failed"}),
    Case("prune", lambda s: services.prune(), GONE, ready=Scene.age),
    Case("forget", lambda s: services.forget()),
    Case("submit", lambda s: services.submit("tests.noop"), adds=ALWAYS),
    Case("submit_many", lambda s: services.submit_many([services.build("tests.noop", {})] * 2), adds=ALWAYS),
    Case("submit_batch", lambda s: services.submit_batch([SOME_ROW]), adds=ALWAYS),
    Case("submit_workflow", lambda s: services.submit_workflow("w", [SOME_ROW]), adds=ALWAYS),
    Case(
        "cancel_workflow",
        lambda s: services.cancel_workflow([s.workflow.pk]),
        STOPPED,
        touches={"running", "doomed"},
        ready=lambda s: s.become_a_step("running"),
    ),
    Case("retry_workflow", Scene.retry_workflow, BACK, ready=Scene.become_a_step),
    Case(
        "settle",
        lambda s: services.settle(),
        {"blocked": "queued"},
        touches=ALWAYS,
        ready=lambda s: s.wait_for("succeeded"),
    ),
    Case("relatives", lambda s: services.relatives(Task.objects.get(pk=s.pk))),
    Case("waiting_reason", lambda s: services.waiting_reason(Task.objects.get(pk=s.pk))),
    Case("step_payload", lambda s: services.step_payload("tests.noop", "{}", 1)),
    Case("state_counts", lambda s: services.state_counts(s.workflow), ready=Scene.become_a_step),
    Case("step_counts", lambda s: services.step_counts([s.workflow.pk]), ready=Scene.become_a_step),
    Case("workflow_graph", lambda s: services.workflow_graph(s.workflow), ready=Scene.become_a_step),
    Case("pause_queue", lambda s: services.pause_queue("default")),
    Case("resume_queue", lambda s: services.resume_queue("default")),
    Case("limit_queue", lambda s: services.limit_queue("default", max_running=1, rate="1/d")),
    Case("pause_type", lambda s: services.pause_type("tests.noop")),
    Case("resume_type", lambda s: services.resume_type("tests.noop")),
    Case("limit_type", lambda s: services.limit_type("tests.noop", max_running=1, rate="1/d")),
    Case("hold_reason", lambda s: services.hold_reason(Task.objects.get(pk=s.pk))),
    Case("why_left", lambda s: services.why_left(Task.objects.get(pk=s.pk))),
    Case("why_left_letter", lambda s: [services.why_left_letter(one) for one in DeadLetter.objects.in_bulk().values()]),
    Case("lineage", lambda s: services.lineage(Task.objects.get(pk=s.pk))),
    Case("durations", lambda s: services.durations(Task.objects.all())),
    Case("task_type", lambda s: services.task_type("tests.noop")),
    Case("task_types", lambda s: services.task_types()),
    Case("count_types", lambda s: services.count_types(["tests.noop"])),
    Case("save_schedule", lambda s: services.save_schedule(schedule=s.schedule, name="Other")),
    Case("pause_schedule", lambda s: services.pause_schedule([s.schedule.pk])),
    Case("resume_schedule", lambda s: services.resume_schedule([s.schedule.pk])),
    Case("delete_schedule", lambda s: services.delete_schedule([s.schedule.pk])),
    Case("run_schedule_now", lambda s: services.run_schedule_now(s.schedule), adds=ALWAYS),
    Case(
        "fire_schedules",
        lambda s: services.fire_schedules(),
        adds=ALWAYS,
        ready=lambda s: Schedule.objects.update(next_fire_at=timezone.now() - datetime.timedelta(seconds=5)),
    ),
    Case("rescue", lambda s: rescue(), RESCUED, ready=Scene.lose_worker),
    Case("edit_task", lambda s: services.edit_task([s.pk], priority=9), touches=WAITING),
    Case("delete_tasks", lambda s: services.delete_tasks([s.pk]), GONE),
    Case("pin", lambda s: services.pin([s.pk]), touches=ALWAYS),
    Case("pin", lambda s: services.pin([s.pk]), ready=lambda s: s.change(pinned=True), note="of a pinned one"),
    Case("unpin", lambda s: services.unpin([s.pk]), touches=ALWAYS, ready=lambda s: s.change(pinned=True)),
    Case(
        "purge_queue",
        lambda s: services.purge_queue("default"),
        dict.fromkeys(("parked", "queued"), "cancelled"),
    ),
    Case("export_tasks", lambda s: list(services.export_tasks(Task.objects.all()))),
    Case("stats", lambda s: services.stats(DAY)),
    Case("workers", lambda s: list(services.workers())),
    Case("live_workers", lambda s: list(services.live_workers())),
    Case("live_pools", lambda s: list(services.live_pools())),
    Case("pause_worker", lambda s: services.pause_worker(s.worker)),
    Case("resume_worker", lambda s: services.resume_worker(s.worker)),
    Case("drain_worker", lambda s: services.drain_worker(s.worker)),
    Case("stop_worker", lambda s: services.stop_worker(s.worker)),
    Case("pull_register", lambda s: register_puller()),
    Case("pull_beat", lambda s: services.pull_beat(s.puller()), ready=Scene.pull),
    Case("pull_task_beat", lambda s: s.tell(services.pull_task_beat), ready=Scene.pull),
    Case(
        "pull_progress",
        lambda s: s.tell(partial(services.pull_progress, done=1)),
        touches={"running", "asked", "doomed"},
        ready=Scene.pull,
    ),
    Case(
        "pull_claim",
        lambda s: services.pull_claim(Worker.objects.latest("pk").pk, limit=1),
        {"queued": "running"},
        ready=Scene.pull,
    ),
    Case("pull_complete", lambda s: s.tell(services.pull_complete), _all_running("succeeded"), ready=Scene.pull),
    Case("pull_fail", lambda s: s.tell(services.pull_fail, PulledFailure("no")), TO_QUEUE, ready=Scene.pull),
    Case(
        "pull_fail",
        lambda s: s.tell(services.pull_fail, PulledFailure("never", retry=False)),
        {**_all_running("failed"), "asked": "cancelled"},
        ready=Scene.pull,
        note="for good",
    ),
    Case("pull_deregister", lambda s: services.pull_deregister(s.puller()), TO_QUEUE, ready=Scene.pull),
    Case("scale_pool", lambda s: services.scale_pool(open_pool(["default"], 1), 2)),
]
CASES = [*OF_LIFECYCLE, *OF_SERVICES]
TABLES = {
    "tasks": "id",
    "task_executions": "task_id",
    "task_results": "task_id",
    "task_progress": "task_id",
    "task_logs": "task_id",
    "dead_letter_queue": "task_id",
}


def snapshot() -> dict[tuple[str, Any], str]:
    """(table, task) -> all of its rows there as text; groups by their fingerprint."""
    found: dict[tuple[str, Any], str] = {}
    with connection.cursor() as cursor:
        for table, key in {**TABLES, "dead_letter_groups": "fingerprint"}.items():
            cursor.execute(f"SELECT {key}, json_agg(t ORDER BY t)::text FROM {table} t GROUP BY {key}")
            found |= {(table, row[0]): row[1] for row in cursor.fetchall()}
    return found


def changes(before: dict[tuple[str, Any], str], after: dict[tuple[str, Any], str]) -> Iterator[tuple[str, Any]]:
    return (key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


@pytest.fixture
def schedule(db: None) -> Schedule:
    return services.save_schedule(name="Nightly", task="tests.noop", expression="@daily")


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_verb_moves_what_it_may_and_touches_nothing_else(case: Case, situation: str, schedule: Schedule) -> None:
    for other in SITUATIONS:
        make(other, "low", "b")
    scene = Scene(make(situation, "default", "f"), schedule)
    case.ready(scene)
    before, newest = snapshot(), Task.objects.latest("pk").pk
    case.act(scene)
    after = snapshot()

    changed = set(changes(before, after))
    new = {key for key in changed if key[0] == "tasks" and key[1] > newest}
    groups = DeadLetter.objects.filter(task=scene.pk).values_list("fingerprint", flat=True)
    parents = Dependency.objects.filter(task=scene.pk).values_list("parent_id", flat=True)
    own = {(table, pk) for table in TABLES for pk in (scene.pk, *parents)}
    own |= {("dead_letter_groups", mark) for mark in {"f" * 32, *groups}}
    assert bool(new) == (situation in case.adds)
    assert changed - new <= own
    state = Task.objects.filter(pk=scene.pk).values_list("state", flat=True).first() or "gone"
    assert state == case.moves.get(situation, SITUATIONS[situation])
    assert bool(changed - new) == (situation in case.moves or situation in case.touches)


def test_the_matrix_is_the_map_of_transitions() -> None:
    """What the cases of lifecycle's verbs lead to, taken together, is exactly what states.py allows."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    family = {"claim_limited": "claim", "take": "claim", "release_unheld": "release", "depend": "settle"}
    for case in OF_LIFECYCLE:
        for situation, state in case.moves.items():
            if state != "gone":
                found[family.get(case.verb, case.verb)][SITUATIONS[situation]].add(state)
    meant = {verb: {str(s): {str(to) for to in tos} for s, tos in moves.items()} for verb, moves in TRANSITIONS.items()}
    assert found == meant


@pytest.mark.parametrize(("module", "cases"), [(lifecycle, OF_LIFECYCLE), (services, OF_SERVICES)])
def test_every_verb_is_in_the_matrix(module: Any, cases: list[Case]) -> None:
    verbs = {name for name in module.__all__ if inspect.isfunction(getattr(module, name))}
    assert verbs - {case.verb for case in cases} == set()
    assert {SITUATIONS[name] for name in SITUATIONS} == set(TaskState)
