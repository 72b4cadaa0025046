from django.conf import settings
from django.contrib.postgres.functions import TransactionNow
from django.db import models

from campaigns.states import CampaignState, RecipientState, UnconfirmedPolicy


class Campaign(models.Model):
    """One mailing: a template, an audience, and how far it has come."""

    name = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=CampaignState, db_default=CampaignState.DRAFT, editable=False)
    template = models.ForeignKey("templates_app.EmailTemplate", on_delete=models.PROTECT, related_name="+")
    # Pinned by the launch: later edits of the template do not reach a campaign that is under way.
    template_version = models.ForeignKey(
        "templates_app.TemplateVersion", null=True, on_delete=models.PROTECT, related_name="+", editable=False
    )
    from_email = models.CharField(max_length=320, help_text="address or “Name <address>”")
    reply_to = models.CharField(max_length=320, blank=True, default="")
    context = models.JSONField(default=dict, blank=True, help_text="values for the template, beside the recipient's")
    transport = models.ForeignKey(
        "campaigns.MailTransport",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="blank: the transports by their priority",
    )
    rate_per_minute = models.IntegerField(null=True, blank=True, help_text="mails at most; blank for no limit")
    unconfirmed = models.CharField(
        max_length=6,
        choices=UnconfirmedPolicy,
        default=UnconfirmedPolicy.ASK,
        help_text="what becomes of mails of which nobody knows whether they arrived",
    )
    scheduled_at = models.DateTimeField(null=True, editable=False, help_text="when it shall be launched")
    late_minutes = models.IntegerField(
        default=60, editable=False, help_text="launched no later than so long after scheduled_at, else a draft again"
    )
    timezone = models.CharField(
        max_length=60, default="UTC", editable=False, help_text="whose clocks scheduled_at was read from"
    )
    scheduled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    track_opens = models.BooleanField(default=False, help_text="a tiny picture tells when the mail is opened")
    track_clicks = models.BooleanField(default=False, help_text="links go by way of this server")
    total = models.IntegerField(default=0, editable=False, help_text="recipients at the launch")
    trouble = models.TextField(blank=True, default="", editable=False, help_text="why sending does not advance now")
    launched_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    created_at = models.DateTimeField(db_default=TransactionNow(), editable=False)
    launched_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        db_table = "campaigns"
        permissions = [("launch_campaign", "Can launch, pause, resume and cancel campaigns")]

    def __str__(self) -> str:
        return self.name


class CampaignTask(models.Model):
    """A chunk: a range of recipient ids that one queue task works off."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="chunks")
    # Tasks are pruned by the queue's own rules, so no constraint in the database.
    task = models.ForeignKey(
        "queue_core.Task", null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    size = models.IntegerField()

    class Meta:
        db_table = "campaign_tasks"

    def __str__(self) -> str:
        return f"recipients {self.first_id}-{self.last_id}"


class CampaignCount(models.Model):
    """How many recipients are in a state: kept with every move, so that nothing is ever counted by scanning.

    Several rows (shards) per state keep parallel senders from waiting for each other; the sum is the number.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="counts", db_index=False)
    state = models.CharField(max_length=12, choices=RecipientState)
    shard = models.SmallIntegerField()
    n = models.BigIntegerField()

    class Meta:
        db_table = "campaign_counts"
        constraints = [models.UniqueConstraint(fields=["campaign", "state", "shard"], name="campaign_counts_shard")]

    def __str__(self) -> str:
        return f"{self.n} {self.state}"
