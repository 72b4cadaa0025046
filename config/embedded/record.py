"""What is remembered in VAR_DIR between processes: ports, passwords, the secret key; and the lock around changes."""

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from config.embedded.errors import EmbeddedError

# Below the range from which the kernel takes ports of outgoing connections, so that nobody takes ours by chance.
_FIRST_PORT, _LAST_PORT = 20_000, 29_999


@dataclass(frozen=True)
class Address:
    """Where a server listens on 127.0.0.1, and the password it asks for."""

    port: int
    password: str


@contextmanager
def locked(var: Path) -> Iterator[None]:
    """Hold VAR_DIR's lock, which ends with the process however that ends. Not reentrant."""
    make_folder(var, 0o755)
    path = var / "embedded.lock"
    with _usable(path):
        file = path.open("a")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_folder(folder: Path, mode: int) -> None:
    """Create `folder` with exactly `mode`; one that exists keeps the mode it has."""
    try:
        folder.mkdir(parents=True)
        folder.chmod(mode)
    except FileExistsError:
        return
    except OSError as error:
        raise EmbeddedError(
            f"Cannot create {folder} ({error.strerror}). Set VAR_DIR to a folder you may write to."
        ) from None


def address(var: Path, name: str, is_ours: Callable[[], bool]) -> Address:
    """The recorded address of `name`, chosen on first use, and anew when a stranger took the port meanwhile."""
    known = recorded(var, name)
    if known and (is_free(known.port) or is_ours()):
        return known
    with locked(var):
        return settle(var, name, is_ours)


def recorded(var: Path, name: str) -> Address | None:
    """The recorded address of `name`, whoever listens there by now."""
    return _read(var).get(name)


def settle(var: Path, name: str, is_ours: Callable[[], bool]) -> Address:
    """As `address`, for a caller that holds the lock."""
    record = _read(var)
    known = record.get(name)
    if known and (is_free(known.port) or is_ours()):
        return known
    taken = {other.port for other in record.values()}
    record[name] = Address(_free_port(taken), known.password if known else secrets.token_urlsafe(24))
    _write(var / "embedded.json", json.dumps({key: asdict(value) for key, value in record.items()}, indent=2))
    return record[name]


def secret_key(var: Path) -> str:
    """Django's SECRET_KEY of this VAR_DIR, made on first use."""
    path = var / "secret_key"
    with locked(var), _usable(path):
        if not path.exists():
            _write(path, secrets.token_urlsafe(50))
        return path.read_text()


def is_free(port: int) -> bool:
    """True when 127.0.0.1:`port` can be listened on now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port(taken: set[int]) -> int:
    for _ in range(200):
        port = _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT + 1)
        if port not in taken and is_free(port):
            return port
    raise EmbeddedError(f"No free port between {_FIRST_PORT} and {_LAST_PORT}. Set DATABASE_URL and REDIS_URL.")


def _read(var: Path) -> dict[str, Address]:
    path = var / "embedded.json"
    with _usable(path):
        if not path.exists():
            return {}
        try:
            return {name: Address(**value) for name, value in json.loads(path.read_text()).items()}
        except (ValueError, TypeError, AttributeError):
            raise EmbeddedError(
                f"{path} is damaged. Put it back from a copy, or remove {var} to begin again with empty data."
            ) from None


def _write(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    with _usable(path), open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
        fresh.replace(path)


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedError(
            f"Cannot use {path} ({error.strerror}). Run this as its owner, or set VAR_DIR to a folder of your own."
        ) from None
