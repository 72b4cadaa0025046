"""Steering workers and scaling pools: what is written down, and what is refused. Real processes: tests/e2e."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from queue_core import services
from queue_core.errors import InvalidSteer
from queue_core.models import Worker, WorkerPool
from queue_core.services.beat import Pulse, acknowledge, beat, desired, sign_off
from queue_core.services.register_worker import register_worker
from queue_core.services.worker_pool import close_pool, open_pool, poll_pool
from queue_core.states import STEERS, Desire
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
VERBS: dict[Desire, Callable[..., services.BulkOutcome]] = {
    Desire.PAUSE: services.pause_worker,
    Desire.RUN: services.resume_worker,
    Desire.DRAIN: services.drain_worker,
    Desire.STOP: services.stop_worker,
}


def worker_that_is(desire: str, **values: Any) -> int:
    made = register_worker(["default"])
    Worker.objects.filter(pk=made).update(desired=desire, **values)
    return made


@pytest.mark.parametrize("before", Desire)
@pytest.mark.parametrize("verb", Desire)
def test_a_verb_moves_exactly_the_workers_it_may(verb: Desire, before: Desire) -> None:
    made = worker_that_is(before)
    outcome = VERBS[verb]([made])
    moved = before in STEERS[verb]
    assert (outcome.changed, outcome.skipped) == (int(moved), int(not moved))
    assert desired(made) == (verb if moved else before)
    assert (Worker.objects.get(pk=made).desired_at is not None) == moved


@pytest.mark.parametrize("verb", Desire)
def test_workers_that_have_ended_or_are_not_there_are_skipped(verb: Desire, lose: Callable[[int], None]) -> None:
    stopped, silent = (worker_that_is(min(STEERS[verb])) for _ in range(2))
    sign_off(stopped)
    lose(silent)
    outcome = VERBS[verb]([stopped, silent, 2**62, stopped])
    assert (outcome.changed, outcome.skipped) == (0, 3)
    assert VERBS[verb]([]).changed == 0


def test_an_acknowledgement_has_the_time_it_took() -> None:
    made = register_worker(["default"])
    acknowledge(made, Desire.RUN)
    assert Worker.objects.get(pk=made).acknowledged_at is None
    services.pause_worker([made])
    acknowledge(made, Desire.PAUSE)
    row = Worker.objects.get(pk=made)
    assert row.acknowledged == "pause"
    assert row.acknowledged_at >= row.desired_at


def test_what_was_asked_holds_for_the_row_after_a_lost_lease(lose: Callable[[int], None]) -> None:
    first = worker_that_is(Desire.PAUSE)
    lose(first)
    assert not beat(first, Pulse())
    assert desired(register_worker(["default"], after=first)) == "pause"
    assert desired(register_worker(["default"])) == "run"
    assert desired(2**62) is None


def pooled(pool: int, pid: int, **values: Any) -> int:
    made = register_worker(["default"], pool=pool)
    Worker.objects.filter(pk=made).update(pid=pid, **values)
    return made


def test_workers_that_are_to_end_make_their_pool_smaller_once() -> None:
    pool = open_pool(["default"], 3)
    made = [pooled(pool, pid) for pid in (11, 12, 13)]
    services.pause_worker(made[:1])
    services.drain_worker(made[:2])
    services.stop_worker(made[:2])
    assert WorkerPool.objects.get().wanted == 1
    # Both still have their places.
    assert poll_pool(pool, [11, 12, 13]) == 3
    sign_off(made[0])
    assert poll_pool(pool, [12, 13]) == 2
    assert desired(made[2]) == "run"


def test_a_pool_that_shrinks_drains_the_idle_and_the_young() -> None:
    pool = open_pool(["default"], 4)
    busy, old, young, youngest = (pooled(pool, pid) for pid in (11, 12, 13, 14))
    pooled(pool, 15)  # of a process that is gone; it counts for nothing
    Worker.objects.filter(pk__in=[busy, youngest]).update(current_task=1)
    services.scale_pool(pool, 2)
    assert poll_pool(pool, [11, 12, 13, 14]) == 4
    assert [desired(pk) for pk in (busy, old, young, youngest)] == ["run", "drain", "drain", "run"]
    assert poll_pool(pool, [11, 12, 13, 14]) == 4
    services.scale_pool(pool, 1)
    poll_pool(pool, [11, 14])
    assert [desired(pk) for pk in (busy, youngest)] == ["run", "drain"]
    assert WorkerPool.objects.get().running == 2
    assert poll_pool(2**62, []) is None


@pytest.mark.parametrize("wanted", [0, -1, 257, 10**30, True, "3", None, 1.5])
def test_a_size_out_of_range_is_refused(wanted: Any) -> None:
    with pytest.raises(InvalidSteer, match="from 1 to 256"):
        services.scale_pool(open_pool(["default"], 1), wanted)


def test_a_pool_that_has_ended_or_is_silent_is_not_scaled() -> None:
    ended, silent = open_pool(["default"], 1), open_pool(["default"], 1)
    close_pool(ended)
    WorkerPool.objects.filter(pk=silent).update(heartbeat_at="2020-01-01T00:00Z")
    for pool in (ended, silent, 2**62):
        with pytest.raises(services.PoolGone, match="There is no pool"):
            services.scale_pool(pool, 2)
    assert not services.live_pools()


# --- the commands


def told(*words: object) -> str:
    out = io.StringIO()
    call_command(*map(str, words), stdout=out)
    return out.getvalue()


def test_workers_lists_who_is_alive() -> None:
    pool = open_pool(["default", "low"], 2)
    alive, gone = pooled(pool, 11, current_task=7), register_worker(["low"])
    sign_off(gone)
    text = told("workers")
    assert "0 of 2 processes serve default, low" in text
    assert "task 7" in text
    assert "Without a pool" not in text
    other = register_worker(["low"])
    lines = [line.split() for line in told("workers").splitlines()]
    starts = [line[0] for line in lines]
    assert starts == ["Pool", "id", str(alive), "Without", "id", str(other)]
    sign_off(other)
    shown = json.loads(told("workers", "list", "--json"))
    assert [worker["id"] for worker in shown["workers"]] == [alive]
    assert [row["id"] for row in shown["pools"]] == [pool]


def test_workers_steers_some_or_all() -> None:
    made = [register_worker(["default"]) for _ in range(3)]
    assert told("workers", "pause", made[0]) == "Paused 1 worker.\n"
    assert json.loads(told("workers", "drain", "--all", "--json")) == {"changed": 3, "skipped": 0}
    with pytest.raises(CommandError, match="not paused") as raised:
        told("workers", "resume", made[0])
    assert raised.value.returncode == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("pause",), "Say which workers"),
        (("stop", "1", "--all"), "Say which workers"),
        (("list", "1"), "leave out ids"),
        (("pause", "x"), "not an id"),
        (("pause", "9" * 30), "not an id"),
        (("kill", "1"), "invalid choice"),
    ],
)
def test_workers_says_what_is_wrong_with_the_command_line(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message) as raised:
        told("workers", *words)
    # What argparse refuses ends a process with 2, and has 1 here.
    assert raised.value.returncode == (1 if "an id" in message or "choice" in message else 2)


def test_scale_says_what_was_done_or_why_not() -> None:
    pool = open_pool(["default"], 1)
    assert "is to have 5 processes" in told("scale", pool, 5)
    assert json.loads(told("scale", pool, 6, "--json")) == {"id": pool, "wanted": 6}
    for words, message in (((pool, 0), "from 1 to 256"), ((pool + 1, 2), "no pool"), (("x", 2), "no pool x")):
        with pytest.raises(CommandError, match=message):
            told("scale", *words)


def test_scale_takes_the_name_of_a_pool_unless_two_have_it() -> None:
    pool = open_pool(["default"], 1)
    name = WorkerPool.objects.get().name
    assert json.loads(told("scale", name, 6, "--json")) == {"id": pool, "wanted": 6}
    other = open_pool(["default"], 1)
    with pytest.raises(CommandError, match=f"{pool} or {other}"):
        told("scale", name, 7)
    with pytest.raises(CommandError, match="not an id"):
        told("scale", "9" * 30, 7)


def test_what_is_so_already_is_no_error_over_the_api(client: Client) -> None:
    client.force_login(UserFactory(is_superuser=True))
    worker = register_worker(["default"])

    def ask(verb: str) -> tuple[int, str]:
        answer = client.post(f"/api/v1/workers/{worker}/{verb}/")
        return answer.status_code, answer.json().get("desired", answer.json().get("state"))

    assert [ask(verb) for verb in ("pause", "pause")] == [(200, "pause")] * 2
    assert [ask(verb) for verb in ("resume", "resume")] == [(200, "run")] * 2
    assert [ask(verb) for verb in ("drain", "drain")] == [(200, "drain")] * 2
    assert ask("pause") == (409, "drain")
    sign_off(worker)
    assert ask("drain") == (409, "stopped")
