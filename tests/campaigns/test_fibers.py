"""Conversations that take turns in one thread."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from campaigns import fibers
from campaigns.fibers import READABLE, WRITABLE, Loop


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    here.setblocking(False)
    there.setblocking(False)
    yield here, there
    here.close()
    there.close()


def run(*functions: Callable[[], None]) -> None:
    loop = Loop()
    for function in functions:
        loop.start(function)
    loop.run()


def soon() -> float:
    return time.monotonic() + 5


def test_one_that_waits_lets_the_others_go_on(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    said: list[str] = []

    def asks() -> None:
        here.send(b"?")
        said.append("asked")
        fibers.wait(here.fileno(), READABLE, soon())
        said.append(here.recv(1).decode())

    def answers() -> None:
        fibers.wait(there.fileno(), READABLE, soon())
        said.append(there.recv(1).decode())
        there.send(b"!")

    run(asks, answers)
    assert said == ["asked", "?", "!"]


def test_a_wait_has_an_end_in_a_fiber_and_outside_of_one(pair: tuple[socket.socket, socket.socket]) -> None:
    here, _ = pair
    late: list[float] = []

    def waits() -> None:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            fibers.wait(here.fileno(), READABLE, began + 0.3)
        late.append(time.monotonic() - began)

    run(waits, lambda: None)
    waits()
    assert all(0.25 <= seconds < 2 for seconds in late)
    with pytest.raises(TimeoutError):
        fibers.wait(here.fileno(), WRITABLE, time.monotonic() - 1)


def test_a_full_socket_is_waited_for_until_it_can_be_written(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    data, received = b"x" * 1_000_000, 0

    def writes() -> None:
        sent = 0
        while sent < len(data):
            try:
                sent += here.send(data[sent:])
            except BlockingIOError:
                fibers.wait(here.fileno(), WRITABLE, soon())

    def reads() -> None:
        nonlocal received
        while received < len(data):
            fibers.wait(there.fileno(), READABLE, soon())
            received += len(there.recv(65_536))

    run(writes, reads)
    assert received == len(data)


def test_who_is_parked_is_woken_by_another_thread() -> None:
    loop, seen = Loop(), []

    def waits_for_work() -> None:
        while not work:
            fibers.park()
        seen.append(work.pop())

    work: list[int] = []
    loop.start(waits_for_work)
    thread = threading.Thread(target=loop.run)
    thread.start()
    time.sleep(0.1)
    loop.wake()  # for nothing: it looks, and waits on
    work.append(7)
    loop.wake()
    thread.join(5)
    assert not thread.is_alive()
    assert seen == [7]


def test_more_functions_may_be_started_while_it_runs_and_none_after_its_end() -> None:
    loop, seen = Loop(), []

    def first() -> None:
        loop.start(lambda: seen.append("second"))
        seen.append("first")

    loop.start(first)
    loop.run()
    loop.start(lambda: seen.append("too late"))
    loop.wake()
    assert seen == ["first", "second"]


def test_what_blocks_is_done_aside_and_the_others_go_on() -> None:
    seen: list[str] = []

    def looks_up() -> None:
        seen.append(fibers.aside(lambda: (time.sleep(0.3), "found")[1], soon()))

    def fails() -> None:
        with pytest.raises(OSError, match="no such name"):
            fibers.aside(lambda: (_ for _ in ()).throw(OSError("no such name")), soon())
        seen.append("failed")

    run(looks_up, fails, lambda: seen.append("meanwhile"))
    assert (sorted(seen[:2]), seen[2:]) == (["failed", "meanwhile"], ["found"])
    assert fibers.aside(lambda: 3, soon()) == 3


def test_what_blocks_for_too_long_is_left_behind() -> None:
    held, seen = threading.Event(), []

    def looks_up() -> None:
        with pytest.raises(TimeoutError):
            fibers.aside(held.wait, time.monotonic() + 0.1)
        seen.append("gave up")

    began = time.monotonic()
    try:
        run(*[looks_up] * 8, lambda: seen.append("meanwhile"))
        assert fibers.aside(lambda: "others", time.monotonic() + 2) == "others"
        with pytest.raises(TimeoutError):
            fibers.aside(held.wait, time.monotonic() + 0.1)
    finally:
        held.set()
    assert seen == ["meanwhile", *["gave up"] * 8]
    assert time.monotonic() - began < 3


def test_only_a_fiber_can_be_parked() -> None:
    with pytest.raises(RuntimeError, match="Only a fiber"):
        fibers.park()
