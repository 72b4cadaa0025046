"""unsubscribe: a signed link in every mail, and what it does."""

import hashlib
import hmac
from functools import cache

from django.conf import settings
from django.core.signing import BadSignature, Signer, b64_encode
from django.db import transaction
from django.urls import reverse
from django.utils.encoding import force_bytes

from campaigns import lifecycle
from campaigns.errors import UnknownLink
from campaigns.lifecycle import Happened
from campaigns.models import Recipient
from campaigns.services.suppress import keep_off
from campaigns.states import EventKind, SuppressionReason

# No recipient has this id: the links of previews and tests are made for it, and unsubscribe nobody.
NOBODY = 0


@cache
def _signer() -> Signer:
    # The salt scopes the token to this one purpose; it never expires, and no address is in it.
    return Signer(salt="campaigns.unsubscribe")


@cache
def _mac_key() -> bytes:
    signer = _signer()
    return hashlib.sha256(force_bytes(signer.salt) + b"signer" + force_bytes(signer.key)).digest()


@cache
def _prefix() -> str:
    return settings.PUBLIC_URL.rstrip("/") + reverse("unsubscribe", args=["-"]).removesuffix("-/")


def unsubscribe_url(recipient_id: int) -> str:
    value = str(recipient_id)
    # What `_signer().sign` makes, its key derived once: for each mail anew it costs as much as half the headers.
    mac = b64_encode(hmac.digest(_mac_key(), value.encode(), "sha256")).decode()
    return f"{_prefix()}{value}:{mac}/"


def recipient_of(token: str) -> Recipient | None:
    """The recipient a link was made for; None for that of a preview or a test, which is nobody's.

    Raises UnknownLink when the token is not ours or not whole, or the recipient is gone (a draft's, never mailed).
    """
    try:
        recipient_id = int(_signer().unsign(token))
    except (BadSignature, ValueError):
        raise UnknownLink from None
    if recipient_id == NOBODY:
        return None
    found = Recipient.objects.filter(pk=recipient_id).select_related("campaign").first()
    if found is None:
        raise UnknownLink
    return found


def unsubscribe(recipient: Recipient, *, source: str = "unsubscribe link") -> bool:
    """Never mail this address again, from any campaign; heard by the next group that is leased. Whether it was news.

    Safe to repeat: it is one event of the recipient, however often the link is used.
    """
    with transaction.atomic():
        keep_off(recipient, SuppressionReason.UNSUBSCRIBED, source)
        event = Happened(recipient.pk, EventKind.UNSUBSCRIBED, source_id=f"unsubscribed:{recipient.pk}")
        return bool(lifecycle.record_events([event]))
