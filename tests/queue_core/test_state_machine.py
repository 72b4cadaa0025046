"""Verbs in any order, by two workers and a few people, while time passes: the tables equal a simple model after each.

Half of what a worker says comes too late here: it speaks of leases that it has lost.
"""

import datetime
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from queue_core import conf, lifecycle, services
from queue_core.errors import InvalidSubmission
from queue_core.lifecycle import Claimed, Ended, Failure
from queue_core.models import DeadLetter, DeadLetterGroup, Execution, Task
from queue_core.services.beat import Pulse, beat
from queue_core.services.register_worker import register_worker
from queue_core.services.rescue import rescue
from queue_core.states import FINAL, LIVE, DeathReason

LEASE = 20.0
KEEP = {("*", state): 60.0 for state in FINAL}
FAILED = "f" * 32
# How an attempt may end: state, outcome.
ENDS = {
    "succeeded": ("succeeded", "succeeded"),
    "failed": ("failed", "failed"),
    "again": ("queued", "failed"),
    "snoozed": ("queued", None),
    "cancelled": ("cancelled", "cancelled"),
}


@dataclass
class Model:
    """What a task should look like. Times are seconds on the clock of this test, which begins at 0."""

    id: int
    name: str
    key: str | None
    priority: int
    max_attempts: int
    max_crashes: int
    created: float
    run_at: float
    expires: float | None
    parked: bool
    state: str = "queued"
    attempt: int = 0
    crashes: int = 0
    worker: int | None = None
    lease: Any = None
    asked: bool = False
    finished: float | None = None
    executions: list[tuple[int, str]] = field(default_factory=list)
    # (fingerprint, resolution)
    letters: list[list[str]] = field(default_factory=list)

    def end(self, state: str, now: float) -> None:
        self.state, self.lease, self.parked = state, None, False
        self.finished = now if state in FINAL else None

    def resolve(self, how: str) -> None:
        for letter in self.letters:
            letter[1] = letter[1] or how

    def shown(self) -> tuple[Any, ...]:
        return (
            *(self.state, self.attempt, self.crashes, self.max_attempts, self.max_crashes),
            *(self.parked, self.lease, self.asked, self.finished is not None, round(self.run_at, 3)),
            *(tuple(self.executions), tuple(map(tuple, self.letters))),
        )


