"""Statements that run all the time: PostgreSQL reads them once for a connection, and mostly plans them once, too.

Reading and planning a statement that settles a batch takes as long as running it. But what is prepared belongs to a
connection of the server, and a pooler between us and PostgreSQL (PgBouncer) may give each transaction another one, on
which the same name stands for what somebody else has prepared. So it is done only where nobody stands between: a pooler
makes up the process id that it answers a new client with, as it has no process of the server for it yet.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from weakref import WeakKeyDictionary

import psycopg
from django.db import connection

# Django switches it off by None. Whatever is not asked for here is still not prepared.
_ONLY_WHEN_ASKED = 1_000_000_000

_is_direct: WeakKeyDictionary[psycopg.Connection[Any], bool] = WeakKeyDictionary()


class _Cursor(psycopg.Cursor[Any]):
    """Prepares what it executes; the values go apart from the text."""

    def execute(self, query: Any, params: Any = None, **_options: Any) -> Any:
        return super().execute(query, params, prepare=True)


def rows(sql: str, params: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """What the statement answers. Its text should be one of few, and the types of its values known by casts."""
    with connection.cursor() as cursor:
        raw = cast("psycopg.Connection[Any]", cursor.connection)
        if not _speaks_to_postgres(raw):
            cursor.execute(sql, params)
            return cast("list[tuple[Any, ...]]", cursor.fetchall())
    wrap: Any = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    with wrap(_Cursor(raw)) as prepared:
        prepared.execute(sql, params)
        return cast("list[tuple[Any, ...]]", prepared.fetchall())


def _speaks_to_postgres(raw: psycopg.Connection[Any]) -> bool:
    known = _is_direct.get(raw)
    if known is None:
        with connection.wrap_database_errors:
            found = raw.execute("SELECT pg_backend_pid()").fetchone()
        known = _is_direct[raw] = found is not None and found[0] == raw.info.backend_pid
        if known:
            raw.prepare_threshold = _ONLY_WHEN_ASKED
    return known
