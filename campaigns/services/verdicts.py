"""What the answers of mail servers mean for recipients, and writing that down in groups."""

import time
from datetime import timedelta
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from campaigns import breaker, conf, lifecycle
from campaigns.breaker import Standing
from campaigns.lifecycle import Leased, Settled, Wish
from campaigns.models import Campaign, Suppression
from campaigns.smtp import Outcome, Verdict
from campaigns.states import RecipientState, SuppressionReason

S = RecipientState
_SETTLE_PAUSE = 0.3
_PLAIN = {Verdict.SENT: S.SENT, Verdict.REJECTED: S.REJECTED, Verdict.UNCONFIRMED: S.UNCONFIRMED}
# So many doubtful ones in a row are about us, and not about some recipients.
_DOUBTS = 3
_POSTPONE_SECONDS = 60.0
_FOR_GOOD = 500
# So many mailboxes in a row that do not exist, and nothing taken: a server that speaks of us in words nobody knows yet.
_NOBODIES = 10


class Ledger:
    """The outcomes of one attempt at a chunk, on their way into the rows. `blocked` is the one that is about us.

    `key` is that of the transport's breaker.
    """

    def __init__(self, campaign: Campaign, lease: UUID, key: str) -> None:
        self.campaign, self.lease, self.key = campaign, lease, key
        self.settled: list[Settled] = []
        self.blocked: Outcome | None = None
        # The last two different domains that a mail was taken for, and whether the server spoke of a recipient at all.
        self.taken: list[str] = []
        self.has_answered = False
        # Whether the answer to a write was lost once.
        self.is_shaken = False
        self._bounced: list[Suppression] = []
        # In a row: those whose mailbox is said not to exist, until a message that is taken proves the server right.
        self._nobodies: list[Suppression] = []
        # In a row: refusals that may be about us or about them, and connections lost before a message had left.
        self._doubts: list[tuple[Leased, Outcome]] = []
        self._is_blocked_by_doubts = False
        # In a row: answers that did not come.
        self._unanswered = 0

    def note(self, row: Leased, outcome: Outcome, *, was_stopped: bool = False) -> None:
        """What an outcome means for the recipient: about them, or about us.

        Not handed over because we wanted it so (`was_stopped`) is nobody's fault.
        """
        if _is_doubtful(outcome, was_stopped):
            self._doubt(row, outcome)
            return
        self.has_answered = self.has_answered or (outcome.personal and outcome.code > 0)
        if outcome.verdict in _PLAIN:
            self.settled.append(Settled(row.id, _PLAIN[outcome.verdict], outcome.code or None, outcome.words))
            self._learn(row, outcome)
        elif outcome.verdict is Verdict.DEFERRED:
            self.settled.append(_defer(row, outcome))
        else:
            if outcome.verdict is Verdict.BLOCKED:
                self.blocked, self._is_blocked_by_doubts = outcome, False
            self.settled.append(Settled(row.id, S.PENDING))

    def _learn(self, row: Leased, outcome: Outcome) -> None:
        """What an outcome tells beyond its own recipient."""
        if outcome.hard:
            self._nobodies.append(self._suppression(row, outcome))
        elif outcome.verdict is Verdict.SENT:
            self._believe()
            self._unanswered = 0
            if self.taken[-1:] != [_domain(row)]:
                self.taken = [*self.taken[-1:], _domain(row)]
            if self._is_blocked_by_doubts:
                self.blocked, self._is_blocked_by_doubts = None, False
            self._resolve()
        elif outcome.verdict is Verdict.UNCONFIRMED:
            # A server that never answers would make the whole audience unconfirmed.
            self._unanswered += 1
            if self._unanswered >= _DOUBTS:
                self.blocked, self._is_blocked_by_doubts = self.blocked or outcome, False

    def close(self) -> None:
        """Decide what is left open."""
        if len(self._nobodies) <= _NOBODIES:
            self._believe()
        # Too few to accuse a transport, but not to be held against people while it is under suspicion.
        is_suspect = bool(self._doubts) and self._standing().is_suspect
        self._settle(self._doubts, is_about_us=is_suspect or self.blocked is not None)
        self._doubts = []

    def _believe(self) -> None:
        self._bounced += self._nobodies
        self._nobodies = []

    def write(self, wish: Wish | None = None) -> tuple[list[Leased], int | None]:
        """Into the rows, and lease more by the same statement. A lost database is tried again for some seconds.

        Safe to repeat: what is known must not be lost, and a write whose answer was lost changes nothing twice. Rows
        that it leased are not heard of, and not mailed: they have to be released in the end (`is_shaken`).
        """
        deadline = time.monotonic() + conf.get("SETTLE_SECONDS")
        while True:
            try:
                if self._bounced:
                    Suppression.objects.bulk_create(self._bounced, ignore_conflicts=True)
                leased = lifecycle.settle_and_lease(self.lease, self.settled, wish)
                self.settled, self._bounced = [], []
                return leased
            except (OperationalError, InterfaceError):
                self.is_shaken = True
                if time.monotonic() >= deadline:
                    raise
                connection.close()
                time.sleep(_SETTLE_PAUSE)

    def _doubt(self, row: Leased, outcome: Outcome) -> None:
        self._doubts.append((row, outcome))
        if self.blocked is None and len(self._doubts) >= _DOUBTS:
            self._judge(outcome)

    def _judge(self, outcome: Outcome) -> None:
        """So many in a row: about us, unless the transport takes mail, and only these want none of ours.

        That is taken back when one is taken after all before the attempt ends. The same answer as the last time tells
        nothing new, and a single domain speaks for itself.
        """
        standing = self._standing()
        known = [doubt for doubt in self._doubts if _is_known(*doubt, standing)]
        self._settle(known, is_about_us=False)
        self._doubts = [doubt for doubt in self._doubts if doubt not in known]
        if len(self._doubts) < _DOUBTS:
            return
        if _is_of_one_domain(self._doubts) and standing.takes_others(_domain(self._doubts[0][0])):
            self._resolve()
        else:
            self.blocked, self._is_blocked_by_doubts = outcome, True

    def _standing(self) -> Standing:
        """Of the transport. With the database away, as if only this attempt knew it: what is known must not be lost."""
        try:
            return breaker.standing(self.key, self.taken)
        except (OperationalError, InterfaceError):
            connection.close()
            return Standing(False, self.taken)

    def _resolve(self) -> None:
        self._settle(self._doubts, is_about_us=self.blocked is not None)
        self._doubts = []

    def _settle(self, doubts: list[tuple[Leased, Outcome]], *, is_about_us: bool) -> None:
        """About us: nobody is rejected, and what was said of us is no try of theirs. Else it was about them after all.

        What does not say whom it means counts as a try in any case: else a message at which servers hang up would
        come first again, for ever.
        """
        for row, outcome in doubts:
            if is_about_us and outcome.verdict is Verdict.BLOCKED and not self._is_old:
                self.settled.append(_postpone(row, outcome))
            elif not is_about_us and outcome.verdict is Verdict.REJECTED:
                self.settled.append(Settled(row.id, S.REJECTED, outcome.code or None, outcome.words))
            else:
                self.settled.append(_defer(row, outcome))

    @property
    def _is_old(self) -> bool:
        """Whether nobody would read it any more, so that a server that refuses us for so long is tried no further."""
        launched_at = self.campaign.launched_at
        return launched_at is not None and timezone.now() - launched_at > timedelta(days=conf.get("SLOW_DAYS"))

    def _suppression(self, row: Leased, outcome: Outcome) -> Suppression:
        return Suppression(
            key=row.key,
            email=row.email,
            reason=SuppressionReason.BOUNCED,
            source=f"SMTP {outcome.code}",
            campaign_id=self.campaign.pk,
        )


