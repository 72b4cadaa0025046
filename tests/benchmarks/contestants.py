"""Who takes part: how each is started, in its usual production mode with two worker processes."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Contestant:
    """`workers` are argument lists for Python, one process (or one parent of processes) each.

    `tasks` and `quick_tasks` are how many it drains: the slow ones get fewer, their rate does not depend on it.
    """

    label: str
    module: str
    workers: tuple[tuple[str, ...], ...]
    tasks: int = 10_000
    quick_tasks: int = 10_000
    database: str = ""
    redis_db: int = 0
    env: dict[str, str] = field(default_factory=dict)
    is_peer: bool = True  # lives in the peers' virtual environment, not in the project's
    settles: bool = False  # records the end of a task itself, which is then what is measured


_PEERS = "tests.benchmarks.peers"


def _rq(worker_class: str) -> tuple[tuple[str, ...], ...]:
    command = ("-m", "rq.cli", "worker", "--worker-class", worker_class, "--url", "{redis}", "--quiet", "default")
    return (command, command)


def _pgqueuer(batch: int) -> Contestant:
    command = ("-m", f"{_PEERS}.pgqueuer_app", str(batch))
    name = "default batch" if batch == 10 else f"batch {batch}"
    return Contestant(f"pgqueuer, {name}", "pgqueuer_app", (command, command), database="pgqueuer")


OURS = Contestant(
    "Posthaste",
    "posthaste",
    (("manage.py", "worker", "--processes", "2"),),
    database="posthaste",
    env={"DJANGO_SETTINGS_MODULE": "config.settings.local"},
    is_peer=False,
    settles=True,
)
OURS_FULL = replace(OURS, label="Posthaste, full table", database="posthaste_full", redis_db=1)
OURS_LIMITED = replace(OURS, label="Posthaste, limited queue", env={**OURS.env, "BENCH_LIMIT": "1"})
OURS_THREADS = replace(
    OURS,
    label="Posthaste, 2 × 8 threads",
    workers=(("manage.py", "worker", "--processes", "2", "--threads", "8"),),
)
OURS_ASYNC = replace(OURS, label="Posthaste, async", env={**OURS.env, "BENCH_TASK": "tests.benchmarks.mark_async"})
LIMIT = Contestant(
    "bare psycopg loop, batch 500",
    "bare_loop",
    (("-m", f"{_PEERS}.bare_loop"),) * 2,
    database="bare_loop",
    is_peer=False,
    settles=True,
)
RQ_SIMPLE = Contestant("RQ SimpleWorker", "rq_jobs", _rq("rq.SimpleWorker"), 1_500, 400, redis_db=2, is_peer=False)
RQ_FORK = Contestant("RQ fork", "rq_jobs", _rq("rq.Worker"), 500, 150, redis_db=2, is_peer=False)
PGQUEUER, PGQUEUER_100, PGQUEUER_500 = _pgqueuer(10), _pgqueuer(100), _pgqueuer(500)
CELERY = Contestant(
    "Celery prefork",
    "celery_app",
    (("-m", "celery", "-A", f"{_PEERS}.celery_app", "worker", "--pool", "prefork", "--concurrency", "2"),),
    3_000,
    redis_db=3,
)
DRAMATIQ = Contestant(
    "Dramatiq, 2 × 8 threads",
    "dramatiq_app",
    (("-m", "dramatiq", f"{_PEERS}.dramatiq_app", "--processes", "2", "--threads", "8"),),
    redis_db=4,
)
HUEY = Contestant(
    "Huey",
    "huey_app",
    (("-m", "huey.bin.huey_consumer", f"{_PEERS}.huey_app.huey", "--workers", "2", "--worker-type", "process", "-q"),),
    redis_db=5,
)
PROCRASTINATE = Contestant(
    "Procrastinate, concurrency 10",
    "procrastinate_app",
    (("-m", "procrastinate", "--app", f"{_PEERS}.procrastinate_app.app", "worker", "--concurrency", "10"),) * 2,
    2_000,
    database="procrastinate",
)
DJANGO_TASKS = Contestant(
    "django-tasks-db",
    "django_tasks_app",
    (("-m", "django", "db_worker", "--no-startup-delay"),) * 2,
    1_500,
    database="django_tasks",
    env={"DJANGO_SETTINGS_MODULE": f"{_PEERS}.django_tasks_settings"},
)

QUICK = [OURS, LIMIT, RQ_SIMPLE, RQ_FORK]
ALL = [
    OURS, LIMIT, PGQUEUER, PGQUEUER_100, PGQUEUER_500, DRAMATIQ, HUEY, CELERY, PROCRASTINATE, DJANGO_TASKS,
    RQ_SIMPLE, RQ_FORK,
]  # fmt: skip
