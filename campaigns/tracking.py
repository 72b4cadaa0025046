"""Links and pictures that tell that a mail was read: made for each recipient, and read back when they are used."""

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from urllib.parse import urlsplit

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse

from templates_app.markup import OPEN, attribute_place, set_tags_aside, unescape

# The grammar of `markup.scan`, for this one tag: reading all of them in each mail takes eighty times as long.
_ANCHOR = re.compile(r"""<a\b((?:[^<>"']++|"[^"]*+"|'[^']*+')*+)>""", re.IGNORECASE)
_BODY_END = re.compile(r"</body\s*>", re.IGNORECASE)


@cache
def _signer(purpose: str) -> Signer:
    # The salt scopes a token to its purpose: that of a picture unsubscribes nobody.
    return Signer(salt=f"campaigns.{purpose}")


def links_in(source: str) -> list[str]:
    """The http(s) addresses of a template's links, each once, in order; those with values in them are left out."""
    marked, _ = set_tags_aside(source)
    places = (attribute_place(match[1], "href") for match in _ANCHOR.finditer(marked))
    found = (_url_at(place) for place in places if place)
    return list(dict.fromkeys(url for url in found if _is_trackable(url)))


def _url_at(place: re.Match[str]) -> str:
    return unescape(place[2] or place[3] or place[4] or "").strip()


def _is_trackable(url: str) -> bool:
    """A web address that stands in the template as it is: what holds a value of the recipient is not tracked."""
    if OPEN in url or "{{" in url or "{%" in url:
        return False
    try:
        return urlsplit(url).scheme.lower() in ("http", "https")
    except ValueError:
        return False


def digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


class Tracker:
    """Rewrites the HTML of one campaign's mails. `links`: url -> id of its row; None: clicks are not tracked."""

    def __init__(self, links: Mapping[str, int] | None, *, opens: bool) -> None:
        self._links, self._opens = links or {}, opens
        base = settings.PUBLIC_URL.rstrip("/")
        self._click = base + reverse("tracked-click", args=["-"]).removesuffix("-/")
        self._open = base + reverse("tracked-open", args=["-"]).removesuffix("-.gif")

    def applied(self, body: str, recipient: int) -> str:
        """The same HTML with its links going by way of us, and the picture at its end."""
        if self._links:
            body = _ANCHOR.sub(lambda match: self._tracked(match, recipient), body)
        if self._opens:
            token = _signer("opened").sign(str(recipient))
            picture = f'<img src="{self._open}{token}.gif" alt="" width="1" height="1" style="border:0">'
            end = None
            for end in _BODY_END.finditer(body):  # noqa: B007 - the last one
                pass
            place = end.start() if end else len(body)
            body = body[:place] + picture + body[place:]
        return body

    def _tracked(self, match: re.Match[str], recipient: int) -> str:
        place = attribute_place(match[1], "href")
        link = self._links.get(_url_at(place)) if place else None
        if place is None or link is None:
            return match[0]
        token = _signer("click").sign(f"{recipient}.{link}")
        start, end = (match.start(1) - match.start() + at for at in place.span(place.lastindex or 0))
        return f"{match[0][:start]}{self._click}{token}/{match[0][end:]}"


def read_click(token: str) -> tuple[int, int] | None:
    """(recipient id, link id) of a token that is ours."""
    recipient, _, link = (_unsigned("click", token) or "").partition(".")
    return (int(recipient), int(link)) if recipient.isdigit() and link.isdigit() else None


def read_open(token: str) -> int | None:
    """The recipient's id of a token that is ours."""
    recipient = _unsigned("opened", token) or ""
    return int(recipient) if recipient.isdigit() else None


def _unsigned(purpose: str, token: str) -> str | None:
    try:
        return _signer(purpose).unsign(token)
    except BadSignature:
        return None
