import datetime

from django.db import connection


def database_time() -> datetime.datetime:
    """Now, by PostgreSQL's clock, which all hosts share."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime.datetime = cursor.fetchone()[0]
    return now
