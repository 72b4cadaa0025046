"""Settings from the environment: typed, and loud when they are wrong."""

import importlib.util
import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import environ
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def _read(name: str, parse: Callable[[str], T], expected: str, default: T | None) -> T:
    """Parse the variable `name`; an unset or blank one takes `default`, which must then exist."""
    raw = os.environ.get(name, "").strip()
    if not raw:
        if default is None:
            raise ImproperlyConfigured(f"Set the environment variable {name} ({expected}).")
        return default
    try:
        return parse(raw)
    except (ValueError, LookupError, OSError):
        raise ImproperlyConfigured(f"{name} must be {expected}, not {raw!r}.") from None


def _parse_flag(raw: str) -> bool:
    word = raw.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(raw)
    return word in _TRUE


def text(name: str, default: str | None = None) -> str:
    return _read(name, str, "a text", default)


def flag(name: str, default: bool) -> bool:
    return _read(name, _parse_flag, "yes or no", default)


def integer(name: str, default: int, *, least: int, most: int) -> int:
    def parse(raw: str) -> int:
        if not least <= (number := int(raw)) <= most:
            raise ValueError(raw)
        return number

    return _read(name, parse, f"a whole number from {least} to {most}", default)


def log_level(name: str, default: str) -> str:
    """The name of a level, however it is spelt."""
    levels = logging.getLevelNamesMapping()
    return _read(name, lambda raw: logging.getLevelName(levels[raw.upper()]), f"one of {', '.join(levels)}", default)


def time_zone(name: str, default: str) -> str:
    return _read(name, lambda raw: ZoneInfo(raw).key, "a time zone such as Europe/Berlin", default)


def words(name: str, default: list[str]) -> list[str]:
    """A comma-separated list; blanks around and between the words are dropped."""
    return _read(name, lambda raw: [word.strip() for word in raw.split(",") if word.strip()], "a list", default)


def queues(name: str, default: list[str], *, needed: Sequence[str]) -> list[str]:
    """Names of queues, each once and as the queue takes them; those in `needed` are among them."""
    found = words(name, default)
    if twice := [queue for queue, count in Counter(found).items() if count > 1]:
        raise ImproperlyConfigured(f"{name} names {twice[0]!r} more than once.")
    if bad := [queue for queue in found if len(queue) > 64 or not queue.replace("-", "").replace("_", "").isalnum()]:
        raise ImproperlyConfigured(f"{name}: {bad[0]!r} is no name of a queue; letters, digits, - and _, at most 64.")
    if missing := [queue for queue in needed if queue not in found]:
        raise ImproperlyConfigured(
            f"{name} must also name {', '.join(missing)}: tasks of this project go there. For example "
            f"{name}={','.join([*found, *missing])}."
        )
    return found


def apps(name: str) -> list[str]:
    """A list of Python packages, which must be there."""
    found = words(name, [])
    for app in found:
        package = app.partition(".")[0]
        if not package.isidentifier() or importlib.util.find_spec(package) is None:
            raise ImproperlyConfigured(f"{name} names {app!r}, but there is no package {package!r} to import.")
    return found


def database(url: str) -> dict[str, Any]:
    """Django's DATABASES entry for a `postgres://` URL."""
    if urlsplit(url).scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            "DATABASE_URL must start with postgres:// (PostgreSQL is the only database Posthaste runs on)."
        )
    try:
        config: dict[str, Any] = environ.Env.db_url_config(url)
    except ValueError:
        config = {}
    if not (config.get("NAME") or config.get("OPTIONS", {}).get("service")):
        raise ImproperlyConfigured("DATABASE_URL cannot be read: write postgres://user:password@host:port/name.")
    return config


def redis_url(name: str) -> str:
    """The address of a Valkey or Redis; "" when none is given. What is wrong is not shown: it may hold a password."""
    url = text(name, "")
    try:
        parts = urlsplit(url)
        is_address = bool(parts.path) if parts.scheme == "unix" else parts.port != 0
    except ValueError:  # of the port
        is_address = False
    if url and not (is_address and parts.scheme in {"redis", "rediss", "unix"}):
        raise ImproperlyConfigured(
            f"{name} cannot be read: write redis://user:password@host:port/0, rediss://… or unix:///path."
        )
    return url


def prefixed(prefix: str) -> dict[str, str]:
    """All variables whose names begin so, without that beginning; blank ones are left out."""
    return {name.removeprefix(prefix): text for name, text in os.environ.items() if name.startswith(prefix) and text}
