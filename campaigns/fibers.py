"""Fibers: conversations that wait for their sockets in turns, in one thread, each written as if it waited alone.

A thread per connection works too, but a mail is many short calls of the system, and at each of them Python hands its
lock to another thread: between five of them that took as long as the work itself (docs/benchmarks.md).
"""

import math
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from greenlet import getcurrent, greenlet

T = TypeVar("T")

READABLE, WRITABLE = select.EPOLLIN, select.EPOLLOUT
# How late a wait may notice that its time is over (seconds).
_LATE_SECONDS = 0.25


class Fiber(greenlet):
    """One function under way in a `Loop`."""

    def __init__(self, loop: "Loop", function: Callable[[], None]) -> None:
        super().__init__(function)
        self.loop = loop
        self.deadline = 0.0


class Loop:
    """Runs fibers, in the thread that calls `run`. `start` and `wake` may be called from any thread."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._bell, select.EPOLLIN)
        self._new: deque[Callable[[], None]] = deque()
        self._parked: list[Fiber] = []
        self._waiting: dict[int, Fiber] = {}
        self._lock = threading.Lock()
        self._is_over = False
        self._looked_at = 0.0

    def start(self, function: Callable[[], None]) -> None:
        """Have a fiber run the function, which raises nothing. After the end of `run` it is left alone."""
        self._new.append(function)
        self.wake()

    def wake(self) -> None:
        """Have every parked fiber look again."""
        with self._lock:
            if not self._is_over:
                os.eventfd_write(self._bell, 1)

    def run(self) -> None:
        """Until the functions that were started, and those started meanwhile, are over."""
        self._home = getcurrent()
        try:
            while self._new or self._parked or self._waiting:
                while self._new:
                    Fiber(self, self._new.popleft()).switch()
                if self._parked or self._waiting:
                    self._turn()
        finally:
            with self._lock:
                self._is_over = True
                self._poll.close()
                os.close(self._bell)

    def park(self, fiber: Fiber, deadline: float = math.inf) -> None:
        """Until the next `wake`, also one that came shortly before, or until the deadline."""
        fiber.deadline = deadline
        self._parked.append(fiber)
        self._home.switch()

    def wait(self, fiber: Fiber, descriptor: int, events: int, deadline: float) -> None:
        once = events | select.EPOLLONESHOT
        try:
            self._poll.modify(descriptor, once)
        except FileNotFoundError:
            self._poll.register(descriptor, once)
        fiber.deadline = deadline
        self._waiting[descriptor] = fiber
        self._home.switch()

    def _turn(self) -> None:
        for descriptor, _ in self._poll.poll(_LATE_SECONDS):
            if descriptor == self._bell:
                os.eventfd_read(self._bell)
                parked, self._parked = self._parked, []
                for fiber in parked:
                    fiber.switch()
            elif (found := self._waiting.pop(descriptor, None)) is not None:
                found.switch()
        now = time.monotonic()
        if now - self._looked_at >= _LATE_SECONDS:
            self._looked_at = now
            self._end_waits(now)

    def _end_waits(self, now: float) -> None:
        for descriptor, fiber in list(self._waiting.items()):
            if now >= fiber.deadline and self._waiting.pop(descriptor, None) is not None:
                fiber.throw(TimeoutError)
        for fiber in [parked for parked in self._parked if now >= parked.deadline]:
            self._parked.remove(fiber)
            fiber.switch()


def park() -> None:
    """In a fiber: until its loop is woken."""
    fiber = getcurrent()
    if not isinstance(fiber, Fiber):
        raise RuntimeError("Only a fiber can be parked.")
    fiber.loop.park(fiber)


def wait(descriptor: int, events: int, deadline: float) -> None:
    """Until a socket is READABLE or WRITABLE, or has an error to tell; TimeoutError at `deadline` (time.monotonic).

    A fiber lets the others of its loop go on meanwhile; elsewhere the thread waits.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    fiber = getcurrent()
    if isinstance(fiber, Fiber):
        fiber.loop.wait(fiber, descriptor, events, deadline)
        return
    poll = select.poll()
    poll.register(descriptor, events)
    if not poll.poll(left * 1000):
        raise TimeoutError


def aside(function: Callable[[], T], deadline: float) -> T:
    """The answer of a function that blocks; TimeoutError at `deadline` (time.monotonic), without an end to its work.

    A fiber lets the others of its loop go on meanwhile. Each call has a thread of its own: those whose answer does not
    come must not keep the others waiting, nor the process from ending.
    """
    answer: Future[T] = Future()
    fiber = getcurrent()
    if isinstance(fiber, Fiber):
        answer.add_done_callback(lambda _: fiber.loop.wake())
    threading.Thread(target=_answer, args=(answer, function), daemon=True, name="aside").start()
    if not isinstance(fiber, Fiber):
        return answer.result(max(0.0, deadline - time.monotonic()))
    while not answer.done():
        if time.monotonic() >= deadline:
            raise TimeoutError
        fiber.loop.park(fiber, deadline)
    return answer.result()


def _answer(answer: Future[T], function: Callable[[], T]) -> None:
    try:
        answer.set_result(function())
    except Exception as error:
        answer.set_exception(error)
