"""preview_message: the very mail that somebody would get, taken apart for a look at it."""

import email
import email.policy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from campaigns.lifecycle import Leased
from campaigns.message import MessageError
from campaigns.models import Campaign, Recipient
from campaigns.services.letters import Letters
from campaigns.services.unsubscribe import NOBODY, unsubscribe_url
from templates_app.errors import TemplateError
from templates_app.services import lint
from templates_app.variables import sample_context

# Of the source that is shown; the size is that of the whole.
_SHOWN_CHARS = 200_000


@dataclass(frozen=True, slots=True)
class MessagePreview:
    """`headers`: (name, value as readers show it). `size`: bytes as sent. `problem`: why it cannot be made, or ""."""

    to: str = ""
    subject: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    html: str = ""
    text: str = ""
    size: int = 0
    source: str = ""
    warnings: tuple[str, ...] = ()
    problem: str = ""


def preview_message(campaign: Campaign, recipient: Recipient | None = None) -> MessagePreview:
    """The mail to this recipient, or, without one, to somebody made up from sample values; links are as they
    will lead, not as they are tracked, but the one to unsubscribe, which unsubscribes nobody. Writes nothing.

    A draft is shown with the current version of its template, a launched campaign with the one it was launched with.
    """
    try:
        letters = Letters(campaign, tracks=False)
        row = leased(recipient) if recipient is not None else made_up(letters)
        link = unsubscribe_url(NOBODY)
        rendered = letters.render(row, link)
        found = lint(content=letters.template.content, context=letters.context_of(row, link))
        data = letters.make(row, link).data
    except (TemplateError, MessageError) as exc:
        return MessagePreview(to=recipient.email if recipient else "", problem=str(exc))
    message = email.message_from_bytes(data, policy=email.policy.default)
    return MessagePreview(
        to=row.email,
        subject=rendered.subject,
        headers=tuple((name, str(value)) for name, value in message.items()),
        html=rendered.html,
        text=rendered.text,
        size=len(data),
        source=data[:_SHOWN_CHARS].decode(errors="replace"),
        warnings=tuple(map(str, found)),
    )


def leased(recipient: Recipient) -> Leased:
    attributes = json.dumps(recipient.attributes)
    return Leased(recipient.pk, recipient.key, recipient.email, recipient.name, attributes, 0)


def made_up(letters: Letters, given: Mapping[str, Any] | None = None) -> Leased:
    """Nobody's row, with a value for each variable of the template; `given` are in the place of made-up ones."""
    samples = sample_context(letters.template.variables).get("recipient", {})
    return nobodys({**(samples if isinstance(samples, dict) else {}), "name": "Ada Example", **(given or {})})


def nobodys(values: Mapping[str, Any]) -> Leased:
    """A row with these values; the address is one for examples, where they have none."""
    email, name = str(values.get("email") or "ada@example.com"), str(values.get("name") or "")
    return Leased(0, email, email, name, json.dumps(values), 0)
