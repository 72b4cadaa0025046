from django.conf import settings
from django.contrib.postgres.functions import TransactionNow
from django.db import models
from django.db.models import F, Q

from queue_core.states import OnFailure, WorkflowState


class Workflow(models.Model):
    """Tasks that belong together. Its steps are the tasks with this `workflow_id` and a `step`."""

    name = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=WorkflowState, db_default=WorkflowState.RUNNING)
    total = models.IntegerField(help_text="steps it was submitted with")
    # Kept by settle and retry, so that no list has to count steps. When it reaches the total, the workflow ends.
    done = models.IntegerField(db_default=0, help_text="steps that have ended")
    callbacks = models.JSONField(
        db_default=models.Value({}, models.JSONField()), help_text="{success, failure or complete: row of a task}"
    )
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=TransactionNow())
    finished_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        db_table = "workflows"
        indexes = [
            models.Index(F("state"), F("id").desc(), name="workflows_state"),  # the lists by state
            models.Index(fields=["name", "-id"], name="workflows_name"),  # search in lists
        ]
        constraints = [
            models.CheckConstraint(condition=Q(done__gte=0, done__lte=F("total")), name="workflows_done_of_total"),
        ]

    def __str__(self) -> str:
        return f"{self.name} #{self.pk}"


class Dependency(models.Model):
    """An edge: `task` waits for `parent`. `outcome` is the state in which that ended, "" until it is settled."""

    # No constraints in the database: rows come and go by thousands, with their tasks and in the same statements.
    task = models.ForeignKey(
        "queue_core.Task", on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="parent_edges"
    )
    parent = models.ForeignKey(
        "queue_core.Task", on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="child_edges"
    )
    on_failure = models.CharField(max_length=8, choices=OnFailure, db_default=OnFailure.CANCEL)
    outcome = models.CharField(max_length=10, blank=True, db_default="")

    class Meta:
        db_table = "task_dependencies"
        constraints = [models.UniqueConstraint(fields=["task", "parent"], name="task_dependencies_edge")]
        indexes = [models.Index(fields=["parent"], name="task_dependencies_parent")]  # settle, a task's children

    def __str__(self) -> str:
        return f"#{self.task_id} waits for #{self.parent_id}"