def _is_doubtful(outcome: Outcome, was_stopped: bool) -> bool:
    """Whether it may be about us or about them."""
    if outcome.verdict is Verdict.NOT_SENT:
        return not was_stopped
    return outcome.vague or (outcome.verdict is Verdict.BLOCKED and outcome.personal)


def _domain(row: Leased) -> str:
    return row.key.rpartition("@")[2]


def _is_known(row: Leased, outcome: Outcome, standing: Standing) -> bool:
    """Whether they were refused for good by this very answer before, while the transport took mail of others."""
    if outcome.code < _FOR_GOOD or row.code != outcome.code or standing.is_suspect:
        return False
    return row.attempts > 1 or standing.takes_others(_domain(row))


def _is_of_one_domain(doubts: list[tuple[Leased, Outcome]]) -> bool:
    """Whether all these are refusals by one domain."""
    answered = all(outcome.verdict is not Verdict.NOT_SENT for _, outcome in doubts)
    return answered and len({_domain(row) for row, _ in doubts}) == 1


def _defer(row: Leased, outcome: Outcome) -> Settled:
    """A refusal for now: later, or, after the last of the waits, for good."""
    waits = conf.get("DEFER_SECONDS")
    if row.attempts > len(waits):
        return Settled(
            row.id, S.REJECTED, outcome.code or None, f"gave up after {row.attempts} attempts: {outcome.words}"
        )
    return Settled(row.id, S.DEFERRED, outcome.code or None, outcome.words, float(waits[row.attempts - 1]))


def _postpone(row: Leased, outcome: Outcome) -> Settled:
    """A refusal of us: out of the way of the others for a while, and not counted as a try."""
    return Settled(row.id, S.DEFERRED, outcome.code or None, outcome.words, _POSTPONE_SECONDS, tried=False)
