from django.contrib.postgres.functions import TransactionNow
from django.db import models

from queue_core.states import Outcome


class Execution(models.Model):
    """One attempt of a task, written when it ended. Nothing overwrites it."""

    # No constraints in the database on the hottest table: they would cost a check per row.
    task = models.ForeignKey(
        "queue_core.Task", on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="executions"
    )
    attempt = models.IntegerField()
    worker = models.ForeignKey(
        "queue_core.Worker", null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    outcome = models.CharField(max_length=10, choices=Outcome)
    error = models.TextField(blank=True, db_default="", help_text="exception class and message")
    error_class = models.CharField(max_length=200, blank=True, db_default="", help_text="dotted path of the exception")
    traceback = models.TextField(blank=True, db_default="")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()

    class Meta:
        db_table = "task_executions"
        constraints = [models.UniqueConstraint(fields=["task", "attempt"], name="task_executions_attempt")]

    def __str__(self) -> str:
        return f"attempt {self.attempt} of #{self.task_id}: {self.outcome}"


class Result(models.Model):
    """What a succeeded task returned; absent when that was None."""

    task = models.OneToOneField(
        "queue_core.Task", primary_key=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="result"
    )
    value = models.JSONField()
    created_at = models.DateTimeField(db_default=TransactionNow())

    class Meta:
        db_table = "task_results"

    def __str__(self) -> str:
        return f"result of #{self.task_id}"
