"""preview_template: a template filled for a recipient, or with a context, for a look at it."""

import email
import email.policy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings

from campaigns.lifecycle import Leased
from campaigns.message import MessageError
from campaigns.models import Campaign, Recipient
from campaigns.services.letters import Letters
from campaigns.services.preview_message import leased, nobodys
from campaigns.services.unsubscribe import NOBODY, unsubscribe_url
from templates_app.errors import TemplateError
from templates_app.models import EmailTemplate
from templates_app.rendering import content_of
from templates_app.services import Preview, preview


def preview_template(
    template: EmailTemplate,
    *,
    recipient: Recipient | None = None,
    context: Mapping[str, Any] | None = None,
    lenient: bool = False,
) -> Preview:
    """The mail that the current version makes for `recipient` in their campaign, else of `context`; writes nothing.

    To a context, what every mail is given is added: the link to unsubscribe, which unsubscribes nobody here, and a
    campaign named like the template. `headers` are those of the message; none, where it could not be sent as it is.
    Raises MessageError for a recipient whose campaign has no usable sender, InvalidTemplate, and RenderError naming
    what is missing, unless `lenient`.
    """
    link = unsubscribe_url(NOBODY)
    if recipient is not None:
        campaign, row = recipient.campaign, leased(recipient)
        campaign.template_version = template.version
        values = Letters(campaign, tracks=False).context_of(row, link)
    else:
        campaign, row = no_campaign(template, context or {}), nobodys(recipient_in(context))
        values = {"campaign": {"id": campaign.pk, "name": campaign.name}, "unsubscribe_url": link, **campaign.context}
    mail = preview(content=content_of(template.version), context=values, lenient=lenient)
    return replace(mail, headers=_headers(campaign, row, link))


def no_campaign(template: EmailTemplate, context: Mapping[str, Any]) -> Campaign:
    """One that is never saved. Its sender: who used the template last, else DEFAULT_FROM_EMAIL."""
    last = Campaign.objects.filter(template=template).order_by("-pk").values_list("from_email", flat=True).first()
    sender = last or settings.DEFAULT_FROM_EMAIL
    return Campaign(pk=0, name=template.name, template=template, from_email=sender, context=dict(context))


def recipient_in(context: Mapping[str, Any] | None) -> dict[str, Any]:
    """The values that a context gives for its recipient."""
    given = (context or {}).get("recipient")
    return given if isinstance(given, dict) else {}


def _headers(campaign: Campaign, row: Leased, link: str) -> dict[str, str]:
    try:
        data = Letters(campaign, tracks=False).make(row, link).data
    except (TemplateError, MessageError):
        return {}
    return {name: str(value) for name, value in email.message_from_bytes(data, policy=email.policy.default).items()}
