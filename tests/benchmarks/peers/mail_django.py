"""Django's own `send_messages` over one open connection: no queue, no record, templates compiled once."""

import time
from functools import cache

import django
from django.core.mail import EmailMultiAlternatives, get_connection
from django.template import Template, engines

from tests.benchmarks import letter

django.setup()


@cache
def _template(source: str) -> Template:
    return engines["django"].from_string(source)


def rendered(number: int) -> tuple[str, str, str, str]:
    """(address, subject, text, HTML) of a recipient."""
    to = letter.recipient(number)
    subject, text, html = (
        _template(source).render({"recipient": to}) for source in (letter.SUBJECT, letter.TEXT, letter.HTML)
    )
    return to["email"], subject, text, html


def message(number: int) -> EmailMultiAlternatives:
    address, subject, text, html = rendered(number)
    made = EmailMultiAlternatives(subject, text, letter.FROM, [address])
    made.attach_alternative(html, "text/html")
    return made


def reset() -> None:
    """It keeps nothing."""


def fill(n: int, seconds: float) -> None:
    """Messages are made while they are sent."""


def send(n: int) -> float:
    connection = get_connection()
    connection.open()
    started = time.perf_counter()
    sent = connection.send_messages(message(number) for number in range(n))
    elapsed = time.perf_counter() - started
    connection.close()
    if sent != n:
        raise SystemExit(f"{sent} of {n} were sent.")
    return elapsed
