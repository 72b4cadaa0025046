"""`python -m tests.chaos.mail [--seed N] [--kills N] [--recipients N] [--quick]`: what `make chaos-mail` runs.

Campaigns are sent, one after the other, to a mail server that writes down each address at the final dot, while their
senders are killed (`-9`) at random points. Each campaign is checked row by row once it is over.
"""

import argparse
import asyncio
import os
import random
import secrets
import signal
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from tests.chaos.__main__ import whole
from tests.chaos.fleet import ROOT, Fleet


class Receiver:
    """Counts the addresses whose mail it has in full; answers a little later, so that a kill meets mails in doubt."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.taken: Counter[str] = Counter()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.taken.update(envelope.rcpt_tos)
        await asyncio.sleep(self.seconds)
        return "250 OK"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.mail", description="Campaigns whose senders die.")
    parser.add_argument("--seed", type=whole(0, 2**32), help="draws the moments (default: by chance)")
    parser.add_argument("--kills", type=whole(1, 10_000), default=50)
    parser.add_argument("--recipients", type=whole(100, 1_000_000), default=10_000, help="of each campaign")
    parser.add_argument("--quick", action="store_true", help="leases of 2 seconds instead of those of production")
    parser.add_argument("--var", type=Path, default=ROOT / "var" / "chaos-mail", help="folder of servers and log")
    return parser.parse_args()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def main() -> int:
    given = arguments()
    seed = secrets.randbelow(2**32) if given.seed is None else given.seed
    var = given.var.resolve()
    (var / "log").mkdir(parents=True, exist_ok=True)
    os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.chaos.settings", "VAR_DIR": str(var)}
    for variable in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(variable, None)  # never somebody's own servers
    if given.quick:
        os.environ["QUICK_LEASE"] = "1"
    fleet = Fleet(var, quick=given.quick, processes=3)
    fleet.pools = fleet.pools[:1]
    signal.signal(signal.SIGTERM, fleet.interrupt)
    receiver = Receiver(0.01)
    controller = Controller(receiver, hostname="127.0.0.1", port=free_port())
    print(f"seed {seed}", flush=True)  # noqa: T201 - the output of this program
    try:
        controller.start()
        os.environ["SMTP_URL"] = f"smtp://127.0.0.1:{controller.port}"
        fleet.start_servers()
        return in_arena(given, random.Random(seed), fleet, receiver)
    finally:
        fleet.close()
        controller.stop()


def in_arena(given: argparse.Namespace, rng: random.Random, fleet: Fleet, receiver: Receiver) -> int:
    import django

    django.setup()
    from tests.chaos.mail_run import MailRun

    run = MailRun(fleet, rng, receiver, kills=given.kills, recipients=given.recipients)
    report = run.run()
    for line in report:
        print(line, flush=True)  # noqa: T201 - likewise
    print("everything held" if not run.violations else "BROKEN", flush=True)  # noqa: T201 - likewise
    return 1 if run.violations else 0


if __name__ == "__main__":
    sys.exit(main())
