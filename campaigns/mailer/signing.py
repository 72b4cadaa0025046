"""Whose keys sign the mail of a sender."""

import os

from campaigns import vault
from campaigns.dkim import KeyProblem, Signer, load, public_of
from campaigns.models import DkimKey


def signers_of(domain: str) -> tuple[Signer, ...]:
    """Those of the sender's domain, else of the nearest one above it, so that they are aligned with From; or none.

    Raises KeyProblem when a key cannot be read: mail that should be signed must not leave without it.
    """
    labels = domain.split(".")
    above = [".".join(labels[start:]) for start in range(len(labels) - 1)]
    rows = list(DkimKey.objects.filter(domain__in=above, enabled=True).order_by("pk"))
    nearest = max((row.domain for row in rows), key=len, default="")
    return tuple(_signer(row) for row in rows if row.domain == nearest)


def _signer(row: DkimKey) -> Signer:
    try:
        key = load(vault.unlock(row.secret) if not row.secret_env else os.environ[row.secret_env])
    except KeyError:
        raise KeyProblem(
            f"The environment variable {row.secret_env} with the DKIM key {row} is not set; set it and restart."
        ) from None
    except (vault.VaultError, KeyProblem) as error:
        raise KeyProblem(f"The DKIM key {row} cannot be used. {error}") from None
    if public_of(key) != row.public:
        raise KeyProblem(
            f"The DKIM key {row} in {row.secret_env} is another than the published one: add it under a new selector."
        )
    return Signer(row.domain, row.selector, key)
