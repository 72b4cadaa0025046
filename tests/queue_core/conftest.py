import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, connections

from queue_core import broker, conf, drain
from queue_core.models import Worker
from queue_core.services.register_worker import register_worker
from queue_core.ticker import tick
from tests import tasks  # noqa: F401 - registers tests.*


@pytest.fixture(autouse=True)
def silent_bell(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[str]:
    """The rings of this test, instead of Valkey's; tests of the bell itself ask for `real_bell`."""
    rung: list[str] = []
    if "real_bell" not in request.fixturenames:
        monkeypatch.setattr(broker, "ring", rung.append)
    return rung


@pytest.fixture
def real_bell() -> None:
    """Rings go to Valkey."""


@pytest.fixture
def worker_id(db: None) -> int:
    """A live worker row, as a worker process would have."""
    return register_worker(conf.queues())


@pytest.fixture
def lose() -> Callable[[int], None]:
    """Let a worker's lease run out."""

    def run_out(worker_id: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE workers SET lease_until = now() - interval '1s' WHERE id = %s", [worker_id])

    return run_out


@pytest.fixture
def station(transactional_db: None) -> Iterator[drain.Station]:
    """A worker process's inside, run in the test's own process: `station.serve(5, burst=True)`."""
    tick(if_older_than=0)  # as a scheduler does: the worker stands in for none
    made = drain.Station(conf.queues())
    made.open()
    yield made
    made.close()
    assert threading.active_count() < 20
    assert not Worker.objects.filter(pk=made.keeper.worker_id, state="online").exists()


@pytest.fixture
def in_thread() -> Callable[[Callable[[], Any]], threading.Thread]:
    """Run something on a connection of its own, at the same time."""

    def start(work: Callable[[], Any]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            finally:
                connections.close_all()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    return start
