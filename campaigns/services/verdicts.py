"""What the answers of mail servers mean for recipients, and writing that down in groups."""

import time
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from campaigns import conf, lifecycle
from campaigns.lifecycle import Leased, Settled, Wish
from campaigns.models import Suppression
from campaigns.smtp import Outcome, Verdict
from campaigns.states import RecipientState, SuppressionReason

S = RecipientState
_SETTLE_PAUSE = 0.3
_PLAIN = {Verdict.SENT: S.SENT, Verdict.REJECTED: S.REJECTED, Verdict.UNCONFIRMED: S.UNCONFIRMED}
# So many refusals, or losses, in a row are about us, and not about some recipients.
_DOUBTS = 3
_POSTPONE_SECONDS = 60.0


class Ledger:
    """The outcomes of one attempt at a chunk, on their way into the rows. `blocked` is the one that is about us."""

    def __init__(self, campaign_id: int, lease: UUID) -> None:
        self.campaign_id, self.lease = campaign_id, lease
        self.settled: list[Settled] = []
        self.blocked: Outcome | None = None
        self.sent = 0
        self._bounced: list[Suppression] = []
        self._doubts: list[tuple[Leased, Outcome]] = []  # refusals in a row that may be about us or about them
        self._losses: list[Outcome] = []  # connections in a row that were lost before a message had left

    def note(self, row: Leased, outcome: Outcome) -> None:
        """What an outcome means for the recipient: about them, or about us."""
        if outcome.verdict in _PLAIN:
            self.settled.append(Settled(row.id, _PLAIN[outcome.verdict], outcome.code or None, outcome.text))
            if outcome.hard:
                self._bounced.append(self._suppression(row, outcome))
            elif outcome.verdict is Verdict.SENT:
                self.sent += 1
                self._losses.clear()
                self._resolve()
        elif outcome.verdict is Verdict.DEFERRED:
            self.settled.append(_defer(row, outcome))
        elif outcome.verdict is Verdict.BLOCKED and outcome.personal:
            self._doubts.append((row, outcome))
            if len(self._doubts) == _DOUBTS:
                self.blocked = outcome
        else:
            if outcome.verdict is Verdict.BLOCKED:
                self.blocked = outcome
            self.settled.append(Settled(row.id, S.PENDING))

    def note_loss(self, outcome: Outcome) -> None:
        """A message that was not handed over although nobody had asked to stop."""
        self._losses.append(outcome)
        if len(self._losses) == _DOUBTS:
            self.blocked = self.blocked or outcome

    def close(self) -> None:
        """Decide what is left open: the doubtful are deferred, which is no try of theirs when it was about us."""
        if self._losses and not self.sent:
            self.blocked = self.blocked or self._losses[-1]
        self._resolve()

    def write(self, wish: Wish | None = None) -> tuple[list[Leased], int | None]:
        """Into the rows, and lease more by the same statement. A lost database is tried again for some seconds.

        Safe to repeat: what is known must not be lost, and a write whose answer was lost changes nothing twice. Rows
        that it leased are not heard of; they are not mailed, and end as unconfirmed.
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
                if time.monotonic() >= deadline:
                    raise
                connection.close()
                time.sleep(_SETTLE_PAUSE)

    def _resolve(self) -> None:
        judge = _postpone if self.blocked is not None else _defer
        self.settled += [judge(row, outcome) for row, outcome in self._doubts]
        self._doubts = []

    def _suppression(self, row: Leased, outcome: Outcome) -> Suppression:
        return Suppression(
            key=row.key,
            email=row.email,
            reason=SuppressionReason.BOUNCED,
            source=f"SMTP {outcome.code}",
            campaign_id=self.campaign_id,
        )


def _defer(row: Leased, outcome: Outcome) -> Settled:
    """A refusal for now: later, or, after the last of the waits, for good."""
    waits = conf.get("DEFER_SECONDS")
    if row.attempts > len(waits):
        return Settled(row.id, S.REJECTED, outcome.code, f"gave up after {row.attempts} attempts: {outcome.text}"[:500])
    return Settled(row.id, S.DEFERRED, outcome.code, outcome.text, float(waits[row.attempts - 1]))


def _postpone(row: Leased, outcome: Outcome) -> Settled:
    """A refusal of us: out of the way of the others for a while, and not counted as a try."""
    return Settled(row.id, S.DEFERRED, outcome.code, outcome.text, _POSTPONE_SECONDS, tried=False)
