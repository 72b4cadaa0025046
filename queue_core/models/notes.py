"""What running tasks say about themselves."""

from django.db import models


class Progress(models.Model):
    """How far an attempt is; one row per task, written about twice a second while it changes."""

    task = models.OneToOneField(
        "queue_core.Task", primary_key=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="progress"
    )
    attempt = models.IntegerField()
    done = models.FloatField()
    total = models.FloatField(null=True)
    note = models.CharField(max_length=200, blank=True, db_default="")
    # The first report of the attempt: the rate is counted from there, so that one that resumes is not taken for quick.
    first_done = models.FloatField()
    started_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "task_progress"

    def __str__(self) -> str:
        return f"progress of #{self.task_id}"

    @property
    def percent(self) -> float | None:
        """0 to 100; None without a total."""
        if self.total is None:
            return None
        return 100.0 if self.total <= self.done else round(100 * self.done / self.total, 1)

    @property
    def seconds_left(self) -> float | None:
        """As of `updated_at`, if it goes on at the rate so far; None while that is unknown."""
        took = (self.updated_at - self.started_at).total_seconds()
        gained = self.done - self.first_done
        if self.total is None or took <= 0 or gained <= 0:
            return None
        return max(0.0, self.total - self.done) * took / gained


class LogLine(models.Model):
    """A line that was logged while an attempt ran."""

    # No constraint and no cascade: lines are written in bulk, and pruned with their task.
    task = models.ForeignKey(
        "queue_core.Task", on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="log_lines"
    )
    attempt = models.IntegerField()
    at = models.DateTimeField()
    level = models.SmallIntegerField()
    logger = models.CharField(max_length=100)
    message = models.TextField()

    class Meta:
        db_table = "task_logs"
        indexes = [models.Index(fields=["task", "id"], name="task_logs_task")]  # the task's page, api logs, prune

    def __str__(self) -> str:
        return f"log of #{self.task_id}"
