"""Who runs the tasks in hand: the main thread alone or several threads, and one event loop for coroutines."""

import asyncio
import logging
import os
import signal
import threading

from django.db import connections

from queue_core.execution import (
    Isolated,
    Isolation,
    Run,
    Runner,
    SignalAlarm,
    ThreadAlarm,
    acks_each,
    close_shared_connections,
    isolates,
    run_coroutine,
)
from queue_core.hand import Hand
from queue_core.lifecycle import Ended
from queue_core.writer import Writer

logger = logging.getLogger(__name__)


class Crew:
    """Runs what is in hand in `threads` threads (1: the main thread, by `run_here`) and `coroutines` places."""

    def __init__(
        self, hand: Hand, writer: Writer, stopping: threading.Event, *, threads: int = 1, coroutines: int = 100
    ) -> None:
        self.hand = hand
        self.writer = writer
        self.stopping = stopping
        self.threads = threads
        self.coroutines = coroutines
        self.alarm = SignalAlarm()
        # For every task (see isolate), or for those whose type asks for it.
        self._isolated = Isolated(hand.clock, Isolation())
        self._isolates_all = False
        self._here_seconds = 0.0
        self._here = Runner(self.alarm, hand.clock, stopping.is_set)
        self._work = threading.Semaphore(0)
        self._freed = threading.Event()
        self._closed = False
        self._workers = [
            threading.Thread(target=self._serve, name=f"task-{number}", daemon=True) for number in range(threads)
        ]
        self._loop: Loop | None = None

    @property
    def is_threaded(self) -> bool:
        return self.threads > 1

    def isolate(self, isolation: Isolation) -> None:
        """From now on every task, coroutines too, runs in a child of its own."""
        self._isolated = Isolated(self.hand.clock, isolation)
        self._isolates_all = True
        self.hand.is_async = lambda name: False

    def _run(self, run: Run, runner: Runner) -> Ended:
        isolated = self._isolates_all or isolates(run.task.name)
        return self._isolated.run(run) if isolated else runner.run(run)

    def open(self) -> None:
        if self.is_threaded:
            for worker in self._workers:
                worker.start()

    def close(self) -> None:
        """Wait for what runs."""
        self._closed = True
        if self.is_threaded:
            for _ in self._workers:
                self._work.release()
            for worker in self._workers:
                worker.join()
        if self._loop:
            self._loop.close()
            self._loop = None

    def have_room(self, batch: int) -> bool:
        """Whether a batch of that size would be started at once, or soon because tasks are quick."""
        sizes = (self.threads, self.coroutines)
        for coroutine, size in enumerate(sizes):
            ahead, busy = self.hand.ahead(coroutine=bool(coroutine)), self.hand.busy(coroutine=bool(coroutine))
            if ahead > batch // 4 or (busy + ahead >= size >= batch):
                return False
        return True

    def used(self) -> float:
        """Seconds of this process that finished tasks took: of each its share beside the others."""
        functions, coroutines = self.hand.seconds
        if not self.is_threaded:
            functions = self._here_seconds  # the writing that held them up included
        return functions / self.threads + coroutines / self.coroutines

    def wait(self, seconds: float) -> None:
        """Until a task ends, or for so long."""
        self._freed.wait(seconds)
        self._freed.clear()

    def tell_freed(self) -> None:
        if not self._freed.is_set():
            self._freed.set()

    def start_new(self) -> None:
        """Have others run what was put into the hand; in a crew of one thread that is coroutines only."""
        if self.is_threaded:
            self._work.release(max(1, self.hand.ahead()))
        if self.hand.ahead(coroutine=True):
            if self._loop is None:
                self._loop = Loop(self)
                self._loop.start()
            self._loop.tell()

    def run_here(self) -> None:
        """Run the functions in hand one after the other, in the main thread."""
        started = self.hand.clock()
        while not self.stopping.is_set():
            run = self.hand.next()
            if run is None:
                break
            if run.task.crashes:
                self.hand.flush()
            ended = self._run(run, self._here)
            self.hand.done(run, ended)
            if self.must_wait(ended):
                self.hand.flush()
            elif self.hand.is_due():
                self.writer.kick()
        self._here_seconds += self.hand.clock() - started

    def must_wait(self, ended: Ended) -> bool:
        """Whether the next task may only start when this outcome is written."""
        return self.hand.is_overdue() or acks_each(ended.task.name)

    def is_due(self, ended: Ended) -> bool:
        """Whether outcomes should be written soon; at once when this may release the only tasks there are."""
        is_last = ended.task.awaited and not self.hand.ahead(coroutine=self.hand.is_async(ended.task.name))
        return is_last or self.hand.is_due()

    def _serve(self) -> None:
        """What each of several threads does."""
        try:
            runner = Runner(ThreadAlarm(), self.hand.clock, self.stopping.is_set)
            while not self._closed:
                self._work.acquire()
                self._run_next(runner)
        except BaseException:
            logger.exception("a thread of this process failed; the process ends")
            os.kill(os.getpid(), signal.SIGTERM)
        connections.close_all()

    def _run_next(self, runner: Runner) -> None:
        run = None if self.stopping.is_set() else self.hand.next()
        if run is None:
            return
        ended = self._run(run, runner)
        self.hand.done(run, ended)
        if self.must_wait(ended):
            self.writer.wait_for(ended)
        elif self.is_due(ended):
            self.writer.kick()
        self.tell_freed()


class Loop(threading.Thread):
    """The event loop of this process, in a thread of its own."""

    def __init__(self, crew: Crew) -> None:
        super().__init__(name="coroutines", daemon=True)
        self.crew = crew
        self._loop = asyncio.new_event_loop()
        self._running: set[asyncio.Task[None]] = set()
        self._closing = False

    def tell(self) -> None:
        """There are new coroutines in hand."""
        self._loop.call_soon_threadsafe(self._start_more)

    def close(self) -> None:
        """Wait for what runs."""
        self._loop.call_soon_threadsafe(self._close)
        self.join()

    def run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            for stray in asyncio.all_tasks(self._loop):  # what tasks started and did not wait for
                stray.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        except BaseException:
            logger.exception("the event loop of this process failed; the process ends")
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            self._loop.close()
            close_shared_connections()

    def _close(self) -> None:
        self._closing = True
        if not self._running:
            self._loop.stop()

    def _start_more(self) -> None:
        while len(self._running) < self.crew.coroutines and not self.crew.stopping.is_set():
            run = self.crew.hand.next(coroutine=True)
            if run is None:
                break
            task = self._loop.create_task(self._serve(run))
            self._running.add(task)
            task.add_done_callback(self._ended)

    async def _serve(self, run: Run) -> None:
        crew = self.crew
        ended = await run_coroutine(run, crew.hand.clock)
        crew.hand.done(run, ended)
        if crew.must_wait(ended):
            await asyncio.to_thread(crew.writer.wait_for, ended)
        elif crew.is_due(ended):
            crew.writer.kick()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception():
            logger.error("a coroutine's outcome was lost", exc_info=task.exception())
            os.kill(os.getpid(), signal.SIGTERM)
        self.crew.tell_freed()
        if self._closing and not self._running:
            self._loop.stop()
        else:
            self._start_more()
