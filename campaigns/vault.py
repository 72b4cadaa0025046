"""Secrets in the database: encrypted there, readable only with a key of the settings."""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class VaultError(Exception):
    """A secret that no key of the settings opens."""


def _fernet(key: str) -> Fernet:
    # The prefix keeps this key apart from the others that are made of the same SECRET_KEY.
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"campaigns.vault:" + key.encode()).digest()))


def _vault() -> MultiFernet:
    keys: list[str] = settings.VAULT_KEYS or [settings.SECRET_KEY, *map(str, settings.SECRET_KEY_FALLBACKS)]
    return MultiFernet([_fernet(key) for key in keys])


def lock(secret: str) -> str:
    """Encrypted with the first of the keys; "" stays ""."""
    return _vault().encrypt(secret.encode()).decode() if secret else ""


def unlock(locked: str) -> str:
    """The secret; VaultError when it was locked with a key that is gone."""
    try:
        return _vault().decrypt(locked.encode()).decode() if locked else ""
    except InvalidToken:
        raise VaultError("Its secret was stored under another key (VAULT_KEYS, SECRET_KEY): enter it again.") from None
