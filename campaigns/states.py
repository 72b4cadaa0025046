"""States of campaigns and of recipients, and who may leave which."""

from django.db.models import TextChoices


class CampaignState(TextChoices):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


C = CampaignState
CAMPAIGN_TRANSITIONS: dict[str, dict[CampaignState, frozenset[CampaignState]]] = {
    "schedule": {state: frozenset({C.SCHEDULED}) for state in (C.DRAFT, C.SCHEDULED)},
    "unschedule": {C.SCHEDULED: frozenset({C.DRAFT})},
    "launch": {state: frozenset({C.SENDING}) for state in (C.DRAFT, C.SCHEDULED)},
    "pause": {C.SENDING: frozenset({C.PAUSED})},
    "resume": {C.PAUSED: frozenset({C.SENDING})},
    "complete": {C.SENDING: frozenset({C.COMPLETED})},
    "reopen": {C.COMPLETED: frozenset({C.SENDING})},
    "cancel": {state: frozenset({C.CANCELLED}) for state in (C.DRAFT, C.SCHEDULED, C.SENDING, C.PAUSED)},
}


class RecipientState(TextChoices):
    """
    pending: not mailed yet · sending: in the hands of a sender now · deferred: refused for now, tried again later ·
    unconfirmed: the sender was lost at the moment that decides; nobody knows whether it arrived.
    The others are final.
    """

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    DEFERRED = "deferred"
    REJECTED = "rejected"
    BOUNCED = "bounced"
    SUPPRESSED = "suppressed"
    UNCONFIRMED = "unconfirmed"
    CANCELLED = "cancelled"


# A campaign is not over while one of its recipients is in one of these.
OPEN = (RecipientState.PENDING, RecipientState.SENDING, RecipientState.DEFERRED)


class UnconfirmedPolicy(TextChoices):
    """What becomes of mails of which nobody knows whether they arrived."""

    ASK = "ask", "Ask: a person decides"
    MARK = "mark", "Mark as sent: nobody gets it twice, somebody may not get it"
    RESEND = "resend", "Send again: everybody gets it, somebody may get it twice"


class EventKind(TextChoices):
    """deferred, rejected: an answer of the mail server · the others become known after the mail was sent."""

    DEFERRED = "deferred"
    REJECTED = "rejected"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"


class PreflightLevel(TextChoices):
    """block: the launch is refused · warn: it goes, and somebody should know · note: good to know, in order or not."""

    BLOCK = "block"
    WARN = "warn"
    NOTE = "note"
    OK = "ok"


class SuppressionReason(TextChoices):
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    MANUAL = "manual"


class TransportKind(TextChoices):
    SMTP = "smtp", "SMTP server"
    DJANGO = "django", "Django e-mail backend"


class DkimAlgorithm(TextChoices):
    """Every receiver knows RSA; not all of them Ed25519, whose keys and signatures are short."""

    RSA = "rsa", "RSA"
    ED25519 = "ed25519", "Ed25519"


class Security(TextChoices):
    """STARTTLS begins in the clear and must be offered; TLS is encrypted from the first byte."""

    NONE = "none", "None"
    STARTTLS = "starttls", "STARTTLS"
    TLS = "tls", "TLS"


class ImportState(TextChoices):
    """uploaded: kept and looked at, nothing imported yet · checking: a task counts what an import would do."""

    UPLOADED = "uploaded"
    CHECKING = "checking"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


IMPORT_OVER = frozenset({ImportState.DONE, ImportState.FAILED, ImportState.CANCELLED})
# Nobody is mailed while one of these may still add people.
LIVE_IMPORT = frozenset({ImportState.WAITING, ImportState.RUNNING})
_NOT_BEGUN = frozenset({ImportState.UPLOADED, ImportState.CHECKING})
IMPORT_TRANSITIONS: dict[str, tuple[frozenset[ImportState], ImportState]] = {
    "edit": (_NOT_BEGUN, ImportState.UPLOADED),
    "check": (_NOT_BEGUN, ImportState.CHECKING),
    "end_check": (frozenset({ImportState.CHECKING}), ImportState.UPLOADED),
    "begin": (_NOT_BEGUN | {ImportState.FAILED}, ImportState.WAITING),
    "run": (LIVE_IMPORT, ImportState.RUNNING),
    "finish": (frozenset({ImportState.RUNNING}), ImportState.DONE),
    "fail": (LIVE_IMPORT, ImportState.FAILED),
    "cancel": (_NOT_BEGUN | LIVE_IMPORT, ImportState.CANCELLED),
}
