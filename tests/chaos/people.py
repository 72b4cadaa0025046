"""People and programs at the queue: a seeded mix of submissions, and verbs on what was submitted."""

import datetime
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from django.db import Error, connection

from queue_core import services
from queue_core.models import DeadLetter, Task

_RECENT = 300
_LIMITED = ("low", 2)
_CUSTOMERS = range(1, 6)


class People(threading.Thread):
    """Works until `leave`. What the queue has accepted is in `accepted`, whatever became of the tasks."""

    def __init__(self, rng: random.Random, per_second: float, *, gentle: bool) -> None:
        super().__init__(name="people", daemon=True)
        self.rng, self.per_second = rng, per_second
        self.accepted: set[int] = set()
        self.retried: set[int] = set()
        self.done: Counter[str] = Counter()
        self._recent: list[int] = []
        self._leaving = threading.Event()
        self._acts: dict[Callable[[], Any], int] = {
            self.submit_work: 40,
            self.submit_careful: 10,
            self.submit_many: 2,
            self.submit_coroutine: 5,
            self.submit_temper: 14,
            self.submit_delayed: 6,
            self.submit_of_customer: 6,
            self.submit_workflow: 3,
        }
        if not gentle:
            self._acts |= {
                self.submit_keyed: 8,
                self.submit_expiring: 6,
                self.submit_limited: 4,
                self.submit_brutal: 1,
                self.cancel: 6,
                self.retry: 3,
                self.replay: 2,
                self.replay_letters: 1,
                self.discard_letters: 1,
                self.hold_a_queue: 1,
            }

    def prepare(self) -> None:
        services.limit_queue(_LIMITED[0], max_running=_LIMITED[1])
        services.limit_queue("mail", rate="20/s")

    @property
    def limits(self) -> dict[str, int]:
        """How many tasks of a queue, or of a lane, may run at once."""
        return {**dict([_LIMITED]), **{f"tests.chaos.of_customer:{number}": 1 for number in _CUSTOMERS}}

    def leave(self) -> None:
        self._leaving.set()
        self.join()
        for queue in ("high", "default"):
            services.resume_queue(queue)

    def run(self) -> None:
        while not self._leaving.wait(self.rng.expovariate(self.per_second)):
            (act,) = self.rng.choices(list(self._acts), list(self._acts.values()))
            try:
                act()
                self.done[act.__name__] += 1
            except Error:
                self.done["refused"] += 1  # PostgreSQL is away: nothing was promised
                connection.close()
        connection.close()

    def _submit(self, name: str, payload: dict[str, Any] | None = None, **options: Any) -> int:
        made = services.submit(f"tests.chaos.{name}", payload or {}, **options).id
        self.accepted.add(made)
        self._recent = [*self._recent[-_RECENT:], made]
        return made

    def _some(self, count: int) -> list[int]:
        return self.rng.sample(self._recent, min(count, len(self._recent)))

    def _letters(self) -> list[int]:
        letters = DeadLetter.objects.filter(resolution="").order_by("-pk").values_list("pk", flat=True)
        return list(letters[: self.rng.randint(1, 3)])

    def submit_work(self) -> None:
        seconds = self.rng.choice([0, 0.002, 0.02, 0.1])
        queue, priority = self.rng.choice(["high", "default", "default"]), self.rng.randint(-5, 5)
        self._submit("work", {"seconds": seconds}, queue=queue, priority=priority)

    def submit_careful(self) -> None:
        self._submit("careful", {"seconds": self.rng.choice([0, 0.01])})

    def submit_coroutine(self) -> None:
        self._submit("coroutine", {"seconds": self.rng.uniform(0, 0.05)})

    def submit_many(self) -> None:
        row = services.build("tests.chaos.work", {"seconds": 0.001})
        self.accepted.update(services.submit_many([row] * self.rng.randint(2, 60)))

    def submit_temper(self) -> None:
        tempers: list[tuple[str, dict[str, Any]]] = [
            ("fail", {"times": self.rng.randint(1, 4)}),
            ("retry_later", {"seconds": self.rng.uniform(0, 1)}),
            ("snooze", {"until": time.time() + self.rng.uniform(0, 1.5)}),
            ("polite", {"seconds": self.rng.uniform(0, 0.5)}),
            ("discard", {}),
        ]
        self._submit(*self.rng.choice(tempers))

    def submit_brutal(self) -> None:
        brutal: list[tuple[str, dict[str, Any]]] = [
            ("die", {"times": self.rng.randint(1, 2)}),
            ("slow", {}),
            ("deaf", {}),
        ]
        self._submit(*self.rng.choice(brutal))

    def submit_keyed(self) -> None:
        # Not among the recent ones: nobody puts them back in line, so that each has one span of life.
        key = f"key-{self.rng.randint(1, 5)}"
        payload = {"seconds": self.rng.choice([0, 0.2])}
        self.accepted.add(services.submit("tests.chaos.work", payload, unique_key=key).id)

    def submit_delayed(self) -> None:
        self._submit("work", delay=self.rng.uniform(0, 2))

    def submit_expiring(self) -> None:
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.rng.uniform(1, 3))
        self._submit("work", {"seconds": 0.05}, queue="low", expires_at=soon)

    def submit_of_customer(self) -> None:
        self._submit("of_customer", {"customer": self.rng.choice(_CUSTOMERS), "seconds": self.rng.uniform(0, 0.03)})

    def submit_workflow(self) -> None:
        """A chain, or one step, several beside each other, and one behind them all; some of them fail."""
        chained, steps = self.rng.random() < 0.5, [self._step(0, [])]
        for number in range(1, self.rng.randint(3, 12)):
            steps.append(self._step(number, [number - 1] if chained else [0]))
        if not chained:
            steps.append(self._step(len(steps), list(range(1, len(steps)))))
        made = services.submit_workflow("chaos", steps)
        self.accepted.update(Task.objects.filter(workflow=made).values_list("pk", flat=True))

    def _step(self, number: int, waits_for: list[int]) -> dict[str, Any]:
        name, payload = self.rng.choice(
            [
                *[("work", {"seconds": 0.005})] * 8,
                *[("coroutine", {"seconds": 0.01}), ("careful", {})] * 2,
                ("retry_later", {"seconds": 0.2}),
                ("fail", {"times": self.rng.randint(1, 4)}),
            ]
        )
        return {
            "key": str(number),
            "name": f"tests.chaos.{name}",
            "payload": payload,
            "depends_on": [str(parent) for parent in waits_for],
        }

    def submit_limited(self) -> None:
        self._submit("work", {"seconds": 0.1}, queue=self.rng.choice(["low", "mail"]))

    def cancel(self) -> None:
        services.cancel(self._some(3))

    def retry(self) -> None:
        ids = self._some(20)
        self.retried.update(ids)
        services.retry(ids)

    def replay(self) -> None:
        self.accepted.update(services.replay(self._some(2)).values())

    def replay_letters(self) -> None:
        self.accepted.update(services.replay_letters(self._letters()).values())

    def discard_letters(self) -> None:
        services.discard(self._letters())

    def hold_a_queue(self) -> None:
        queue = self.rng.choice(["high", "default"])
        services.pause_queue(queue)
        self._leaving.wait(self.rng.uniform(0, 0.5))
        services.resume_queue(queue)
