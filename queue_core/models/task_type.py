from django.db import models
from django.db.models import Q

from queue_core.policies import Limit


class TypePolicy(models.Model):
    """What people have said about a task type; where a limit is empty, the one in the code holds."""

    name = models.CharField(max_length=200, primary_key=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    max_running = models.IntegerField(null=True, blank=True, help_text="tasks that may run at once, over all workers")
    rate_count = models.IntegerField(null=True, blank=True, help_text="tasks that may start …")
    rate_seconds = models.IntegerField(null=True, blank=True, help_text="… in so many seconds, over all workers")

    class Meta:
        db_table = "task_types"
        verbose_name = "task type"
        constraints = [
            models.CheckConstraint(
                condition=Q(rate_count__isnull=True, rate_seconds__isnull=True)
                | Q(rate_count__gte=1, rate_seconds__gte=1),
                name="task_types_rate_is_whole",
            ),
            models.CheckConstraint(
                condition=Q(max_running__isnull=True) | Q(max_running__gte=1), name="task_types_room"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def limit(self) -> Limit:
        return Limit.of(self.max_running, self.rate_count, self.rate_seconds)


class Lane(models.Model):
    """The lock and the bucket of a limited type (`type:`) or of one key of it (`type:key`). Made when first needed."""

    lane = models.CharField(max_length=301, primary_key=True, db_collation="C")
    tokens = models.FloatField(db_default=0.0)
    refilled_at = models.DateTimeField()
    # From then on the bucket is full and nobody counts on this row. Whole hours, so that most updates touch no index.
    idle_at = models.DateTimeField()

    class Meta:
        db_table = "lanes"
        indexes = [models.Index(fields=["idle_at"], name="lanes_idle")]  # lifecycle.prune_lanes

    def __str__(self) -> str:
        return self.lane
