"""Which failures are the same: one fingerprint for an error whatever ids, numbers and addresses it names."""

import hashlib
import re

FINGERPRINT = re.compile("[0-9a-f]{32}")

# From the most to the least special, so that a UUID is not first taken apart as numbers.
_VARYING = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE), "<uuid>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"[\w.+-]+@[\w.-]+"), "<address>"),
    (re.compile(r"'[^']*'|\"[^\"]*\""), "<text>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
)


def normalise(error: str) -> str:
    """`User 7 has no 'x@y.z'` -> `User <n> has no <text>`."""
    for pattern, mark in _VARYING:
        error = pattern.sub(mark, error)
    return error


def fingerprint(name: str, error_class: str, error: str) -> str:
    """32 hexadecimal digits. Made of the task, the exception's class and its message without what varies."""
    text = f"{name}\n{error_class}\n{normalise(error)}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
