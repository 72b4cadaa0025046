"""The letters of a campaign: what is the same for all is prepared once, each is made when its turn has come."""

import json
from functools import partial
from typing import Any

from django.conf import settings
from django.utils import timezone

from campaigns import dkim, mailer
from campaigns.lifecycle import Leased
from campaigns.message import Letter, Skeleton, message_id, return_path
from campaigns.models import Campaign
from campaigns.services.unsubscribe import unsubscribe_url
from campaigns.smtp import Envelope
from templates_app.rendering import compile_version


class Letters:
    """Makes the envelopes of one campaign, signed where the sender has a key.

    Safe to share between threads; asks the database nothing after it was made.
    """

    def __init__(self, campaign: Campaign) -> None:
        assert campaign.template_version is not None  # noqa: S101 - pinned by the launch
        self._campaign_id = campaign.pk
        self._template = compile_version(campaign.template_version)
        self._skeleton = Skeleton(
            campaign.from_email,
            campaign.reply_to,
            {"Precedence": "bulk", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
        )
        self._context = {**campaign.context, "campaign": {"id": campaign.pk, "name": campaign.name}}
        self._bounces: str = settings.BOUNCE_ADDRESS
        self._key = settings.SECRET_KEY.encode()
        self._signers = mailer.signers_of(self._skeleton.sender.domain)

    def make(self, row: Leased) -> Envelope:
        """The finished message to one recipient. Raises TemplateError or MessageError when it cannot be made."""
        link = unsubscribe_url(row.id)
        recipient: dict[str, Any] = {**json.loads(row.attributes), "email": row.email, "name": row.name}
        rendered = self._template.render({**self._context, "recipient": recipient, "unsubscribe_url": link})
        sender = self._skeleton.sender
        own_id = message_id(self._campaign_id, row.id, sender.domain, self._key)
        letter = Letter(
            to=row.email,
            to_name=row.name,
            subject=rendered.subject,
            html=rendered.html,
            text=rendered.text,
            message_id=own_id,
            date=timezone.now(),
            headers={"List-Unsubscribe": f"<{link}>"},
        )
        envelope_sender = return_path(self._bounces, own_id) if self._bounces else sender.email
        data = self._skeleton.build(letter)
        if not self._signers:
            return Envelope(row.id, envelope_sender, row.email, data)
        sign = partial(dkim.signatures, signers=self._signers)
        return Envelope(row.id, envelope_sender, row.email, sign(data) + data, sign)
