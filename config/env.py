"""Settings from the environment: typed, and loud when they are wrong."""

import importlib.util
import os
from collections.abc import Callable
from typing import Any, TypeVar

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
    except ValueError:
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


def integer(name: str, default: int | None = None) -> int:
    return _read(name, int, "a whole number", default)


def words(name: str, default: list[str]) -> list[str]:
    """A comma-separated list; blanks around and between the words are dropped."""
    return _read(name, lambda raw: [word.strip() for word in raw.split(",") if word.strip()], "a list", default)


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
    config: dict[str, Any] = environ.Env.db_url_config(url)
    if config.get("ENGINE") != "django.db.backends.postgresql":
        raise ImproperlyConfigured(
            "DATABASE_URL must start with postgres:// (PostgreSQL is the only database Posthaste runs on)."
        )
    return config


def prefixed(prefix: str) -> dict[str, str]:
    """All variables whose names begin so, without that beginning; blank ones are left out."""
    return {name.removeprefix(prefix): text for name, text in os.environ.items() if name.startswith(prefix) and text}
