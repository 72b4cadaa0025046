from django.contrib.postgres.functions import TransactionNow
from django.db import models
from django.db.models import Q

from campaigns.models.campaign import Campaign
from campaigns.models.recipient import Recipient
from campaigns.models.tracked_link import TrackedLink
from campaigns.states import EventKind


class CampaignEvent(models.Model):
    """Something that happened to the mail of a recipient, besides being sent."""

    # No constraints in the database, as for recipients: the delete verb removes all of them.
    campaign = models.ForeignKey(
        Campaign, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="events"
    )
    recipient = models.ForeignKey(
        Recipient, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="events"
    )
    kind = models.CharField(max_length=12, choices=EventKind)
    at = models.DateTimeField(db_default=TransactionNow())
    code = models.SmallIntegerField(null=True, help_text="SMTP reply")
    detail = models.TextField(blank=True, db_default="", help_text="text of the reply, or what was clicked")
    link = models.ForeignKey(
        TrackedLink,
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        help_text="what was clicked",
    )
    source_id = models.TextField(null=True, help_text="what its source calls it; recorded once")  # noqa: DJ001

    class Meta:
        db_table = "campaign_events"
        indexes = [
            models.Index(fields=["campaign", "id"], name="campaign_events_campaign"),  # the API's list, delete
            models.Index(fields=["campaign", "kind", "id"], name="campaign_events_kind"),  # the same, of one kind
            models.Index(fields=["recipient", "id"], name="campaign_events_recipient"),  # the page of a recipient
            models.Index(
                fields=["link", "id"], condition=Q(link__isnull=False), name="campaign_events_link"
            ),  # who clicked a link
        ]
        constraints = [
            # lifecycle.record_events: a source that tells twice is heard once.
            models.UniqueConstraint(
                fields=["source_id"], condition=Q(source_id__isnull=False), name="campaign_events_source"
            )
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.kind}"


class CampaignHour(models.Model):
    """How many mails of a campaign were sent, opened … within an hour: kept with every event, never counted.

    Several rows (shards) per hour and kind keep parallel senders from waiting for each other; the sum is the number.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="hours", db_index=False)
    hour = models.DateTimeField(help_text="its beginning")
    kind = models.CharField(max_length=12, choices=[("sent", "Sent"), *EventKind.choices])
    shard = models.SmallIntegerField()
    n = models.BigIntegerField()

    class Meta:
        db_table = "campaign_hours"
        constraints = [
            models.UniqueConstraint(fields=["campaign", "hour", "kind", "shard"], name="campaign_hours_shard")
        ]

    def __str__(self) -> str:
        return f"{self.n} {self.kind}"


class CampaignSample(models.Model):
    """How many mails of a campaign were tried within an hour, by a moment of it. Kept for some minutes of sending."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="samples", db_index=False)
    at = models.DateTimeField()
    tried = models.BigIntegerField()

    class Meta:
        db_table = "campaign_samples"
        indexes = [models.Index(fields=["campaign", "at"], name="campaign_samples_at")]  # lifecycle: pace

    def __str__(self) -> str:
        return f"{self.tried} by {self.at}"
