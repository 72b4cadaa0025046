from django.db import models
from django.db.models import Q

from queue_core.policies import Limit


class Queue(models.Model):
    """How a queue is held back. A queue without a row is open and has no limits."""

    name = models.CharField(max_length=64, primary_key=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    max_running = models.IntegerField(null=True, blank=True, help_text="tasks that may run at once, over all workers")
    rate_count = models.IntegerField(null=True, blank=True, help_text="tasks that may start …")
    rate_seconds = models.IntegerField(null=True, blank=True, help_text="… in so many seconds, over all workers")
    # The bucket the starts are taken from; filled by the database's clock.
    tokens = models.FloatField(db_default=0.0, editable=False)
    refilled_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        db_table = "queues"
        constraints = [
            models.CheckConstraint(
                condition=Q(rate_count__isnull=True, rate_seconds__isnull=True)
                | Q(rate_count__gte=1, rate_seconds__gte=1),
                name="queues_rate_is_whole",
            ),
            models.CheckConstraint(condition=Q(max_running__isnull=True) | Q(max_running__gte=1), name="queues_room"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def limit(self) -> Limit:
        return Limit.of(self.max_running, self.rate_count, self.rate_seconds)

    @property
    def rate(self) -> str:
        """`100/m`, or "" without one."""
        return str(self.limit.rate or "")
