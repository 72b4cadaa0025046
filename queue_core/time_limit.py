"""Statements that are given so much time and no more."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled


class TooSlow(Exception):
    """A statement ran into its time limit."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TooSlow when a statement inside takes longer; PostgreSQL has ended it then."""
    # 0 would be no limit at all.
    milliseconds = str(max(1, round(seconds * 1000)))
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [milliseconds])
            yield
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
    except OperationalError as exc:
        if isinstance(exc.__cause__, QueryCanceled):
            raise TooSlow from None
        raise
