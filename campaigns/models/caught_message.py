from django.contrib.postgres.functions import TransactionNow
from django.db import models


class CaughtMessage(models.Model):
    """A message that the mail catcher took instead of delivering it; one row per recipient."""

    received_at = models.DateTimeField(db_default=TransactionNow(), editable=False)
    mail_from = models.TextField(editable=False)
    rcpt_to = models.TextField(editable=False)
    subject = models.TextField(editable=False, help_text="decoded")
    message_id = models.TextField(editable=False, help_text="with its angle brackets")
    size = models.IntegerField(editable=False, help_text="bytes")
    raw = models.BinaryField(editable=False)

    class Meta:
        db_table = "caught_messages"
        indexes = [
            # check_delivery: has this recipient's message arrived, and how often?
            models.Index(fields=["message_id"], name="caught_messages_message_id"),
            # The admin's search by address.
            models.Index(fields=["rcpt_to"], name="caught_messages_rcpt_to"),
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.rcpt_to}"
