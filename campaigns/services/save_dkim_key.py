"""add_dkim_key, switch_dkim_key, delete_dkim_key: what signs our mail."""

import os
import re

from django.db import IntegrityError, transaction

from campaigns import dkim, vault
from campaigns.addresses import AddressError, parse_domain
from campaigns.errors import DkimKeyRefused
from campaigns.models import DkimKey
from campaigns.states import DkimAlgorithm
from queue_core.services import Actor, audit

# Whoever may add a key must not be able to read other secrets of the process by it.
_ENV = re.compile(r"MAIL_DKIM[A-Z0-9_]*")
_SELECTOR = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


def add_dkim_key(
    *,
    domain: str,
    selector: str,
    algorithm: str = DkimAlgorithm.RSA,
    private_key: str = "",
    secret_env: str = "",
    by: Actor | None = None,
) -> DkimKey:
    """Sign all mail from addresses of a domain, from the next chunks on; publish `record` of the answer in DNS before.

    The key is `private_key` (PEM), or in the environment variable `secret_env`, or made here when neither is given;
    `algorithm` matters only then. Raises DkimKeyRefused with what is wrong by field.
    """
    row = DkimKey(domain=_domain(domain), selector=selector.strip().lower(), secret_env=secret_env)
    if not _SELECTOR.fullmatch(row.selector):
        raise DkimKeyRefused({"selector": ["Write one word of letters, digits and hyphens, such as 2026a."]})
    field = "secret_env" if secret_env else "private_key"
    try:
        pem = _given(private_key, secret_env) or dkim.generate(DkimAlgorithm(algorithm))
        key = dkim.load(pem)
    except dkim.KeyProblem as problem:
        raise DkimKeyRefused({field: [str(problem)]}) from None
    row.algorithm, row.public = dkim.algorithm_of(key), dkim.public_of(key)
    row.secret = "" if secret_env else vault.lock(pem)
    try:
        with transaction.atomic():
            row.save()
            audit.record(DkimKey, [row.pk], f"Created: {row}.", by=by, flag=audit.ADDITION, name=str(row))
    except IntegrityError:
        text = f"There is a key {row} already: choose another selector, and delete the old key when it is not used."
        raise DkimKeyRefused({"selector": [text]}) from None
    row.refresh_from_db()
    return row


def switch_dkim_key(row: DkimKey, *, enabled: bool, by: Actor | None = None) -> bool:
    """Let a key sign, or not; heard by chunks that begin from now on. False: it was so already."""
    with transaction.atomic():
        changed = bool(DkimKey.objects.filter(pk=row.pk, enabled=not enabled).update(enabled=enabled))
        if changed:
            audit.record(DkimKey, [row.pk], f"Switched {'on' if enabled else 'off'}.", by=by, name=str(row))
    row.enabled = enabled
    return changed


def delete_dkim_key(row: DkimKey, *, by: Actor | None = None) -> None:
    """For good. Leave its record in DNS for some days: mail that is under way is still verified with it."""
    with transaction.atomic():
        DkimKey.objects.filter(pk=row.pk).delete()
        audit.record(DkimKey, [row.pk], "Deleted.", by=by, flag=audit.DELETION, name=str(row))


def _domain(raw: str) -> str:
    try:
        return parse_domain(raw)
    except AddressError:
        raise DkimKeyRefused({"domain": ["Write the domain of the sender's address, such as example.com."]}) from None


def _given(private_key: str, secret_env: str) -> str:
    """The PEM text, "" when a key is to be made."""
    if not secret_env:
        return private_key.strip()
    if private_key.strip():
        raise dkim.KeyProblem("Give the key itself or the variable that holds it, not both.")
    if not _ENV.fullmatch(secret_env):
        raise dkim.KeyProblem("Write the name of a variable that begins with MAIL_DKIM, such as MAIL_DKIM_KEY.")
    if not os.environ.get(secret_env, "").strip():
        raise dkim.KeyProblem(f"The environment variable {secret_env} is not set here; set it and restart.")
    return os.environ[secret_env]
