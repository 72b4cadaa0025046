"""What runs all the time is prepared, but only on a connection that is PostgreSQL's own."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import DataError, connection
from django.test.utils import CaptureQueriesContext

from queue_core import prepared

pytestmark = pytest.mark.django_db

SUM = "SELECT %s::int + %s::int"


def known_to_postgres(raw: psycopg.Connection[Any]) -> list[str]:
    return [row[0] for row in raw.execute("SELECT statement FROM pg_prepared_statements").fetchall()]


def test_a_statement_is_read_once_whatever_its_values() -> None:
    assert [prepared.rows(SUM, [n, 1]) for n in (1, 70_000, -3)] == [[(2,)], [(70_001,)], [(-2,)]]
    with CaptureQueriesContext(connection) as captured:
        assert prepared.rows(SUM, [None, 1]) == [(None,)]
    assert len(captured) == 1
    assert "SELECT $1::int + $2::int" in known_to_postgres(connection.connection)


def test_the_other_statements_are_not_prepared() -> None:
    prepared.rows(SUM, [1, 1])
    before = known_to_postgres(connection.connection)
    for _ in range(12):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 'something else'")
    assert known_to_postgres(connection.connection) == before


def test_errors_are_those_of_django() -> None:
    with pytest.raises(DataError):
        prepared.rows("SELECT 1 / %s::int", [0])


@pytest.fixture
def pooler() -> Iterator[int]:
    """The port of something that answers new clients with a process id of its own making, as PgBouncer does."""
    settings = connection.settings_dict
    server = socket.create_server(("127.0.0.1", 0))

    def pass_on(source: socket.socket, target: socket.socket, *, forges: bool) -> None:
        key = b"K\x00\x00\x00\x0c"  # BackendKeyData: 12 bytes, the process id first
        try:
            while data := source.recv(65536):
                at = data.find(key) if forges else -1
                if at >= 0:
                    data = data[: at + 5] + b"\x1c\xfa\x59\x39" + data[at + 9 :]
                target.sendall(data)
        except OSError:
            pass
        target.close()

    def serve() -> None:
        client, _ = server.accept()
        upstream = socket.create_connection((settings["HOST"], int(settings["PORT"])))
        threading.Thread(target=pass_on, args=(client, upstream), kwargs={"forges": False}, daemon=True).start()
        pass_on(upstream, client, forges=True)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    server.close()


def test_behind_a_pooler_nothing_is_prepared(pooler: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pooled = connection.copy()
    options = {**pooled.settings_dict["OPTIONS"], "sslmode": "disable", "gssencmode": "disable"}
    pooled.settings_dict |= {"HOST": "127.0.0.1", "PORT": pooler, "OPTIONS": options}
    monkeypatch.setattr(prepared, "connection", pooled)
    try:
        assert [prepared.rows(SUM, [n, 1]) for n in range(12)] == [[(n + 1,)] for n in range(12)]
        assert known_to_postgres(pooled.connection) == []
    finally:
        pooled.close()
