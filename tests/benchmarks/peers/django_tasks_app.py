"""django-tasks with its database backend. Worker: `db_worker`, twice."""

import time

import django
from django.core.management import call_command
from django.db import connection

django.setup()

from django_tasks import task  # noqa: E402

from tests.benchmarks import marks  # noqa: E402


@task()
def mark(number: int, sent: float, seconds: float) -> None:
    marks.mark(number, sent, seconds)


def reset() -> None:
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE django_tasks_database_dbtaskresult")


def fill(n: int, seconds: float) -> None:
    for number in range(n):
        mark.enqueue(number, time.time(), seconds)
