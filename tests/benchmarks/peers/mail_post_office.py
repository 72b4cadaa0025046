"""django-post_office: mails rendered into its table beforehand, then one batch by two processes of five threads."""

import time

from tests.benchmarks import letter
from tests.benchmarks.peers.mail_django import rendered

# isort: split
from django.core.management import call_command
from django.db import connection
from post_office.mail import send_many, send_queued
from post_office.models import STATUS, Email


def reset() -> None:
    call_command("migrate", verbosity=0)
    Email.objects.all().delete()


def fill(n: int, seconds: float) -> None:
    send_many([_arguments(number) for number in range(n)])


def _arguments(number: int) -> dict[str, object]:
    address, subject, text, html = rendered(number)
    return {
        "sender": letter.FROM,
        "recipients": [address],
        "subject": subject,
        "message": text,
        "html_message": html,
    }


def send(n: int) -> float:
    started = time.perf_counter()
    send_queued(processes=2)
    elapsed = time.perf_counter() - started
    connection.close()  # its forks have used it, and ended it
    sent = Email.objects.filter(status=STATUS.sent).count()
    if sent != n:
        raise SystemExit(f"{sent} of {n} were sent.")
    return elapsed
