"""deliver: work off one chunk. Lease a group, send it, settle it; nothing is in flight that is not on record."""

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from campaigns import conf, lifecycle, mailer
from campaigns.lifecycle import Leased, Settled
from campaigns.message import Letter, MessageError, Skeleton, message_id
from campaigns.models import CampaignTask
from campaigns.services.unsubscribe import unsubscribe_url
from campaigns.smtp import Envelope, Outcome, Verdict
from campaigns.states import RecipientState
from queue_core.errors import RetryLater
from templates_app.errors import TemplateError
from templates_app.rendering import compile_version

S = RecipientState
_PLAIN = {Verdict.SENT: S.SENT, Verdict.REJECTED: S.REJECTED, Verdict.UNCONFIRMED: S.UNCONFIRMED}


class Delivery:
    """One chunk in the hands of one attempt of its task."""

    def __init__(self, chunk: CampaignTask, task_id: int, lease: UUID) -> None:
        self.chunk, self.task_id, self.lease = chunk, task_id, lease
        self.campaign = campaign = chunk.campaign
        assert campaign.template_version is not None  # noqa: S101 - pinned by the launch
        self.template = compile_version(campaign.template_version)
        self.skeleton = Skeleton(
            campaign.from_email,
            campaign.reply_to,
            {"Precedence": "bulk", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
        )
        self.context = {**campaign.context, "campaign": {"id": campaign.pk, "name": campaign.name}}
        self.key = settings.SECRET_KEY.encode()
        self.settled: list[Settled] = []
        self.leased: dict[int, Leased] = {}
        self.blocked: Outcome | None = None  # the refusal, or the loss, that is about us and not about a recipient
        self._looked_at = time.monotonic()
        self._stopped = False

    def run(self) -> None:
        """Until the range is over, the campaign is paused, or the mail server refuses us."""
        after: int | None = self.chunk.first_id - 1
        try:
            while after is not None and not self._stopped and not self.blocked:
                after = self.turn(after)
        finally:
            self.give_back()

    def turn(self, after: int) -> int | None:
        group, reached = lifecycle.lease(
            self.campaign.pk,
            after=after,
            last=self.chunk.last_id,
            task_id=self.task_id,
            token=self.lease,
            limit=conf.get("GROUP_SIZE"),
        )
        self.leased = {row.id: row for row in group}
        lost = None
        for key, outcome in mailer.deliver(self.envelopes(group), self.should_stop):
            self.note(self.leased.pop(key), outcome)
            lost = outcome if outcome.verdict == Verdict.NOT_SENT and not self._stopped else None
        if lost and not any(settled.state == S.SENT for settled in self.settled):
            self.blocked = self.blocked or lost
        self.give_back()
        return reached

    def give_back(self) -> None:
        """Settle what is known; what was leased and did not leave is pending again."""
        self.settled += [Settled(row_id, S.PENDING) for row_id in self.leased]
        self.leased = {}
        settled, self.settled = self.settled, []
        lifecycle.settle(self.lease, settled)

    def should_stop(self) -> bool:
        """Asked before every message; looks at the campaign every half second."""
        now = time.monotonic()
        if now - self._looked_at >= conf.get("PAUSE_CHECK_SECONDS"):
            self._looked_at = now
            self._stopped = not lifecycle.is_sending(self.campaign.pk)
        return self._stopped

    def envelopes(self, group: list[Leased]) -> Iterator[Envelope]:
        """The messages of a group, each made when its turn has come. One that cannot be made is settled here."""
        for row in group:
            try:
                data = self.message(row)
            except (TemplateError, MessageError) as exc:
                del self.leased[row.id]
                self.settled.append(Settled(row.id, S.REJECTED, detail=f"the message could not be made: {exc}"[:500]))
                continue
            yield Envelope(row.id, self.skeleton.sender.email, row.email, data)

    def message(self, row: Leased) -> bytes:
        link = unsubscribe_url(row.id)
        recipient: dict[str, Any] = {**json.loads(row.attributes), "email": row.email, "name": row.name}
        rendered = self.template.render({**self.context, "recipient": recipient, "unsubscribe_url": link})
        letter = Letter(
            to=row.email,
            to_name=row.name,
            subject=rendered.subject,
            html=rendered.html,
            text=rendered.text,
            message_id=message_id(self.campaign.pk, row.id, self.skeleton.sender.domain, self.key),
            date=timezone.now(),
            headers={"List-Unsubscribe": f"<{link}>"},
        )
        return self.skeleton.build(letter)

    def note(self, row: Leased, outcome: Outcome) -> None:
        """What an SMTP outcome means for the recipient: about them, or about us."""
        if outcome.verdict in _PLAIN:
            self.settled.append(Settled(row.id, _PLAIN[outcome.verdict], outcome.code, outcome.text))
        elif outcome.verdict == Verdict.DEFERRED:
            self.settled.append(defer(row, outcome))
        else:
            if outcome.verdict == Verdict.BLOCKED:
                self.blocked = outcome
            self.settled.append(Settled(row.id, S.PENDING))


def defer(row: Leased, outcome: Outcome) -> Settled:
    """A refusal for now: later, or, after the last of the waits, for good."""
    waits = conf.get("DEFER_SECONDS")
    if row.attempts > len(waits):
        return Settled(row.id, S.REJECTED, outcome.code, f"gave up after {row.attempts} attempts: {outcome.text}"[:500])
    return Settled(row.id, S.DEFERRED, outcome.code, outcome.text, float(waits[row.attempts - 1]))


def deliver_chunk(chunk_id: int, *, task_id: int, lease: UUID) -> None:
    """Mail the pending recipients of a chunk, on behalf of the task attempt that holds `lease`.

    Safe to run again at any point: only pending rows are taken, and only while the lease holds. Raises RetryLater
    when the mail server refuses us, not a recipient.
    """
    chunk = CampaignTask.objects.select_related("campaign__template_version").get(pk=chunk_id)
    delivery = Delivery(chunk, task_id, lease)
    delivery.run()
    if delivery.blocked:
        raise RetryLater(
            f"The mail server does not take our mail: {delivery.blocked.text}", seconds=conf.get("BLOCKED_SECONDS")
        )
    lifecycle.complete(chunk.campaign_id)