def shift(seconds: float) -> None:
    """Let time pass: the database's clock stands still within a test, so everything else moves back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tasks SET run_at = run_at - %(s)s, expires_at = expires_at - %(s)s,"
            " created_at = created_at - %(s)s, finished_at = finished_at - %(s)s",
            {"s": datetime.timedelta(seconds=seconds)},
        )
        cursor.execute("UPDATE workers SET lease_until = lease_until - %s", [datetime.timedelta(seconds=seconds)])


class Lifecycle(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.block = transaction.atomic()
        self.block.__enter__()
        with connection.cursor() as cursor:
            cursor.execute("SELECT now()")
            self.now0: datetime.datetime = cursor.fetchone()[0]
        self.now = 0.0
        self.tasks: dict[int, Model] = {}
        self.handles: list[Claimed] = []
        # worker -> until when it is alive
        self.alive: dict[int, float] = {}
        self.workers = [self._new_worker(), self._new_worker()]
        self.gone: Counter[str] = Counter()  # letters of pruned tasks still count in their group's total

    def teardown(self) -> None:
        if hasattr(self, "block"):
            transaction.set_rollback(True)
            self.block.__exit__(None, None, None)

    def _new_worker(self) -> int:
        worker = register_worker(["default"])
        self.alive[worker] = self.now + LEASE
        return worker

    def _pick(self, number: int) -> Model:
        return list(self.tasks.values())[number % len(self.tasks)]

    def _live(self, name: str, key: str | None) -> Model | None:
        found = (m for m in self.tasks.values() if key and (m.name, m.key) == (name, key) and m.state in LIVE)
        return next(found, None)

    def _held(self, handle: Claimed) -> Model | None:
        model = self.tasks.get(handle.id)
        return model if model and model.lease == handle.lease else None

    # --- what people do

    @rule(
        name=st.sampled_from(["tests.noop", "tests.die"]),
        key=st.sampled_from([None, None, "a", "b"]),
        priority=st.integers(0, 1),
        attempts=st.integers(1, 3),
        delay=st.sampled_from([0, 0, 10, 30]),
        expires=st.sampled_from([None, None, 5, 15, 40]),
    )
    def submit(self, name: str, key: str | None, priority: int, attempts: int, delay: int, expires: int | None) -> None:
        live = self._live(name, key)
        at = None if expires is None else self.now0 + datetime.timedelta(seconds=expires)
        options = {"priority": priority, "max_attempts": attempts, "delay": delay, "unique_key": key, "expires_at": at}
        if expires is not None and expires <= delay:
            with pytest.raises(InvalidSubmission, match="expires_at: is not after"):
                services.submit(name, {}, **options)
            return
        made = services.submit(name, {}, **options)
        assert (made.created, made.id if live else None) == (live is None, live and live.id)
        if made.created:
            due, late = self.now + delay, None if expires is None else self.now + expires
            crashes = 2 if name == "tests.die" else 3
            model = Model(made.id, name, key, priority, attempts, crashes, self.now, due, late, delay > 0)
            self.tasks[made.id] = model

    @precondition(lambda self: self.tasks)
    @rule(number=st.integers(0, 50))
    def cancel(self, number: int) -> None:
        model = self._pick(number)
        outcome = services.cancel([model.id])
        asked = model.state == "running" and not model.asked
        stopped = model.state in {"queued", "blocked"}
        assert (outcome.changed, outcome.asked, outcome.skipped) == (stopped, asked, not (stopped or asked))
        if stopped:
            model.end("cancelled", self.now)
        model.asked = model.asked or asked

    @precondition(lambda self: self.tasks)
    @rule(numbers=st.lists(st.integers(0, 50), min_size=1, max_size=3))
    def retry(self, numbers: list[int]) -> None:
        models = {model.id: model for model in map(self._pick, numbers)}
        able = [m for m in models.values() if m.state in {"failed", "cancelled"} and not self._live(m.name, m.key)]
        # Of those that share a key, the newest.
        chosen = {(m.name, m.key or m.id): m for m in sorted(able, key=lambda m: m.id)}.values()
        assert services.retry(list(models)).changed == len(chosen)
        for model in chosen:
            model.end("queued", self.now)
            model.run_at, model.asked = self.now, False
            if model.expires is not None and model.expires <= self.now:
                model.expires = None
            model.max_attempts = max(model.max_attempts, model.attempt - model.crashes + 1)
            model.max_crashes = max(model.max_crashes, model.crashes + 1)
            model.resolve("retried")

    @precondition(lambda self: self.tasks)
    @rule(number=st.integers(0, 50))
    def replay(self, number: int) -> None:
        old = self._pick(number)
        made = services.replay([old.id])
        is_able = old.state in FINAL and not self._live(old.name, old.key)
        assert set(made) == ({old.id} if is_able else set())
        for new in made.values():
            old.resolve("replayed")
            limits = (old.max_attempts, old.max_crashes)
            self.tasks[new] = Model(new, old.name, old.key, old.priority, *limits, self.now, self.now, None, False)

    @precondition(lambda self: self.tasks)
    @rule(number=st.integers(0, 50))
    def discard(self, number: int) -> None:
        model = self._pick(number)
        letters = list(DeadLetter.objects.filter(task=model.id).values_list("pk", flat=True))
        assert services.discard(letters).changed == sum(not letter[1] for letter in model.letters)
        model.resolve("discarded")

    # --- what workers do

    @rule(which=st.integers(0, 1), limit=st.integers(1, 3))
    def claim(self, which: int, limit: int) -> None:
        worker = self.workers[which]
        taken = {task.id: task for task in lifecycle.claim(["default"], worker, limit)}
        able = [
            model
            for model in self.tasks.values()
            if model.state == "queued" and not model.parked and (model.expires is None or model.expires > self.now)
        ]
        line = sorted(able, key=lambda model: (-model.priority, model.run_at, model.id))
        expected = line[:limit] if self.alive[worker] > self.now else []
        assert taken.keys() == {model.id for model in expected}
        for model in expected:
            model.state, model.worker, model.lease = "running", worker, taken[model.id].lease
            model.attempt += 1
            assert taken[model.id].attempt == model.attempt
        self.handles += taken.values()

    @precondition(lambda self: self.handles)
    @rule(number=st.integers(0, 50), how=st.sampled_from(sorted(ENDS)), delay=st.sampled_from([0.0, 10.0]))
    def finish(self, number: int, how: str, delay: float) -> None:
        handle = self.handles[-1 - number % len(self.handles)]
        state, outcome = ENDS[how]
        failure = None
        if outcome == "failed":
            failure = Failure("ValueError: no", "builtins.ValueError", "", FAILED, DeathReason.ATTEMPTS)
        model = self._held(handle)
        ended = Ended(handle, state, outcome, 0.1, 0.2, delay=delay, failure=failure)
        assert lifecycle.finish([ended]) == ({handle.id} if model else set())
        if model is None:
            return
        if outcome is None:
            model.attempt -= 1
        else:
            model.executions.append((model.attempt, outcome))
        if state == "queued":
            model.run_at = self.now + delay
        model.end("cancelled" if model.asked and state != "succeeded" else state, self.now)
        model.parked = model.state == "queued" and delay > 0
        if model.state == "failed":
            model.letters.append([FAILED, ""])

    @precondition(lambda self: self.handles)
    @rule(number=st.integers(0, 50))
    def release(self, number: int) -> None:
        handle = self.handles[-1 - number % len(self.handles)]
        model = self._held(handle)
        assert lifecycle.release([handle]) == ([handle.id] if model else [])
        if model:
            model.attempt -= 1
            model.end("cancelled" if model.asked else "queued", self.now)

    @rule(which=st.integers(0, 1))
    def beat(self, which: int) -> None:
        worker = self.workers[which]
        alive = self.alive[worker] > self.now
        assert beat(worker, Pulse()) == alive
        if alive:
            self.alive[worker] = self.now + LEASE

    @rule(which=st.integers(0, 1))
    def lose(self, which: int) -> None:
        """Its process is gone; another takes its place."""
        worker = self.workers[which]
        with connection.cursor() as cursor:
            cursor.execute("UPDATE workers SET lease_until = now() - interval '1s' WHERE id = %s", [worker])
        self.alive[worker] = self.now - 1
        self.workers[which] = self._new_worker()

    # --- what the tick does

    @rule()
    def rescue(self) -> None:
        rescue()
        for model in self.tasks.values():
            if model.state == "running" and self.alive[model.worker or 0] < self.now:
                model.crashes += 1
                model.executions.append((model.attempt, "lost"))
                dead = model.crashes >= model.max_crashes
                model.end("cancelled" if model.asked else "failed" if dead else "queued", self.now)
                if model.state == "failed":
                    model.letters.append([f"lost {model.name}", ""])

    @rule()
    def unpark(self) -> None:
        lifecycle.unpark(1000)
        for model in self.tasks.values():
            model.parked = model.parked and model.run_at > self.now

    @rule()
    def expire(self) -> None:
        late = [
            model
            for model in self.tasks.values()
            if model.state in {"blocked", "queued"} and model.expires is not None and model.expires <= self.now
        ]
        assert lifecycle.expire(1000) == len(late)
        for model in late:
            model.end("expired", self.now)

    @rule(seconds=st.sampled_from([1, 4, 10, 21, 70]))
    def pass_time(self, seconds: int) -> None:
        shift(seconds)
        self.now += seconds

    @rule()
    def prune(self) -> None:
        old = [
            model
            for model in self.tasks.values()
            if model.finished is not None and max(model.created, model.finished) < self.now - 60
        ]
        assert lifecycle.prune(0, 1000, KEEP)[0] == len(old)
        for model in old:
            self.gone.update(letter[0] for letter in model.letters)
            del self.tasks[model.id]

    # --- what must hold

    @invariant()
    def tables_equal_the_model(self) -> None:
        if not hasattr(self, "block"):
            return
        executions: dict[int, list[tuple[int, str]]] = {}
        for task, attempt, outcome in Execution.objects.order_by("pk").values_list("task", "attempt", "outcome"):
            executions.setdefault(task, []).append((attempt, outcome))
        letters: dict[int, list[tuple[str, str]]] = {}
        for task, name, mark, how in DeadLetter.objects.order_by("pk").values_list(
            "task", "name", "fingerprint", "resolution"
        ):
            letters.setdefault(task, []).append((mark if mark == FAILED else f"lost {name}", how))
        found = {}
        for row in Task.objects.all():
            due = round((row.run_at - self.now0).total_seconds() + self.now, 3)
            found[row.pk] = (
                *(row.state, row.attempt, row.crashes, row.max_attempts, row.max_crashes),
                *(row.parked, row.lease, row.cancel_requested_at is not None, row.finished_at is not None, due),
                *(tuple(executions.pop(row.pk, [])), tuple(letters.pop(row.pk, []))),
            )
        assert found == {model.id: model.shown() for model in self.tasks.values()}
        assert (executions, letters) == ({}, {})

    @invariant()
    def groups_count_their_letters(self) -> None:
        if not hasattr(self, "block"):
            return
        every = [letter for model in self.tasks.values() for letter in model.letters]
        total, still_open = Counter(mark for mark, _ in every), Counter(mark for mark, how in every if not how)
        for group in DeadLetterGroup.objects.all():
            mark = group.fingerprint if group.fingerprint == FAILED else f"lost {group.name}"
            assert (group.open, group.total) == (still_open[mark], total[mark] + self.gone[mark])

    @invariant()
    def a_unique_key_is_live_once(self) -> None:
        if hasattr(self, "block"):
            keys = Counter((m.name, m.key) for m in self.tasks.values() if m.key and m.state in LIVE)
            assert max(keys.values(), default=0) <= 1


# Each sequence is a transaction of its own, which is rolled back: its clock stands still, but not for longer.
@pytest.mark.django_db(transaction=True)
def test_any_sequence_of_verbs_leaves_what_the_model_says() -> None:
    """Longer with PROPERTIES=n, n times as many sequences: `make properties`."""
    assert conf.get("LEASE_SECONDS") == LEASE
    run_state_machine_as_test(
        Lifecycle,
        settings=settings(
            max_examples=60 * int(os.environ.get("PROPERTIES", "1")),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
