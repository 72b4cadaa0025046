"""Where mail is handed over, and how: the parts of an `smtp://` URL."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from campaigns.states import Security

T = TypeVar("T")
_FLAGS = {"1": True, "yes": True, "true": True, "on": True, "0": False, "no": False, "false": False, "off": False}
__all__ = ["MAX_CONNECTIONS", "Security", "Transport"]

MAX_CONNECTIONS = 50
_OPTIONS = ("starttls", "timeout", "pipelining", "max_messages", "verify", "connections")


@dataclass(frozen=True, slots=True)
class Transport:
    """One mail server. `timeout` (seconds) bounds every wait, four of them that for the fate of a message sent.

    `connections` is how many a chunk under way opens at once, `max_messages` how many each carries; 0 for no limit.
    """

    host: str
    port: int = 25
    username: str = ""
    password: str = field(default="", repr=False)
    security: Security = Security.NONE
    timeout: float = 30.0
    pipelining: bool = True
    max_messages: int = 100
    verify: bool = True
    connections: int = 4
    # How this end calls itself; "": by its address.
    ehlo: str = ""

    @classmethod
    def from_url(cls, url: str, *, ehlo: str = "") -> "Transport":
        """`smtp://user:pass@host:587?starttls=1&timeout=30&pipelining=0&max_messages=100&verify=0&connections=4`,
        or `smtps://…`.

        User and password are percent-encoded. Raises ValueError with a sentence for the person who wrote the URL;
        it never repeats the password.
        """
        parts = _split(url)
        options = _options(parts.query)
        starttls = _read("starttls", options, _FLAGS.__getitem__, "1 or 0", default=False)
        if parts.scheme == "smtps" and starttls:
            raise ValueError("The SMTP URL asks for TLS twice; use smtps:// or starttls=1, not both.")
        security = Security.TLS if parts.scheme == "smtps" else Security.STARTTLS if starttls else Security.NONE
        return cls(
            host=parts.hostname or "",
            port=parts.port or {Security.TLS: 465, Security.STARTTLS: 587, Security.NONE: 25}[security],
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            security=security,
            timeout=_read("timeout", options, _seconds, "a number of seconds, 1 to 3600", default=30.0),
            pipelining=_read("pipelining", options, _FLAGS.__getitem__, "1 or 0", default=True),
            max_messages=_read("max_messages", options, _count, "a whole number, 0 for no limit", default=100),
            verify=_read("verify", options, _FLAGS.__getitem__, "1 or 0", default=True),
            connections=_read("connections", options, _lines, f"1 to {MAX_CONNECTIONS}", default=4),
            ehlo=ehlo,
        )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        well_formed = bool(parts.hostname) and parts.port != 0 and not parts.path.strip("/") and not parts.fragment
    except ValueError:
        well_formed = False
    if not well_formed or parts.scheme not in ("smtp", "smtps"):
        raise ValueError(
            "The SMTP URL cannot be read; write smtp://user:password@host:port or smtps://…, "
            "with :, /, ?, # and @ inside user or password percent-encoded."
        )
    return parts


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(options.keys() - set(_OPTIONS))
    if unknown:
        raise ValueError(f"The SMTP URL has an unknown option {unknown[0]!r}; known are {', '.join(_OPTIONS)}.")
    return options


def _read(name: str, options: dict[str, str], parse: Callable[[str], T], expected: str, *, default: T) -> T:
    if name not in options:
        return default
    try:
        return parse(options[name].lower())
    except (KeyError, ValueError):
        raise ValueError(f"{name} in the SMTP URL must be {expected}, not {options[name]!r}.") from None


def _seconds(raw: str) -> float:
    seconds = float(raw)
    if not 1 <= seconds <= 3600:
        raise ValueError(raw)
    return seconds


def _count(raw: str) -> int:
    count = int(raw)
    if count < 0:
        raise ValueError(raw)
    return count


def _lines(raw: str) -> int:
    lines = int(raw)
    if not 1 <= lines <= MAX_CONNECTIONS:
        raise ValueError(raw)
    return lines
