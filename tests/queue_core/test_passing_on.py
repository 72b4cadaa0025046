"""From one step of a workflow to the next: the worker that ends one claims at once what that released."""

from uuid import uuid4

import pytest

from queue_core import lifecycle, services
from queue_core.drain import Station
from queue_core.lifecycle import Claimed, Ended
from queue_core.models import Task
from queue_core.states import Desire, Outcome, TaskState
from tests.queue_core.test_workflow_scale import noop


def chain(length: int) -> None:
    services.submit_workflow("chain", [noop("0"), *(noop(str(n), str(n - 1)) for n in range(1, length))])


def ended(*, awaited: bool) -> Ended:
    task = Claimed(1, "tests.noop", "default", "{}", 1, 5, 0, lease=uuid4(), awaited=awaited)
    return Ended(task, TaskState.SUCCEEDED, Outcome.SUCCEEDED, 0.0, 0.001)


def test_a_chain_is_passed_on_without_a_bell_or_a_wait(
    station: Station, silent_bell: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(station.hand, "is_due", lambda: False)  # a slow machine would write in between
    monkeypatch.setattr(station.writer, "kick", lambda: None)
    monkeypatch.setattr(station, "_ring_for_others", lambda queue: None)
    monkeypatch.setattr(station.keeper.stand_in, "look", lambda: None)  # its heartbeat rings for what waits
    chain(20)
    silent_bell.clear()
    while station.turn():
        pass
    assert Task.objects.filter(state="succeeded").count() == 20
    assert silent_bell == []


def test_what_goes_to_a_queue_of_others_is_rung_for(station: Station, silent_bell: list[str]) -> None:
    station.claims.queues = station.queues = ["default"]
    services.submit_workflow("two", [noop("a"), {**noop("b", "a"), "queue": "mail"}])
    silent_bell.clear()
    station.turn()
    assert "mail" in silent_bell


def test_a_worker_that_may_take_no_more_rings_for_others(station: Station, silent_bell: list[str]) -> None:
    chain(2)
    batch = lifecycle.claim(["default"], station.keeper.worker_id, 1)
    station.orders._obey(Desire.PAUSE, station.hand)
    silent_bell.clear()
    station.run_batch(batch)
    assert silent_bell == ["default"]


@pytest.mark.parametrize("awaited", [True, False])
def test_threads_write_at_once_what_others_wait_for_when_nothing_else_lies_ahead(
    station: Station, awaited: bool
) -> None:
    assert station.crew.is_due(ended(awaited=awaited)) == awaited
    station.hand.take([ended(awaited=False).task])
    assert not station.crew.is_due(ended(awaited=awaited))
    station.hand.next()
