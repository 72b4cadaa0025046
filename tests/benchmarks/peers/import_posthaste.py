"""Ours: a file imported as its task does it, a slice per transaction; and the dry run of it."""

import os
import resource
from pathlib import Path

import django
from django.core.management import call_command
from django.db import connection

django.setup()

from campaigns import services  # noqa: E402
from campaigns.models import Campaign  # noqa: E402
from templates_app.models import EmailTemplate  # noqa: E402
from templates_app.rendering import Content  # noqa: E402
from templates_app.services import create_template  # noqa: E402

FILE = Path(os.environ["BENCH_FILE"])


def reset() -> None:
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE tasks, campaigns, email_recipients CASCADE")


def draft() -> Campaign:
    template = EmailTemplate.objects.first() or create_template(name="b", content=Content("s", "<p>h</p>", "t"))
    return Campaign.objects.create(name="Bench", template=template, from_email="bench@example.com")


def fill(n: int, seconds: float) -> None:
    with FILE.open("rb") as raw:
        job = services.start_import(draft(), raw, filename=FILE.name)
    services.run_import(job.pk)
    job.refresh_from_db()
    if (job.state, job.records) != ("done", n):
        raise RuntimeError(f"{job.records} of {n} rows, {job.state}: {job.error}")


def check(n: int) -> None:
    with FILE.open("rb") as raw:
        report = services.import_recipients(draft(), raw, filename=FILE.name, dry_run=True)
    if report.records != n:
        raise RuntimeError(f"{report.records} of {n} rows")


def memory() -> float:
    """Peak MiB of this process after an import."""
    with FILE.open("rb") as raw:
        job = services.start_import(draft(), raw, filename=FILE.name)
    services.run_import(job.pk)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
