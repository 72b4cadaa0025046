"""Whether what the mails link to can be reached by those who get them."""

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings

from campaigns.models import Campaign
from campaigns.services.preflight.item import Item, ok, warn


def links(campaign: Campaign) -> Iterator[Item]:
    public = urlsplit(settings.PUBLIC_URL)
    if not _is_public(public.hostname or ""):
        yield warn(
            "public_url",
            f"Unsubscribe links begin with {settings.PUBLIC_URL}, which no recipient can reach: set PUBLIC_URL.",
        )
    elif public.scheme != "https":
        yield warn(
            "public_url",
            f"Unsubscribe links begin with {settings.PUBLIC_URL}: one-click unsubscribing needs https, so set "
            "PUBLIC_URL to such an address.",
        )
    else:
        yield ok("public_url", f"Unsubscribe links begin with {settings.PUBLIC_URL}.")


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host.strip(".") and not host.rstrip(".").endswith((".local", ".localhost", ".internal"))
