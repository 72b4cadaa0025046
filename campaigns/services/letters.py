"""The letters of a campaign: what is the same for all is prepared once, each is made when its turn has come."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from django.conf import settings
from django.utils import timezone

from campaigns import dkim, mailer
from campaigns.lifecycle import Leased
from campaigns.message import Letter, Skeleton, message_id, return_path
from campaigns.models import Campaign
from campaigns.services.track import tracker_of
from campaigns.services.unsubscribe import NOBODY, unsubscribe_url
from campaigns.smtp import Envelope
from templates_app.rendering import Rendered, compile_version


def context_for_all(campaign: Campaign) -> dict[str, Any]:
    """What the template is given in each mail of a campaign."""
    return {**campaign.context, "campaign": {"id": campaign.pk, "name": campaign.name}}


def context_for_one(for_all: Mapping[str, Any], row: Leased, link: str) -> dict[str, Any]:
    """What the template is given for one recipient; a blank name is as good as none."""
    recipient: dict[str, Any] = {**json.loads(row.attributes), "email": row.email, "name": row.name or None}
    return {**for_all, "recipient": recipient, "unsubscribe_url": link}


class Letters:
    """Makes the envelopes of one campaign, signed where the sender has a key.

    Safe to share between threads; asks the database nothing after it was made.
    """

    def __init__(self, campaign: Campaign, *, tracks: bool = True) -> None:
        self._campaign_id = campaign.pk
        # Pinned by the launch; a draft is shown as it would be sent now.
        self.template = compile_version(campaign.template_version or campaign.template.version)
        self._skeleton = Skeleton(
            campaign.from_email,
            campaign.reply_to,
            {"Precedence": "bulk", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
            self.template.lasting,
        )
        self._context = context_for_all(campaign)
        self._tracker = tracker_of(campaign, self.template.html) if tracks else None
        self._bounces: str = settings.BOUNCE_ADDRESS
        self._key = settings.SECRET_KEY.encode()
        self._signers = mailer.signers_of(self._skeleton.sender.domain)

    def make(self, row: Leased, link: str = "") -> Envelope:
        """The finished message to one recipient; `link` takes the place of their own to unsubscribe.

        Raises TemplateError or MessageError when it cannot be made.
        """
        letter = self._letter(row, link or unsubscribe_url(row.id))
        if self._tracker is not None and any(letter.html):
            letter = replace(letter, html=(self._tracker.applied("".join(letter.html), row.id),))
        sender = return_path(self._bounces, letter.message_id) if self._bounces else self._skeleton.sender.email
        return self._envelope(row.id, sender, letter)

    def make_test(self, row: Leased, to: str, *, key: int) -> Envelope:
        """The same message to somebody who tries it: marked, and with a link that unsubscribes nobody.

        `key` tells its outcome from the others.
        """
        letter = self._letter(row, unsubscribe_url(NOBODY))
        sender = self._skeleton.sender
        marked = replace(
            letter,
            to=to,
            to_name="",
            subject=f"[Test] {letter.subject}",
            message_id=f"<test.{secrets.token_hex(8)}@{sender.domain}>",
            headers={**letter.headers, "X-Posthaste-Test": f"campaign {self._campaign_id}"},
        )
        return self._envelope(key, sender.email, marked)

    def render(self, row: Leased, link: str) -> Rendered:
        """Subject, HTML and text for one recipient. Raises TemplateError."""
        return self.template.render(self.context_of(row, link))

    def context_of(self, row: Leased, link: str) -> dict[str, Any]:
        """What the template is given for one recipient."""
        return context_for_one(self._context, row, link)

    def _letter(self, row: Leased, link: str) -> Letter:
        rendered = self.render(row, link)
        return Letter(
            to=row.email,
            to_name=row.name,
            subject=rendered.subject,
            html=rendered.html_pieces,
            text=rendered.text_pieces,
            message_id=message_id(self._campaign_id, row.id, self._skeleton.sender.domain, self._key),
            date=timezone.now(),
            headers={"List-Unsubscribe": f"<{link}>"},
        )

    def _envelope(self, key: int, sender: str, letter: Letter) -> Envelope:
        data = self._skeleton.build(letter)
        if not self._signers:
            return Envelope(key, sender, letter.to, data, is_canonical=True)
        sign = partial(dkim.signatures, signers=self._signers)
        return Envelope(key, sender, letter.to, sign(data) + data, sign, is_canonical=True)
