"""django-mailer: mails rendered into its table beforehand, then its one sender, as `send_mail` runs it."""

import time

from tests.benchmarks import letter
from tests.benchmarks.peers.mail_django import rendered

# isort: split
from django.core.management import call_command
from mailer import send_html_mail
from mailer.engine import send_all
from mailer.models import Message, MessageLog


def reset() -> None:
    call_command("migrate", verbosity=0)
    Message.objects.all().delete()
    MessageLog.objects.all().delete()


def fill(n: int, seconds: float) -> None:
    for number in range(n):
        address, subject, text, html = rendered(number)
        send_html_mail(subject, text, html, letter.FROM, [address])


def send(n: int) -> float:
    started = time.perf_counter()
    send_all()
    elapsed = time.perf_counter() - started
    if MessageLog.objects.count() != n or Message.objects.exists():
        raise SystemExit("Not all were sent.")
    return elapsed
