"""The faults, drawn by a seed; each is written down with its time."""

import heapq
import itertools
import random
import signal
import time
from collections.abc import Callable

import redis

from tests.chaos.fleet import Fleet, send
from tests.chaos.history import Kill

POSTGRESQL, VALKEY = "PostgreSQL", "Valkey"
# How often each is drawn.
WEIGHTS = {
    "kill_worker": 5,
    "kill_pool": 2,
    "kill_host": 1,
    "freeze_worker": 3,
    "freeze_scheduler": 1,
    "kill_scheduler": 2,
    "second_scheduler": 1,
    "flush_valkey": 2,
    "restart_valkey": 2,
    "take_valkey_away": 1,
    "restart_postgresql": 1,
    "crash_postgresql": 1,
    "take_postgresql_away": 1,
}


class Nemesis:
    """Does harm to a fleet, and undoes it. `lease` is that of the workers, in seconds."""

    def __init__(self, fleet: Fleet, rng: random.Random, lease: float, valkey_url: str) -> None:
        self.fleet, self.rng, self.lease = fleet, rng, lease
        self.started = time.monotonic()
        self.log: list[tuple[float, str]] = []
        self.kills: list[Kill] = []
        self.frozen: set[int] = set()
        self._valkey_url = valkey_url
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def torment(self, seconds: float, gap: float) -> None:
        """Faults for so long, `gap` seconds apart on average. Each kind comes once before any comes again by chance."""
        names = list(WEIGHTS)
        self.rng.shuffle(names)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.wait(min(left, self.rng.uniform(0.5, 1.5) * gap))
            if time.monotonic() < deadline:
                name = names.pop() if names else self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
                getattr(self, name)()

    def kill_workers(self, count: int, gap: float) -> None:
        """Nothing but `kill -9` of worker processes, `gap` seconds apart on average."""
        while len(self.kills) < count:
            self.wait(self.rng.uniform(0.5, 1.5) * gap)
            self.kill_worker()

    def wait(self, seconds: float) -> None:
        """Let time pass, undo what is to be undone by now, and start again what has ended."""
        deadline = time.monotonic() + seconds
        while True:
            self._undo(time.monotonic())
            self.fleet.supervise()
            left = deadline - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(0.1, left))

    def heal(self) -> None:
        """Undo everything now."""
        self._undo(float("inf"))
        self.fleet.start_servers()
        self.fleet.supervise()
        self._note("healed")

    def _undo(self, until: float) -> None:
        while self._later and self._later[0][0] <= until:
            heapq.heappop(self._later)[2]()

    def _after(self, seconds: float, undo: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._order), undo))

    def _note(self, what: str) -> None:
        self.log.append((round(time.monotonic() - self.started, 1), what))

    def _a_worker(self) -> int | None:
        workers = [pid for pid in self.fleet.workers() if pid not in self.frozen]
        return self.rng.choice(workers) if workers else None

    def _kill(self, pid: int) -> None:
        if send(pid, signal.SIGKILL):
            self.kills.append(Kill(pid, time.time()))

    def kill_worker(self) -> None:
        pid = self._a_worker()
        if pid:
            self._kill(pid)
            self._note(f"kill -9 of worker process {pid}")

    def kill_pool(self) -> None:
        """The parent alone: its children finish what they run and end."""
        pool = self.rng.choice(self.fleet.pools)
        if pool.pid and send(pool.pid, signal.SIGKILL):
            self._note("kill -9 of the parent of a pool")

    def kill_host(self) -> None:
        """A pool with all its children at once, as when a machine goes."""
        pool = self.rng.choice(self.fleet.pools)
        if pool.pid:
            children = [pid for pid in self.fleet.workers_of(pool) if pid not in self.frozen]
            send(pool.pid, signal.SIGKILL)
            for pid in children:
                self._kill(pid)
            pool.not_before = time.monotonic() + self.rng.uniform(0, 2)
            self._note(f"kill -9 of a pool with its {len(children)} children")

    def freeze_worker(self) -> None:
        """Stopped for longer than its lease, then continued."""
        pid = self._a_worker()
        if pid and send(pid, signal.SIGSTOP):
            self.frozen.add(pid)
            seconds = self.lease + self.rng.uniform(0.5, 3)
            self._after(seconds, lambda: self._thaw(pid, f"worker process {pid}"))
            self._note(f"STOP of worker process {pid} for {seconds:.1f} s")

    def freeze_scheduler(self) -> None:
        pid = self.fleet.schedulers[0].pid
        if pid and send(pid, signal.SIGSTOP):
            seconds = self.rng.uniform(1, 4)
            self._after(seconds, lambda: self._thaw(pid, "scheduler"))
            self._note(f"STOP of the scheduler for {seconds:.1f} s")

    def _thaw(self, pid: int, what: str) -> None:
        if send(pid, signal.SIGCONT):
            self._note(f"CONT of {what}")

    def kill_scheduler(self) -> None:
        scheduler = self.fleet.schedulers[0]
        if scheduler.pid and send(scheduler.pid, signal.SIGKILL):
            scheduler.not_before = time.monotonic() + self.rng.uniform(0, 4)
            self._note("kill -9 of the scheduler")

    def second_scheduler(self) -> None:
        """From now on there are two."""
        if len(self.fleet.schedulers) == 1:
            self.fleet.add_scheduler()
            self._note("a second scheduler")

    def flush_valkey(self) -> None:
        try:
            with redis.Redis.from_url(self._valkey_url, socket_timeout=2) as client:
                client.flushall()
            self._note("FLUSHALL")
        except redis.RedisError:
            self._note("no FLUSHALL: Valkey is away")

    def restart_valkey(self) -> None:
        self.fleet.stop_server(VALKEY, self.rng.choice([signal.SIGTERM, signal.SIGKILL]))
        self.fleet.start_servers()
        self._note("restart of Valkey")

    def restart_postgresql(self) -> None:
        self.fleet.stop_server(POSTGRESQL, signal.SIGINT)
        self.fleet.start_servers()
        self._note("restart of PostgreSQL (fast)")

    def crash_postgresql(self) -> None:
        self.fleet.stop_server(POSTGRESQL, signal.SIGQUIT)
        self.fleet.start_servers()
        self._note("restart of PostgreSQL (immediate: it recovers from its log)")

    def take_valkey_away(self) -> None:
        self._take_away(VALKEY, signal.SIGTERM)

    def take_postgresql_away(self) -> None:
        self._take_away(POSTGRESQL, signal.SIGINT)

    def _take_away(self, title: str, how: signal.Signals) -> None:
        seconds = self.rng.uniform(1, 5)
        self.fleet.stop_server(title, how)
        self._note(f"{title} away for {seconds:.1f} s")
        # Any later fault that starts servers brings it back as well.
        self._after(seconds, self.fleet.start_servers)
