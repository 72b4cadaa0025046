#!/usr/bin/env python
"""The project's command line: starts the embedded servers where none are given, then runs the command."""

import os
import sys
import warnings

from config import embedded

# `up` and `services` start the servers themselves.
SERVERLESS = {
    "check", "collectstatic", "compilemessages", "diffsettings", "help", "makemessages", "makemigrations",
    "services", "startapp", "startproject", "test", "up", "version",
}  # fmt: skip


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit("Django is not installed in this Python: run `make install`, then use .venv/bin/python manage.py.")
    # makemigrations compares models with files; that it would also look into a running database is no news.
    warnings.filterwarnings("ignore", "Got an error checking a consistent migration history", RuntimeWarning)
    try:
        if needs_servers(sys.argv[1:]):
            start_servers()
        execute_from_command_line(sys.argv)
    except (embedded.EmbeddedError, ImproperlyConfigured) as error:
        sys.exit(str(error))
    except Exception as error:
        line = unreachable(error) or unmigrated(error) or without_settings(error)
        if line is None:
            raise
        sys.exit(line)


def needs_servers(arguments: list[str]) -> bool:
    """True unless the command is known to work without a database, only asks for help, or completes a word."""
    if not arguments or "DJANGO_AUTO_COMPLETE" in os.environ:
        return False
    return arguments[0] not in SERVERLESS and not {"-h", "--help", "--version"} & set(arguments)


def start_servers() -> None:
    from django.conf import settings

    started = embedded.start(settings.VAR_DIR)
    if started:
        sys.stderr.write(f"Started {' and '.join(started)}; `manage.py services stop` ends them.\n")


def unreachable(error: Exception) -> str | None:
    """One line on a server that cannot be reached, saying what to do; None when `error` is about something else."""
    import redis
    from django.conf import settings
    from django.db import OperationalError

    # Errors that the server itself reports carry an SQLSTATE; a connection that failed has none.
    if isinstance(error, OperationalError) and getattr(error.__cause__, "sqlstate", None) is None:
        default = settings.DATABASES["default"]
        place = f"postgres://{default['USER']}@{default['HOST']}:{default['PORT'] or 5432}/{default['NAME']}"
        title, variable = "PostgreSQL", "DATABASE_URL"
    elif isinstance(error, redis.ConnectionError | redis.TimeoutError):
        place, title, variable = embedded.without_password(settings.REDIS_URL), "Valkey/Redis", "REDIS_URL"
    else:
        return None
    advice = (
        f"Start it, correct {variable}, or unset {variable} to use the embedded server."
        if os.environ.get(variable, "").strip()
        else "`manage.py services start` starts it."
    )
    reason = " ".join(str(error).split())
    return f"Cannot reach {title} at {place}. {advice} ({reason})"


def unmigrated(error: Exception) -> str | None:
    """One line where a table or a column is not there (yet); None when `error` is about something else."""
    if getattr(error.__cause__, "sqlstate", None) not in ("42P01", "42703"):
        return None
    reason = str(error).partition("\n")[0]
    return f"The database does not have the tables of this version: run `manage.py migrate`. ({reason})"


def without_settings(error: Exception) -> str | None:
    """One line on settings that are not there; None when `error` is about something else."""
    module = os.environ["DJANGO_SETTINGS_MODULE"]
    if not (isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}.")):
        return None
    return f"DJANGO_SETTINGS_MODULE names {module!r}, but there is no such module."


if __name__ == "__main__":
    main()
