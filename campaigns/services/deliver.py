"""deliver: work off one chunk. Lease a group, send it, settle it; nothing is in flight that is not on record."""

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from campaigns import conf, lifecycle, mailer
from campaigns.lifecycle import Leased, Settled
from campaigns.message import Letter, MessageError, Skeleton, message_id
from campaigns.models import CampaignTask, Suppression
from campaigns.services.unsubscribe import unsubscribe_url
from campaigns.smtp import Envelope, Outcome, Stage, Verdict
from campaigns.states import RecipientState, SuppressionReason
from queue_core.errors import RetryLater
from templates_app.errors import TemplateError
from templates_app.rendering import compile_version

S = RecipientState
_SETTLE_PAUSE = 0.3
_PLAIN = {Verdict.SENT: S.SENT, Verdict.REJECTED: S.REJECTED, Verdict.UNCONFIRMED: S.UNCONFIRMED}
# A refusal of us in answer to these may still be about the one recipient; so many in a row are about us.
_PERSONAL = {Stage.RCPT, Stage.DATA, Stage.DOT}
_DOUBTS = 3
_POSTPONE_SECONDS = 60.0


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
        self.pulled: list[int] = []  # keys of the group that the mailer was given, in order
        self.doubts: list[tuple[Leased, Outcome]] = []  # refusals in a row that may be about us or about them
        self.bounced: list[Suppression] = []
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
            self.resolve()
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
        self.leased, self.pulled = {row.id: row for row in group}, []
        lost = None
        for key, outcome in mailer.deliver(self.envelopes(group), self.should_stop):
            self.note(self.leased.pop(key), outcome)
            lost = outcome if outcome.verdict == Verdict.NOT_SENT and not self._stopped else None
        if self.doubts and self.doubts[-1][0] in group:
            # The mailer ended at the doubtful one; what is behind it has not had its turn.
            reached = self.doubts[-1][0].id
        elif lost and not any(settled.state == S.SENT for settled in self.settled):
            self.blocked = self.blocked or lost
        self.give_back()
        return reached

    def give_back(self) -> None:
        """Settle what is known. What was leased and did not leave is pending again; what may have left is unconfirmed.

        The mailer has one body in flight at most: that of the first message it was given and gave no outcome for.
        """
        in_flight = [key for key in self.pulled if key in self.leased][:1]
        self.settled += [Settled(key, S.UNCONFIRMED, detail="interrupted while in flight") for key in in_flight]
        self.settled += [Settled(key, S.PENDING) for key in self.leased if key not in in_flight]
        self.leased, self.pulled = {}, []
        record(self.lease, self.settled, self.bounced)
        self.settled, self.bounced = [], []

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
            asked_for, self.pulled = self.pulled, []  # the mailer asks between two bodies: none is in flight
            try:
                data = self.message(row)
            except (TemplateError, MessageError) as exc:
                del self.leased[row.id]
                self.settled.append(Settled(row.id, S.REJECTED, detail=f"the message could not be made: {exc}"[:500]))
                self.pulled = asked_for
                continue
            self.pulled = [*asked_for, row.id]
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
            if outcome.hard:
                self.bounced.append(self.suppression(row, outcome))
            elif outcome.verdict == Verdict.SENT:
                self.resolve()
        elif outcome.verdict == Verdict.DEFERRED:
            self.settled.append(defer(row, outcome))
        elif outcome.verdict == Verdict.BLOCKED and outcome.stage in _PERSONAL:
            self.doubts.append((row, outcome))
            if len(self.doubts) == _DOUBTS:
                self.blocked = outcome
        else:
            if outcome.verdict == Verdict.BLOCKED:
                self.blocked = outcome
            self.settled.append(Settled(row.id, S.PENDING))

    def resolve(self) -> None:
        """Defer the doubtful ones, so that they hold up nobody; when it was about us, it does not count as a try."""
        about_us = self.blocked is not None
        self.settled += [postpone(row, outcome) if about_us else defer(row, outcome) for row, outcome in self.doubts]
        self.doubts = []

    def suppression(self, row: Leased, outcome: Outcome) -> Suppression:
        return Suppression(
            key=row.key,
            email=row.email,
            reason=SuppressionReason.BOUNCED,
            source=f"SMTP {outcome.code}",
            campaign_id=self.campaign.pk,
        )


def record(lease: UUID, settled: list[Settled], bounced: list[Suppression]) -> None:
    """Write the outcomes and the addresses that bounced. A lost database is tried again for some seconds.

    Safe to repeat: what is known must not be lost, and a write of which the answer was lost changes nothing twice.
    """
    deadline = time.monotonic() + conf.get("SETTLE_SECONDS")
    while True:
        try:
            if bounced:
                Suppression.objects.bulk_create(bounced, ignore_conflicts=True)
            lifecycle.settle(lease, settled)
            return
        except (OperationalError, InterfaceError):
            if time.monotonic() >= deadline:
                raise
            connection.close()
            time.sleep(_SETTLE_PAUSE)


def defer(row: Leased, outcome: Outcome) -> Settled:
    """A refusal for now: later, or, after the last of the waits, for good."""
    waits = conf.get("DEFER_SECONDS")
    if row.attempts > len(waits):
        return Settled(row.id, S.REJECTED, outcome.code, f"gave up after {row.attempts} attempts: {outcome.text}"[:500])
    return Settled(row.id, S.DEFERRED, outcome.code, outcome.text, float(waits[row.attempts - 1]))


def postpone(row: Leased, outcome: Outcome) -> Settled:
    """A refusal of us: out of the way of the others for a while, and not counted as a try."""
    return Settled(row.id, S.DEFERRED, outcome.code, outcome.text, _POSTPONE_SECONDS, tried=False)


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
