"""`python -m tests.chaos [--seed N] [--seconds N | --kills N] [--quick]`: what `make chaos` runs."""

import argparse
import fcntl
import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.chaos.fleet import ROOT, Fleet

# What a run may take beyond its faults: starting, settling, ending. After that it is ended, and has failed.
_ALLOWANCE = 300


def whole(low: int, high: int) -> Any:
    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) <= 10 and low <= int(text) <= high:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")

    return read


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="The queue under faults, checked.")
    parser.add_argument("--seed", type=whole(0, 2**32), help="draws tasks and faults (default: by chance)")
    parser.add_argument("--seconds", type=whole(1, 86_400), default=300, help="of faults (default: 300)")
    parser.add_argument("--kills", type=whole(0, 10_000), default=0, help="instead: so many kill -9 of workers")
    parser.add_argument("--quick", action="store_true", help="leases of 2 seconds instead of those of production")
    parser.add_argument("--var", type=Path, default=ROOT / "var" / "chaos", help="folder of servers and report")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    seed = secrets.randbelow(2**32) if given.seed is None else given.seed
    var = given.var.resolve()
    (var / "log").mkdir(parents=True, exist_ok=True)
    with (var / "chaos.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"Another run uses {var}. Wait for it, or give --var another folder.")
        return run(given, seed, var)


def run(given: argparse.Namespace, seed: int, var: Path) -> int:
    os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.chaos.settings", "VAR_DIR": str(var)}
    for variable in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(variable, None)  # never somebody's own servers
    if given.quick:
        os.environ["QUICK_LEASE"] = "1"
    fleet = Fleet(var, quick=given.quick, processes=4 if given.kills else 2)
    fleet.journal.unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, fleet.interrupt)
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("The run did not end in time."))
    signal.alarm(_ALLOWANCE + (given.kills * 3 or given.seconds))
    print(f"seed {seed}", flush=True)  # noqa: T201 - the output of this program
    started = time.monotonic()
    try:
        fleet.start_servers()
        report = in_arena(given, seed, fleet)
    finally:
        signal.alarm(0)
        fleet.close()
    show(report, time.monotonic() - started)
    return 1 if report["violations"] else 0


def in_arena(given: argparse.Namespace, seed: int, fleet: Fleet) -> dict[str, Any]:
    import django

    django.setup()
    from tests.chaos.arena import Arena, Plan, write_report

    report = Arena(Plan(seed, given.seconds, given.kills, given.quick), fleet).run()
    write_report(report, fleet.var / f"{seed}.json")
    return report


def show(report: dict[str, Any], seconds: float) -> None:
    lines = [f"{at:7.1f} s  {what}" for at, what in report["faults"]]
    lines += [f"{name}: {value}" for name, value in report["figures"].items()]
    for check, found in report["violations"].items():
        lines += [f"VIOLATED {check} ({len(found)})", *(f"  {sentence}" for sentence in found[:10])]
    verdict = "violations, see above" if report["violations"] else "everything held"
    lines.append(f"seed {report['seed']}: {verdict} ({seconds:.0f} s in all)")
    print("\n".join(lines), flush=True)  # noqa: T201 - the output of this program


if __name__ == "__main__":
    sys.exit(main())
