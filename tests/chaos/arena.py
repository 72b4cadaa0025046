"""One run from its beginning to its verdict."""

import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from queue_core import conf, services
from queue_core.models import Schedule, Task, Worker
from queue_core.services.clock import database_time
from tests.chaos import journal
from tests.chaos.checker import figures, violations
from tests.chaos.collect import read_tables, schedule_row
from tests.chaos.fleet import Fleet
from tests.chaos.history import History
from tests.chaos.nemesis import Nemesis
from tests.chaos.people import People

# name -> (seconds between two fires, how it is said)
SCHEDULES: dict[str, tuple[int, dict[str, Any]]] = {
    "every two seconds": (2, {"interval_seconds": 2, "overlap": "allow", "missed": "all"}),
    "cron": (3, {"expression": "*/3 * * * * *", "overlap": "allow", "missed": "once"}),
    "one after the other": (1, {"interval_seconds": 1, "overlap": "queue", "payload": {"seconds": 1.2}}),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds` of faults, or `kills` of workers and nothing else; `quick`: with leases of two seconds."""

    seed: int
    seconds: float
    kills: int
    quick: bool


class Arena:
    def __init__(self, plan: Plan, fleet: Fleet) -> None:
        self.plan, self.fleet = plan, fleet
        rng = random.Random(plan.seed)
        self.nemesis = Nemesis(fleet, random.Random(rng.random()), conf.get("LEASE_SECONDS"), settings.REDIS_URL)
        per_second = 60.0 if plan.kills or plan.quick else 30.0
        self.people = People(random.Random(rng.random()), per_second, gentle=bool(plan.kills))
        self.schedules: list[tuple[Schedule, float, int]] = []
        self.settled_after: float | None = None

    def run(self) -> dict[str, Any]:
        """All of it; answers the report."""
        self._prepare()
        self.people.start()
        if self.plan.kills:
            self.nemesis.kill_workers(self.plan.kills, 1.5)
        else:
            self.nemesis.torment(self.plan.seconds, 0.7 if self.plan.quick else 3.0)
        self.nemesis.heal()
        connection.close()  # of before a restart
        self.people.leave()
        self._settle()
        return self._report()

    def _prepare(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        self.fleet.run("migrate", "--verbosity", "0")
        Schedule.objects.all().delete()
        self.people.prepare()
        for name, (step, values) in SCHEDULES.items():
            made = services.save_schedule(name=name, task="tests.chaos.work", **values)
            self.schedules.append((made, made.next_fire_at.timestamp(), step))
        self.fleet.supervise()
        self.nemesis.started = time.monotonic()

    def _settle(self) -> None:
        """Let the queue come to rest, within two minutes; then end the workers."""
        healed, patience = time.monotonic(), 120.0
        caught_up = Schedule.objects.filter(next_fire_at__gt=database_time())
        self._await(lambda: caught_up.count() == len(SCHEDULES), patience)
        services.pause_schedule([schedule.pk for schedule, _, _ in self.schedules])
        if self._await(lambda: not Task.objects.live().exists(), patience):
            self.settled_after = round(time.monotonic() - healed, 1)
        self.fleet.stop_pools()
        # The rows of killed workers go once their leases have run out: the scheduler still ticks.
        self._await(lambda: not Worker.objects.filter(state="online").exists(), conf.get("LEASE_SECONDS") + 15)

    def _await(self, condition: Any, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return True
            self.nemesis.wait(0.2)
        return False

    def history(self) -> History:
        history = History(
            runs=journal.read(self.fleet.journal),
            accepted=self.people.accepted,
            retried=self.people.retried,
            limits=self.people.limits,
            frozen=self.nemesis.frozen,
            kills=self.nemesis.kills,
        )
        read_tables(history)
        for schedule, first, step in self.schedules:
            schedule.refresh_from_db()
            history.schedules.append(schedule_row(schedule, first, step))
        return history

    def _report(self) -> dict[str, Any]:
        history = self.history()
        return {
            "seed": self.plan.seed,
            "seconds": round(time.monotonic() - self.nemesis.started, 1),
            "lease": conf.get("LEASE_SECONDS"),
            "faults": self.nemesis.log,
            "calls": dict(sorted(self.people.done.items())),
            "figures": {**figures(history), "settled_after": self.settled_after},
            "violations": violations(history),
        }


def write_report(report: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(report, indent=1) + "\n")
