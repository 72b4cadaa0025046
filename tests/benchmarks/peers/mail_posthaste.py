"""Ours: a campaign, launched before idle workers (`manage.py worker`), until the last outcome is in the ledger.

BENCH_WORKERS is how many processes there must be before it is launched.
"""

import csv
import io
import os
import time
from collections.abc import Callable

import django
from django.core.management import call_command
from django.db import connection

from tests.benchmarks import letter

django.setup()

from campaigns import lifecycle, services  # noqa: E402
from campaigns.models import Campaign  # noqa: E402
from campaigns.states import RecipientState  # noqa: E402
from templates_app.models import EmailTemplate  # noqa: E402
from templates_app.rendering import Content  # noqa: E402
from templates_app.services import create_template  # noqa: E402

_SECONDS = 180
_TABLES = "tasks, task_executions, task_results, workers, queues, campaigns, email_recipients, mail_transports"
_ONLINE = "SELECT count(*) FROM workers WHERE state = 'online'"
_LAST = "SELECT extract(epoch FROM max(sent_at)) FROM email_recipients"


def reset() -> None:
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {_TABLES} CASCADE")


def fill(n: int, seconds: float) -> None:
    """A draft with n recipients."""
    template = EmailTemplate.objects.filter(name="Bench").first() or create_template(
        name="Bench", content=Content(letter.SUBJECT, letter.HTML, letter.TEXT)
    )
    campaign = Campaign.objects.create(name="Bench", template=template, from_email=letter.FROM)
    out = io.StringIO()
    rows = csv.DictWriter(out, ["name", "email", "city"])
    rows.writeheader()
    rows.writerows(letter.recipient(number) for number in range(n))
    services.import_recipients(campaign, io.BytesIO(out.getvalue().encode()), filename="bench.csv")


def send(n: int) -> float:
    _until(lambda: _one(_ONLINE) >= int(os.environ["BENCH_WORKERS"]), "The workers did not start")
    campaign = Campaign.objects.get()
    started = time.time()
    services.launch(campaign)
    _until(lambda: lifecycle.counts(campaign.pk)[RecipientState.SENT] == n, "Not all was sent")
    return _one(_LAST) - started


def _until(holds: Callable[[], bool], problem: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"{problem} within {_SECONDS} s.")
        time.sleep(0.05)


def _one(sql: str) -> float:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return float(cursor.fetchone()[0])
