from django.conf import settings
from django.contrib.postgres.functions import TransactionNow
from django.db import models
from django.db.models import Q

from campaigns.models.campaign import Campaign
from campaigns.states import OPEN, ImportState, RecipientState, SuppressionReason


class Recipient(models.Model):
    """The ledger: one row per campaign and address, with its outcome."""

    # No constraint in the database: it would cost a check per imported row. The delete verb removes both.
    campaign = models.ForeignKey(
        Campaign, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="recipients"
    )
    origin = models.ForeignKey(
        "RecipientImport",
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        db_column="import_id",
        related_name="+",
        editable=False,
    )
    key = models.CharField(max_length=320, editable=False, help_text="normalised address, unique per campaign")
    email = models.CharField(max_length=320, help_text="as it is mailed")
    name = models.CharField(max_length=320, blank=True, db_default="")
    attributes = models.JSONField(db_default=models.Value({}, models.JSONField()), blank=True)
    state = models.CharField(max_length=12, choices=RecipientState, db_default=RecipientState.PENDING, editable=False)
    attempts = models.SmallIntegerField(db_default=0, editable=False)
    code = models.SmallIntegerField(null=True, editable=False, help_text="last SMTP reply")
    detail = models.TextField(blank=True, db_default="", editable=False)
    lease = models.UUIDField(null=True, editable=False)
    retry_at = models.DateTimeField(null=True, editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=TransactionNow(), editable=False)

    class Meta:
        db_table = "email_recipients"
        constraints = [models.UniqueConstraint(fields=["campaign", "key"], name="email_recipients_address")]
        indexes = [
            models.Index(fields=["campaign", "id"], name="email_recipients_list"),  # lists and export of a campaign
            models.Index(
                fields=["campaign", "id"], condition=Q(state__in=OPEN), name="email_recipients_open"
            ),  # lifecycle: lease, complete
            models.Index(
                fields=["campaign"], condition=Q(state=RecipientState.SENDING), name="email_recipients_sending"
            ),  # lifecycle: recover
            models.Index(
                fields=["campaign", "retry_at"],
                condition=Q(state=RecipientState.DEFERRED),
                name="email_recipients_deferred",
            ),  # lifecycle: revive
            models.Index(
                fields=["campaign", "state", "-id"],
                condition=~Q(state__in=[*OPEN, RecipientState.SENT]),
                name="email_recipients_notable",
            ),  # the admin's lists by outcome
        ]

    def __str__(self) -> str:
        return self.email


class Suppression(models.Model):
    """An address that is never mailed, whatever the campaign."""

    key = models.CharField(max_length=320, unique=True, editable=False)
    email = models.CharField(max_length=320)
    reason = models.CharField(max_length=12, choices=SuppressionReason, default=SuppressionReason.MANUAL)
    source = models.CharField(max_length=200, blank=True, default="", help_text="where it came from")
    campaign = models.ForeignKey(Campaign, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=TransactionNow(), editable=False)

    class Meta:
        db_table = "suppressions"

    def __str__(self) -> str:
        return self.email


class SoftBounce(models.Model):
    """How often mails to an address were returned lately for a reason that may pass."""

    key = models.CharField(max_length=320, primary_key=True, help_text="normalised address")
    count = models.IntegerField(default=1)
    since = models.DateTimeField(db_default=TransactionNow(), help_text="the first of them")

    class Meta:
        db_table = "soft_bounces"

    def __str__(self) -> str:
        return f"{self.key}: {self.count}"


class RecipientImport(models.Model):
    """One import of a file: what became of its lines."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="imports")
    filename = models.CharField(max_length=255)
    state = models.CharField(max_length=9, choices=ImportState, default=ImportState.DONE, editable=False)
    file = models.CharField(max_length=200, blank=True, default="", help_text="its name in the default storage")
    size = models.BigIntegerField(default=0, help_text="bytes of the file")
    options = models.JSONField(default=dict, help_text="how the file shall be read")
    position = models.IntegerField(default=0, help_text="lines below the header that are on record")
    bytes_read = models.BigIntegerField(default=0)
    checked = models.JSONField(null=True, help_text="the numbers of the last check, and the first rejected rows")
    error = models.TextField(blank=True, default="", help_text="why it failed, or could not be checked")
    records = models.IntegerField(default=0, help_text="rows below the header that are not blank")
    created = models.IntegerField(default=0)
    duplicates = models.IntegerField(default=0, help_text="the same address earlier in the file")
    existing = models.IntegerField(default=0, help_text="already in the campaign before")
    invalid = models.IntegerField(default=0)
    suppressed = models.IntegerField(default=0, help_text="of the created: on the suppression list, never mailed")
    blank = models.IntegerField(default=0, help_text="blank lines")
    found = models.JSONField(default=dict, help_text="how the file was read: kind, encoding, delimiter, columns, notes")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=TransactionNow())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "recipient_imports"

    def __str__(self) -> str:
        return self.filename

    @property
    def percent(self) -> int | None:
        """How much of the file was read; None where only its rows tell."""
        return min(100, self.bytes_read * 100 // self.size) if self.size and self.bytes_read else None


class RejectedRow(models.Model):
    """A row of a file that was not imported, and why."""

    recipient_import = models.ForeignKey(RecipientImport, on_delete=models.CASCADE, related_name="rejected_rows")
    line = models.IntegerField(help_text="line of the file, the header is 1")
    email = models.TextField()
    reason = models.CharField(max_length=200)
    cells = models.JSONField(default=list, help_text="the row as it stood in the file, shortened")

    class Meta:
        db_table = "import_rejected_rows"

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"
