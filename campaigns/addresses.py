"""E-mail addresses: what is written to, and the key by which two spellings are one person."""

import re
import unicodedata
from typing import NamedTuple

import idna

MAX_ADDRESS = 254  # RFC 5321, 4.5.3.1.3, less the angle brackets
MAX_LOCAL = 64

# What spreadsheets and copied text leave around an address: every kind of space, and marks without width.
_EDGES = "".join(chr(c) for c in range(0x3001) if chr(c).isspace()) + "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_TOP_LABEL = "(?=[A-Za-z0-9-]*[A-Za-z])[A-Za-z0-9][A-Za-z0-9-]{0,61}[A-Za-z0-9]"
_LOCAL_PART = re.compile(_LOCAL)
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+{_TOP_LABEL}")
# An A-label (xn--) takes the slow way: whether it decodes is for the IDNA rules to say.
_ORDINARY = re.compile(rf"({_LOCAL})@(?!(?:[^@]*\.)?[xX][nN]--)((?:{_LABEL}\.)+{_TOP_LABEL})")


class AddressError(ValueError):
    """The text is no address that can be mailed. `reason` is short and meant to be read by people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Address(NamedTuple):
    """`email` is what is sent to, `key` (lower case) what duplicates share, `domain` the lower-case A-label domain."""

    email: str
    key: str
    domain: str


def parse_address(raw: str) -> Address:
    """One bare address, such as `Jo.Doe+news@Faß.example`; blanks and invisible marks at its ends are dropped.

    International domains become A-labels by IDNA 2008 (UTS 46, non-transitional). Dots and +tags are kept: they
    are different mailboxes at most providers. Raises AddressError, and nothing else, when it cannot be mailed.
    """
    text = raw.strip(_EDGES)
    match = _ORDINARY.fullmatch(text) if len(text) <= MAX_ADDRESS else None
    if match is None:
        local, domain = _take_apart(text)
    else:
        local, domain = match[1], match[2].lower()
    if len(local) > MAX_LOCAL:
        raise AddressError(f"longer than {MAX_LOCAL} characters before the @")
    email = f"{local}@{domain}"
    return Address(email, email.lower(), domain)


def parse_domain(raw: str) -> str:
    """The lower-case A-label domain of addresses, such as `fass.example`. Raises AddressError."""
    return parse_address(f"postmaster@{raw.strip()}").domain


def address_key(typed: str) -> str:
    """The key of an address as somebody writes it; of what is none the same in lower case, which is nobody's."""
    try:
        return parse_address(typed).key
    except AddressError:
        return typed.lower()


def search_prefix(typed: str) -> str:
    """How the keys begin of all addresses that are written with this beginning; at least of these.

    A label of the domain that is typed in part begins, as an A-label, with its ASCII characters: `jo@mü` is `jo@xn--m`.
    """
    text = unicodedata.normalize("NFC", typed.strip(_EDGES)).lower()
    local, at, domain = text.rpartition("@")
    if not at or domain.isascii():
        return text
    try:
        mapped = idna.uts46_remap(domain, std3_rules=True, transitional=False)
        *whole, begun = mapped.split(".")
        labels = [*map(_a_label, whole), begun if begun.isascii() else "xn--" + "".join(filter(str.isascii, begun))]
    except (idna.IDNAError, UnicodeError):
        return text
    return f"{local}@{'.'.join(labels)}"


def _take_apart(text: str) -> tuple[str, str]:
    """Local part and A-label domain of an address that is not plain ASCII, or the reason why it is none."""
    if not text:
        raise AddressError("empty")
    if len(text) > MAX_ADDRESS:
        raise AddressError(f"longer than {MAX_ADDRESS} characters")
    local, at, domain = unicodedata.normalize("NFC", text).rpartition("@")
    if not at:
        raise AddressError("no @")
    _check_local(local)
    domain = _a_labels(domain)
    if len(local) + 1 + len(domain) > MAX_ADDRESS:
        raise AddressError(f"longer than {MAX_ADDRESS} characters")
    return local, domain


def _check_local(local: str) -> None:
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zs", "Zl", "Zp") for c in local):
        raise AddressError("a space or control character inside; write the bare address, without a name")
    if '"' in local or "<" in local:
        raise AddressError("quotes or brackets; write the bare address, without a name")
    if "@" in local:
        raise AddressError("more than one @")
    if not local.isascii():
        raise AddressError("non-ASCII before the @ needs SMTPUTF8, which is not offered")
    if local.startswith(".") or local.endswith(".") or ".." in local:
        raise AddressError("a misplaced dot before the @")
    if not _LOCAL_PART.fullmatch(local):
        raise AddressError("nothing before the @" if not local else "a character that is not allowed before the @")


def _a_labels(domain: str) -> str:
    try:
        mapped = idna.uts46_remap(domain, std3_rules=True, transitional=False)
        labels = [_a_label(label) for label in mapped.split(".")]
    except (idna.IDNAError, UnicodeError):
        raise AddressError("domain is not valid") from None
    encoded = ".".join(labels)
    if not _DOMAIN.fullmatch(encoded):
        raise AddressError("domain is not valid")
    return encoded


def _a_label(label: str) -> str:
    # Hosts such as r3---x.example.com are in use although IDNA forbids their hyphens; DNS does not.
    if label.isascii() and not label.startswith("xn--"):
        return label
    return idna.alabel(label).decode("ascii").lower()
