"""Is this an address that a reader of a mail can follow?"""

import re
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from templates_app.environment.missing import MISSING_OPENS
from templates_app.lint.finding import Finding, error, warning
from templates_app.markup import MARK, OPEN

_INVISIBLE = re.compile(r"[\x00-\x20\x7f]+")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_UNSAFE = frozenset({"javascript", "vbscript", "data", "file", "blob", "filesystem", "view-source", "jar"})
_OF_PROGRAMS = frozenset({"tel", "sms", "webcal", "geo", "maps", "facetime", "whatsapp", "tg"})
_LOOKS_LIKE_HOST = re.compile(r"(?:https?://)?((?:[a-z0-9-]+\.)+[a-z]{2,24})(?::\d+)?(?:[/?#]\S*)?", re.IGNORECASE)
_AT_HOME = re.compile(r"(?:.*\.)?(?:localhost|local|internal|test|invalid)|127\.[\d.]+|10\.[\d.]+|192\.168\.[\d.]+")
_LONGEST_SHOWN = 60


def judge(address: str, line: int | None = None) -> Iterator[Finding]:
    """What is wrong with a link to `address`. What a template fills in (marks), and what is missing, may
    be anything that is right."""
    bare = _INVISIBLE.sub("", address)
    scheme = _SCHEME.match(bare)
    if bare.startswith((OPEN, MISSING_OPENS)):
        return
    if not bare or bare == "#":
        yield warning("link-empty", "A link leads nowhere. Write its address.", line)
    elif bare.startswith("#"):
        return
    elif scheme is None:
        yield _without_scheme(bare, line)
    else:
        yield from _by_scheme(scheme[1].lower(), address.strip(), line)


def judge_image(address: str, line: int | None = None) -> Iterator[Finding]:
    """What is wrong with a picture at `address`."""
    bare = _INVISIBLE.sub("", address)
    if not bare:
        yield error("image-missing", 'An image has no address. Write where it is: src="https://…".', line)
    elif bare.lower().startswith("data:image/"):
        yield warning("image-embedded", "An image is written into the mail (data:), which Gmail hides. Link it.", line)
    elif not bare.lower().startswith("cid:"):
        yield from judge(address, line)


def disguises(shown: str, address: str, line: int | None = None) -> Iterator[Finding]:
    """Whether a link that reads like one host leads to another, as fraud does."""
    host = _LOOKS_LIKE_HOST.fullmatch(shown.strip())
    target = _split(address.strip())
    if host is None or OPEN in shown or target is None or not target.hostname or OPEN in target.netloc:
        return
    reads, leads = (name.lower().removeprefix("www.") for name in (host[1], target.hostname))
    if reads != leads and not leads.endswith(f".{reads}") and not reads.endswith(f".{leads}"):
        message = f"A link reads {_shown(shown.strip())} but leads to {leads}; mail programs warn of that as fraud."
        yield warning("link-disguised", f"{message} Make the two agree.", line)


def _by_scheme(scheme: str, address: str, line: int | None) -> Iterator[Finding]:
    if scheme in _UNSAFE:
        yield error("link-unsafe", f"A link starts with “{scheme}:”, which mail programs block. Use https.", line)
    elif scheme in ("http", "https"):
        yield from _web(address, scheme, line)
    elif scheme == "mailto":
        if "@" not in address and OPEN not in address:
            yield error("link-broken", f"The link {_shown(address)} has no mail address. Write mailto:name@host.", line)
    elif scheme not in _OF_PROGRAMS:
        yield warning("link-unusual", f"Few programs can follow the link {_shown(address)}. Use https or mailto.", line)


def _without_scheme(address: str, line: int | None) -> Finding:
    if _LOOKS_LIKE_HOST.fullmatch(address.lstrip("/")) and "." in address.split("/")[0] + address[:3]:
        return error("link-relative", f"The link {_shown(address)} has no https:// in front; write it.", line)
    message = f"The link {_shown(address)} is relative; a mail has no page it belongs to. Write the whole address."
    return error("link-relative", message, line)


def _web(address: str, scheme: str, line: int | None) -> Iterator[Finding]:
    target = _split(address)
    host = target.hostname if target else None
    if target is None or not host or _INVISIBLE.search(MARK.sub("", address)):
        yield error("link-broken", f"The link {_shown(address)} is no web address. Correct it.", line)
    elif _AT_HOME.fullmatch(host) or not ({".", OPEN, ":"} & set(host)):
        yield warning("link-private", f"The link {_shown(address)} works inside your own network only.", line)
    elif scheme == "http":
        yield warning("link-insecure", f"The link {_shown(address)} is not encrypted. Use https.", line)


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _shown(address: str) -> str:
    plain = MARK.sub("…", address)
    return f"“{plain if len(plain) <= _LONGEST_SHOWN else plain[:_LONGEST_SHOWN] + '…'}”"
