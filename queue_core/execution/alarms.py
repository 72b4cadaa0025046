"""How a running task is ended from outside: by a signal in the main thread, by an asynchronous exception in others,
by cancellation on an event loop.

`arm` and `disarm` are called by who runs the task, around its code; `expire` and `cancel` by the keeper thread. An
alarm that comes late never hits the next task.
"""

import asyncio
import ctypes
import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from queue_core.errors import TaskCancelled, TaskTimeout

if TYPE_CHECKING:
    from queue_core.execution.run import Run
    from queue_core.lifecycle import Ended


class Alarm(Protocol):
    def arm(self, run: "Run", seconds: float) -> None:
        """The code of `run` starts now and may take so long."""

    def disarm(self) -> None:
        """It has ended."""

    def expire(self, run: "Run") -> None:
        """Raise TaskTimeout in it, once."""

    def cancel(self, run: "Run") -> None:
        """Raise TaskCancelled in it."""

    def kill(self, ended: "Ended") -> bool:
        """End it by force, as `ended` says; False where only the end of this process could."""

    def is_at_work(self, run: "Run") -> bool:
        """Whether it is this task that occupies its thread: of those on an event loop one at most does."""


class SignalAlarm:
    """For the main thread: SIGALRM interrupts even a system call. Times out by itself."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self._cancelled: Run | None = None
        self._due = 0.0

    def install(self) -> None:
        signal.signal(signal.SIGALRM, self._ring)

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        run = self._run
        if run is None:
            return
        if self._cancelled is run:
            self._run = None
            raise TaskCancelled
        if time.monotonic() >= self._due:
            self._run = None
            raise TaskTimeout

    def arm(self, run: "Run", seconds: float) -> None:
        self._due = time.monotonic() + seconds - 0.001
        self._run = run
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def disarm(self) -> None:
        self._run = None
        signal.setitimer(signal.ITIMER_REAL, 0)

    def expire(self, run: "Run") -> None:
        pass

    def cancel(self, run: "Run") -> None:
        self._cancelled = run
        os.kill(os.getpid(), signal.SIGALRM)  # Python runs handlers in the main thread, where the task is

    def kill(self, ended: "Ended") -> bool:
        return False

    def is_at_work(self, run: "Run") -> bool:
        return True


def _set_async_exc(thread: int, error: type[BaseException] | None) -> None:
    """Have a thread raise `error` soon; None takes back one that was not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error and ctypes.py_object(error))


class ThreadAlarm:
    """For the thread that makes it. Python delivers the exception before the next bytecode: not inside a call that
    waits in C, such as a long sleep."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._expired: Run | None = None

    def arm(self, run: "Run", seconds: float) -> None:
        with self._lock:
            self._run = run

    def disarm(self) -> None:
        while True:
            try:
                with self._lock:
                    self._run = None
                    _set_async_exc(self._thread, None)  # one that is on its way must not land in the next task
                return
            except (TaskTimeout, TaskCancelled):
                continue  # it landed here

    def expire(self, run: "Run") -> None:
        if self._expired is not run:
            self._expired = run
            self._raise(run, TaskTimeout)

    def cancel(self, run: "Run") -> None:
        self._raise(run, TaskCancelled)

    def _raise(self, run: "Run", error: type[BaseException]) -> None:
        with self._lock:
            if self._run is run:
                _set_async_exc(self._thread, error)

    def kill(self, ended: "Ended") -> bool:
        return False

    def is_at_work(self, run: "Run") -> bool:
        return True


class CoroutineAlarm:
    """For one coroutine, made in its asyncio task: cancels that task, and knows why."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._asyncio_task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self.raised: type[BaseException] | None = None

    def arm(self, run: "Run", seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._raise, TaskTimeout)

    def disarm(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._asyncio_task = None

    def expire(self, run: "Run") -> None:
        pass

    def cancel(self, run: "Run") -> None:
        with suppress(RuntimeError):  # the loop has just ended, and this with it
            self._loop.call_soon_threadsafe(self._raise, TaskCancelled)

    def _raise(self, error: type[BaseException]) -> None:
        if self._asyncio_task:
            self.raised = error
            self._asyncio_task.cancel()

    def kill(self, ended: "Ended") -> bool:
        return False

    def is_at_work(self, run: "Run") -> bool:
        current = asyncio.current_task(self._loop)  # may be asked from any thread
        return current is None or current is self._asyncio_task
