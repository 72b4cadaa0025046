"""PostgreSQL and Valkey for a machine that has none: started under VAR_DIR, shared by every process of the project.

The server programs come in two wheels, of which only the programs are used. Starting and stopping them is done here,
because the wheels' own managers trust a pid that may have become a stranger's, and open the modes of folders above.

Standard library only: the settings import this before Django is ready. A server whose variable is set (DATABASE_URL,
REDIS_URL) is not ours and is never started. Linux only.
"""

import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from config.embedded import record
from config.embedded.errors import EmbeddedError
from config.embedded.servers import PostgreSQL, Server, Valkey

__all__ = [
    "EmbeddedError",
    "Status",
    "database_url",
    "redis_url",
    "renew_smtp_port",
    "secret_key",
    "smtp_url",
    "start",
    "status",
    "stop",
    "without_password",
]


@dataclass(frozen=True)
class Status:
    """One server; `pid` and `folder` are None for a server that is not ours."""

    name: str
    running: bool
    url: str
    pid: int | None
    folder: str | None


def database_url(var: Path) -> str:
    """The `postgres://` URL of the embedded server; nothing is started."""
    return PostgreSQL(var.resolve()).url


def redis_url(var: Path) -> str:
    """The `redis://` URL of the embedded server; nothing is started."""
    return Valkey(var.resolve()).url


def smtp_url(var: Path) -> str:
    """Where the mail catcher of this VAR_DIR listens; nothing is started."""
    return f"smtp://127.0.0.1:{record.address(var.resolve(), 'smtp', lambda: True).port}"


def renew_smtp_port(var: Path) -> None:
    """Choose another port for the mail catcher if somebody listens on the recorded one."""
    record.address(var.resolve(), "smtp", lambda: False)


def secret_key(var: Path) -> str:
    """Django's SECRET_KEY for this VAR_DIR, made on first use."""
    return record.secret_key(var.resolve())


def start(var: Path, *, durable: bool = True, tied: bool = False) -> list[str]:
    """Start the servers that are ours and do not run yet; return the titles of those started.

    Without `durable` a crash of the machine may lose data (for tests). `tied` servers end with this process, others
    outlive it. Safe to call at any time from any number of processes. Raises EmbeddedError.
    """
    wanted = [server for server in _servers(var) if not server.external_url]
    if wanted and sys.platform != "linux":
        raise EmbeddedError("The embedded servers need Linux. Set DATABASE_URL and REDIS_URL (docker compose up).")
    if all(server.is_ready() for server in wanted):
        return []
    started = []
    with record.locked(var.resolve()):
        for server in wanted:
            if server.is_running():
                server.await_ready()
            else:
                server.launch(durable=durable, tied=tied)
                started.append(server.title)
    return started


def stop(var: Path) -> list[str]:
    """Stop the embedded servers in order and wait; return the titles of those that ran. Raises EmbeddedError."""
    with record.locked(var.resolve()):
        return [server.title for server in reversed(_servers(var)) if server.stop()]


def status(var: Path) -> list[Status]:
    """PostgreSQL and Valkey, ours or those named by the environment."""
    return [_external_status(server) if server.external_url else _own_status(server) for server in _servers(var)]


def without_password(url: str) -> str:
    """The URL as it may be shown: `postgres://user@host:5432/name`."""
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return f"{parts.scheme}://{name + '@' if name else ''}{place}{parts.path}"


def _servers(var: Path) -> list[Server]:
    return [PostgreSQL(var.resolve()), Valkey(var.resolve())]


def _own_status(server: Server) -> Status:
    return Status(server.title, server.is_ready(), without_password(server.url), server.pid(), str(server.folder))


def _external_status(server: Server) -> Status:
    url = server.external_url
    return Status(server.title, _listens(url), without_password(url), None, None)


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    default = 6379 if parts.scheme.startswith("redis") else 5432
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(parts.path)
        else:
            socket.create_connection((parts.hostname or "127.0.0.1", parts.port or default), timeout=2).close()
    except (OSError, ValueError):
        return False
    return True
