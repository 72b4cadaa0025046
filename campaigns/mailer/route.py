"""Which ways mail may take, and what a way needs to be walked."""

import json
import os
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from campaigns import vault
from campaigns.mailer.backend import Backend
from campaigns.models import MailTransport
from campaigns.smtp import Transport
from campaigns.states import Security, TransportKind

SECRET = "$secret"  # noqa: S105 - the mark in the options that it replaces


@dataclass(frozen=True, slots=True)
class Route:
    """A transport ready for use. `key` names its breaker; `problem` says why it cannot be used at all."""

    key: str
    name: str
    transport: Transport | Backend
    problem: str = ""

    @property
    def connections(self) -> int:
        return self.transport.connections

    def narrowed(self) -> "Route":
        """With one connection, to try whether it works."""
        return replace(self, transport=replace(self.transport, connections=1))


def route_of(row: MailTransport) -> Route:
    """A row with its secret, read from the vault or from the environment."""
    problem = secret = ""
    try:
        secret = _secret(row)
    except (vault.VaultError, LookupError) as error:
        problem = str(error.args[0])
    return Route(row.breaker_key, row.name, _transport(row, secret), problem)


def _secret(row: MailTransport) -> str:
    if row.secret_env and row.secret_env not in os.environ:
        raise LookupError(f"The environment variable {row.secret_env} with its secret is not set; set it and restart.")
    found = os.environ[row.secret_env] if row.secret_env else vault.unlock(row.secret)
    # A line end comes along from a file or a form; in a key nobody means it, and no request can carry it.
    return found.rstrip("\r\n")


def _filled(options: Any, secret: str) -> Any:
    """With the secret in place of its mark, at any level."""
    if isinstance(options, dict):
        return {name: _filled(value, secret) for name, value in options.items()}
    return secret if options == SECRET else options


def _transport(row: MailTransport, secret: str) -> Transport | Backend:
    if row.kind == TransportKind.DJANGO:
        options = json.dumps(_filled(row.options, secret))
        return Backend(row.backend, options, row.connections, row.timeout)
    return Transport(
        host=row.host,
        port=row.port,
        username=row.username,
        password=secret,
        security=Security(row.security),
        timeout=row.timeout,
        pipelining=row.pipelining,
        max_messages=row.max_messages,
        verify=row.verify,
        connections=row.connections,
        ehlo=settings.SMTP_EHLO,
    )
