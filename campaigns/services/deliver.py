"""deliver: work off one chunk. Lease some, send them, settle them; nothing is in flight that is not on record."""

import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from campaigns import breaker, buckets, conf, lifecycle, mailer
from campaigns.buckets import Grant
from campaigns.lifecycle import Leased, Settled, Wish
from campaigns.mailer import Report, Route, Work
from campaigns.message import MessageError
from campaigns.models import CampaignTask
from campaigns.services.chunk import count_live_chunks
from campaigns.services.domain_line import DomainLine
from campaigns.services.letters import Letters
from campaigns.services.verdicts import Ledger
from campaigns.smtp import BEFORE_MAIL
from campaigns.states import RecipientState
from queue_core.errors import Discard, Snooze
from templates_app.errors import TemplateError

S = RecipientState
# A transport that somebody has repaired and reset is used again within this time (seconds).
_LONGEST_NAP = 30.0
# Within a rate: a bucket is asked no more often than this, and a chunk waits for it no longer, in all, than that.
_BUCKET_SECONDS = 0.1
_LONGEST_WAIT = 0.3
_LONGEST_RATE_NAP = 3600.0
# Chunks of a campaign that wake within a second: each costs its worker some hundredths of one.
_WAKE_AT_MOST = 10.0
# For answers to what is under way: after a pause those of a slow server too, in a hurry no longer than a task that is
# told to end may take.
_PATIENCE = 60.0
# A transport that takes mail is said to do so as often as this.
_TELL_SECONDS = 2.0
# For so long a chunk goes on at once: well below the limit of its task, and others want the worker too.
_SLICE_SECONDS = 60.0
_HURRY = 5.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """Of the task that sends a chunk. `should_stop`: whether its worker wants to end."""

    task_id: int
    lease: UUID
    should_stop: Callable[[], bool]


