from django.conf import settings
from django.contrib.postgres.functions import TransactionNow
from django.db import models
from django.db.models import Q

from queue_core.states import DeathReason, Resolution


class DeadLetter(models.Model):
    """A task that failed for good, until somebody retries, replays or discards it; then its record."""

    task = models.ForeignKey("queue_core.Task", on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    name = models.CharField(max_length=200)
    queue = models.CharField(max_length=64)
    reason = models.CharField(max_length=10, choices=DeathReason)
    fingerprint = models.CharField(max_length=32, help_text="the same for the same error, whatever ids it names")
    error = models.TextField()
    failed_at = models.DateTimeField(db_default=TransactionNow())
    resolution = models.CharField(max_length=10, choices=Resolution, blank=True, db_default="")
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    # The new task a replay made.
    replay = models.ForeignKey(
        "queue_core.Task", null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )

    class Meta:
        db_table = "dead_letter_queue"
        constraints = [
            models.UniqueConstraint(fields=["task"], condition=Q(resolution=""), name="dead_letter_queue_open_task")
        ]
        indexes = [
            models.Index(
                fields=["fingerprint", "-id"], condition=Q(resolution=""), name="dead_letter_queue_open"
            ),  # a group's letters; replay and discard of a group
            models.Index(fields=["-id"], condition=Q(resolution=""), name="dead_letter_queue_latest"),  # lists
        ]

    def __str__(self) -> str:
        return f"{self.name} #{self.task_id}"


class DeadLetterGroup(models.Model):
    """All failures of one fingerprint, counted as they happen, so that nothing is ever grouped by scanning."""

    fingerprint = models.CharField(max_length=32, primary_key=True)
    name = models.CharField(max_length=200)
    error = models.TextField(help_text="of the latest")
    open = models.BigIntegerField(db_default=0)
    # What lists are ordered by first.
    is_open = models.GeneratedField(
        expression=Q(open__gt=0),  # type: ignore[arg-type]  # the stubs do not know that a condition will do
        output_field=models.BooleanField(),
        db_persist=True,
    )
    total = models.BigIntegerField(db_default=0)
    first_seen = models.DateTimeField(db_default=TransactionNow())
    last_seen = models.DateTimeField(db_default=TransactionNow())

    class Meta:
        db_table = "dead_letter_groups"

    def __str__(self) -> str:
        return self.error
