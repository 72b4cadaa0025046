import datetime

from django.db import connection


def transaction_time() -> datetime.datetime:
    """When this transaction began, by the same clock: what rows of it have as their times."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        began: datetime.datetime = cursor.fetchone()[0]
    return began


def database_time() -> datetime.datetime:
    """Now, by PostgreSQL's clock, which all hosts share."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime.datetime = cursor.fetchone()[0]
    return now