class Delivery:
    """One chunk in the hands of one attempt of its task: this thread keeps the ledger, those of the crew send."""

    def __init__(self, chunk: CampaignTask, route: Route, attempt: Attempt, *, is_probe: bool = False) -> None:
        self.chunk, self.route, self.attempt, self.is_probe = chunk, route, attempt, is_probe
        self.letters = Letters(chunk.campaign)
        self.ledger = Ledger(chunk.campaign, attempt.lease, route.key)
        self.crew = mailer.hire(route.narrowed() if is_probe else route)
        # Rows that may be `sending` at once, over all connections.
        self.room: int = conf.get("GROUP_SIZE") * self.crew.size
        self.leased: dict[int, Leased] = {}
        self.after: int | None = chunk.first_id - 1
        self.rates: dict[str, float] = {}
        self.line: DomainLine | None = None
        # Why it ended before its range was over: the rates, or whatever halted it.
        self.is_held_up = self.is_cut_short = False
        self._pause = self._waited = 0.0
        self._began_at = self._looked_at = time.monotonic()
        self._stopped = False
        self._told, self._told_at = 0, 0.0

    def run(self) -> None:
        """Until the range or the time is over, the mail server refuses us, or something else changed: see `look`.

        A probe ends when it has found out.
        """
        self.hear_rates()
        patience = _HURRY
        try:
            while not self._stopped and not self.crew.halted and self.turn():
                self.take(self.crew.collect(self.wanted, self._pause or conf.get("PAUSE_CHECK_SECONDS")))
                self.trust()
                self.look()
            self.is_cut_short = self._stopped or self.crew.halted
            patience = _PATIENCE
        finally:
            self.give_back(patience)
        self.trust()
        if self.crew.fault is not None:
            raise self.crew.fault

    @property
    def wanted(self) -> int:
        """Outcomes that are worth a statement; the other half of the rows keeps the crew busy meanwhile."""
        return max(1, min(self.room // 2, len(self.leased)))

    def turn(self) -> bool:
        """Write what is known and mark more rows as `sending`, for the crew; whether there is anything to wait for."""
        wish, grant = self.wish()
        group, after = self.ledger.write(wish)
        if wish is not None:
            self._pause = 0.0
            buckets.give_back(grant, grant.n - len(group))
            if self.line is not None:
                self.line.give_back({row.id for row in group})
                after = after and self.line.before
            self.after = after
            self.leased.update((row.id, row) for row in group)
            self.crew.add([Work(row.id, partial(self.letters.make, row)) for row in group])
        return bool(self.leased) or (self.after is not None and not self.is_held_up)

    def wish(self) -> tuple[Wish | None, Grant]:
        """What may be leased now, as far as there is room and within the rates."""
        limit = self.room - len(self.leased)
        if self.after is None or limit <= 0:
            return None, Grant(0)
        grant = buckets.take(self.rates, limit)
        if not grant.n:
            self.wait(grant.wait)
            return None, grant
        ids: list[int] | None = None
        if self.line is not None:
            ids, wait = self.line.pick(grant.n)
            if not ids:
                buckets.give_back(grant, grant.n)
                self.after = self.line.before
                if self.after is not None:
                    self.wait(wait)
                return None, grant
        first = self.chunk.first_id - 1 if ids else self.after
        return Wish(self.chunk.campaign_id, first, self.chunk.last_id, self.attempt.task_id, grant.n, ids), grant

    def hear_rates(self) -> None:
        """As the limits are now: an edit is heard while a chunk is under way."""
        self.rates = buckets.rates_of(self.chunk.campaign_id, self.route.key)
        rates = buckets.domain_rates()
        if self.line is not None:
            self.line.rates = rates
        elif rates and self.after is not None:
            self.line = DomainLine(self.chunk.campaign_id, after=self.after, last=self.chunk.last_id, rates=rates)

    def wait(self, seconds: float) -> None:
        """The rate lets nobody through now: stay while the waits are short, in all, else let the worker go."""
        if not self.leased:
            self._pause = max(seconds, _BUCKET_SECONDS)
            self._waited += self._pause
            self.is_held_up = self._waited > _LONGEST_WAIT

    def take(self, reports: deque[Report]) -> None:
        # The task may be told to end between any two lines (time limit, cancel): what is out of both is forgotten.
        while reports:
            if (row := self.leased.get(reports[0].key)) is not None:
                self.note(row, reports[0])
                del self.leased[row.id]
            reports.popleft()
        if self.ledger.blocked or self.crew.fault:
            self.crew.halt()

    def note(self, row: Leased, report: Report) -> None:
        if report.outcome is not None:
            self.ledger.note(row, report.outcome, was_stopped=self.crew.halted)
        elif isinstance(report.error, TemplateError | MessageError):
            self.ledger.settled.append(
                Settled(row.id, S.REJECTED, detail=f"the message could not be made: {report.error}")
            )
        else:
            self.crew.fault = report.error
            self.ledger.settled.append(Settled(row.id, S.PENDING))

    def trust(self) -> None:
        """While messages are taken, nobody else needs to keep off this transport."""
        taken, now = self.ledger.taken, time.monotonic()
        if len(taken) > self._told or (taken and now - self._told_at >= _TELL_SECONDS):
            self._told, self._told_at = len(taken), now
            breaker.took(self.route.key, taken)
        if self.is_probe and self.ledger.has_answered and not self._stopped:
            # A server that speaks of recipients talks to us again, whether it takes these or not.
            self._stopped = True
            breaker.recover(self.route.key)

    def look(self) -> None:
        """Every half second: is the campaign still to be sent, by this way, and here?"""
        now = time.monotonic()
        if now - self._looked_at >= conf.get("PAUSE_CHECK_SECONDS"):
            self._looked_at = now
            self._stopped = self._stopped or self._is_over(now)
            self.hear_rates()

    def _is_over(self, now: float) -> bool:
        if now - self._began_at > _SLICE_SECONDS or self.attempt.should_stop():
            return True
        is_sending = lifecycle.is_sending(self.chunk.campaign_id)
        return not is_sending or self.route not in mailer.routes(self.chunk.campaign.transport_id)

    def give_back(self, patience: float) -> None:
        """Settle what is known. Of the others, what was not begun is pending again, the rest is unconfirmed."""
        reports, untouched = self.crew.dismiss(patience)
        self.take(reports)
        self.ledger.close()
        for key in self.leased:
            self.ledger.settled.append(
                Settled(key, S.PENDING)
                if key in untouched
                else Settled(key, S.UNCONFIRMED, detail="interrupted while in flight")
            )
        self.leased = {}
        self.ledger.write()
        if patience == _HURRY or self.ledger.is_shaken:
            # Whoever was leased by a statement whose answer nobody got was never begun.
            lifecycle.release(self.chunk.campaign_id, self.attempt.lease)


def deliver_chunk(chunk_id: int, *, task_id: int, lease: UUID, should_stop: Callable[[], bool] = lambda: False) -> None:
    """Mail the pending recipients of a chunk, on behalf of the task attempt that holds `lease`.

    Safe to run again at any point: only pending rows are taken, and only while the lease holds. What takes long comes
    again for the rest. A transport that refuses us, not a recipient, hands over to the next one; what it may have taken
    already is not sent again. Raises Snooze when none is left, Discard for a task that is not the chunk's own: its
    lease is none that `recover` knows.
    """
    chunk = CampaignTask.objects.select_related("campaign__template_version").get(pk=chunk_id)
    if chunk.task_id != task_id:
        raise Discard(f"The chunk is sent by task {chunk.task_id}, and by no other.")
    attempt, waits = Attempt(task_id, lease, should_stop), []
    for route in mailer.routes(chunk.campaign.transport_id):
        gate = breaker.admit(route.key)
        if not gate.is_open_to_us:
            waits.append(gate.wait)
            continue
        try:
            refusal = _deliver_by(route, chunk, attempt, is_probe=gate.is_probe)
        finally:
            if gate.is_probe:
                breaker.release(route.key)
        if not refusal:
            lifecycle.complete(chunk.campaign_id)
            return
        waits.append(conf.get("BLOCKED_SECONDS"))
    if lifecycle.is_sending(chunk.campaign_id):
        raise Snooze(min([*waits, _LONGEST_NAP]))


def _deliver_by(route: Route, chunk: CampaignTask, attempt: Attempt, *, is_probe: bool) -> str:
    """Why the transport does not take our mail, which its breaker has heard; "" when it does."""
    if route.problem:
        breaker.trip(route.key, route.problem)
        return route.problem
    delivery = Delivery(chunk, route, attempt, is_probe=is_probe)
    delivery.run()
    blocked = delivery.ledger.blocked
    if blocked is not None:
        refusal = blocked.words or f"{blocked.code} in answer to {blocked.stage.upper()}"
        breaker.trip(route.key, refusal, is_sure=blocked.stage not in BEFORE_MAIL)
        return refusal
    if delivery.is_held_up or delivery.is_cut_short:
        _come_again(delivery)
    return ""


def _come_again(delivery: Delivery) -> None:
    """Raises Snooze while there is something to come for: when the rate lets some through, or at once."""
    chunk = delivery.chunk
    if lifecycle.is_sending(chunk.campaign_id):
        raise Snooze(_rate_nap(chunk, delivery.rates) if delivery.is_held_up else 0.0)


def _rate_nap(chunk: CampaignTask, rates: Mapping[str, float]) -> float:
    """Seconds: so that each second as many chunks of the campaign wake as the rate has work for, and one at least.

    Not only of chunks as large as this one: those of recipients who were deferred may have one each.
    """
    awake = min(max(1.0, 2 * min(rates.values(), default=0.0) / max(1, chunk.size)), _WAKE_AT_MOST)
    asleep = count_live_chunks(chunk.campaign_id, at_most=int(_LONGEST_RATE_NAP))
    return random.uniform(1.0, 2.0 + asleep / awake)  # noqa: S311 - spreads load, guards nothing
