from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import TransactionNow
from django.contrib.postgres.indexes import BrinIndex, GinIndex, OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper
from django.utils import timezone

from queue_core.lanes import key_in
from queue_core.querysets import TaskQuerySet
from queue_core.states import FINAL, LIVE, TaskState


class Task(models.Model):
    """One piece of work. The row is the truth; Valkey only rings a bell about it."""

    name = models.CharField(max_length=200)
    queue = models.CharField(max_length=64)
    # Lanes of a queue are served in turns; see queue_core.lanes. Sorted by bytes, because they are walked by skips.
    lane = models.CharField(max_length=301, db_default="", blank=True, editable=False, db_collation="C")
    priority = models.SmallIntegerField(db_default=0, help_text="-100 to 100; a higher one is taken first")
    state = models.CharField(max_length=10, choices=TaskState, db_default=TaskState.QUEUED)
    # A queued task whose run_at lay ahead when it was queued; the ticker unparks it. Keeps the claim's index free of
    # rows that are not due, however many are scheduled.
    parked = models.BooleanField(db_default=False, editable=False)
    payload = models.JSONField(db_default=models.Value({}, models.JSONField()), blank=True)
    run_at = models.DateTimeField(db_default=TransactionNow())
    unique_key = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - NULL takes part in no uniqueness

    tags = ArrayField(models.CharField(max_length=64), db_default=models.Value([], ArrayField(models.CharField())))
    expires_at = models.DateTimeField(null=True, blank=True, help_text="not started by then: expired")
    replay_of = models.BigIntegerField(null=True, blank=True, help_text="the task this one repeats")
    context = models.JSONField(null=True, blank=True, help_text="who asked for it: see origin.Origin.stored")
    pinned = models.BooleanField(db_default=False, help_text="never pruned")
    cancel_requested_at = models.DateTimeField(null=True, blank=True, help_text="asked to end while it ran")

    waits_for = models.IntegerField(db_default=0, editable=False, help_text="parents whose end is not settled")
    # Other tasks, or a workflow, wait for the end of this one; lifecycle.settle tells them and takes the mark away.
    awaited = models.BooleanField(db_default=False, editable=False)
    # A step has both. With a workflow alone it belongs to its story: a callback, or the replay of a step.
    workflow = models.ForeignKey(
        "queue_core.Workflow", null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    step = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - most tasks are no step

    attempt = models.IntegerField(db_default=0, help_text="number of the current or last attempt")
    max_attempts = models.SmallIntegerField(db_default=5)
    crashes = models.SmallIntegerField(db_default=0, help_text="attempts that ended with their worker")
    max_crashes = models.SmallIntegerField(db_default=3)
    # No constraint in the database: it would cost a check per row and batch, and worker rows are pruned.
    worker = models.ForeignKey(
        "queue_core.Worker", null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    lease = models.UUIDField(null=True, blank=True, editable=False)
    error = models.TextField(blank=True, db_default="", help_text="last line of the last failed attempt's error")

    created_at = models.DateTimeField(db_default=TransactionNow())
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TaskQuerySet.as_manager()

    class Meta:
        db_table = "tasks"
        indexes = [
            models.Index(
                F("queue"),
                F("lane"),
                F("priority").desc(),
                F("run_at"),
                F("id"),
                condition=Q(state="queued", parked=False),
                name="tasks_claim",  # lifecycle.claim, lifecycle.lanes, backlog
            ),
            models.Index(fields=["run_at"], condition=Q(state="queued", parked=True), name="tasks_parked"),  # ticker
            models.Index(
                fields=["queue", "name", "lane"], condition=Q(state="running"), name="tasks_running"
            ),  # lifecycle.rescue, lifecycle.room
            models.Index(fields=["-id"], condition=Q(state="failed"), name="tasks_failed"),  # the admin's failed tab
            models.Index(
                fields=["name", "-id"], condition=Q(state="failed"), name="tasks_failed_name"
            ),  # search: failed tasks of a type
            models.Index(fields=["-id"], condition=Q(state="blocked"), name="tasks_blocked"),  # the admin's blocked tab
            # The few rows of lists that are asked for by these.
            models.Index(fields=["-id"], condition=Q(pinned=True), name="tasks_pinned"),
            models.Index(fields=["replay_of"], condition=Q(replay_of__isnull=False), name="tasks_replays"),
            models.Index(
                fields=["-id"], condition=Q(state__in=["blocked", "cancelled", "expired"]), name="tasks_uncommon"
            ),  # the admin's other tabs
            BrinIndex(fields=["created_at"], autosummarize=True, name="tasks_created"),  # ranges of time in lists
            models.Index(
                fields=["expires_at"],
                condition=Q(state__in=["blocked", "queued"], expires_at__isnull=False),
                name="tasks_expiring",  # lifecycle.expire
            ),
            # Searches (search/conditions.py). A plain task, without a key, tags or an error, is written to none of
            # these; the payload of every task in an index would cost each submission more than its row does.
            models.Index(fields=["unique_key", "-id"], condition=Q(unique_key__isnull=False), name="tasks_key"),
            GinIndex(fields=["tags"], condition=~Q(tags=[]), name="tasks_tags"),
            GinIndex(OpClass(Upper("error"), name="gin_trgm_ops"), condition=~Q(error=""), name="tasks_error"),
            GinIndex(
                OpClass("payload", name="jsonb_path_ops"), condition=Q(state="failed"), name="tasks_failed_payload"
            ),
            models.Index(
                fields=["id"], condition=Q(awaited=True, state__in=sorted(FINAL)), name="tasks_awaited"
            ),  # lifecycle.settle
            models.Index(
                fields=["workflow", "step"], condition=Q(workflow__isnull=False), name="tasks_workflow"
            ),  # a workflow's page and verbs, results of earlier steps
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["name", "unique_key"],
                condition=Q(state__in=sorted(LIVE), unique_key__isnull=False),
                name="tasks_unique_key",  # services.submit
            ),
            models.CheckConstraint(
                condition=Q(state="running", lease__isnull=False) | (~Q(state="running") & Q(lease__isnull=True)),
                name="tasks_lease_is_of_running",  # lifecycle.finish fences by the lease alone
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} #{self.pk}"

    @property
    def key(self) -> str:
        """Whose task it is, for limits by key and fair turns; "" without one."""
        return key_in(self.lane)

    @property
    def shown_state(self) -> str:
        """The state as people read it: a queued task may be scheduled, or retrying."""
        if self.state == TaskState.QUEUED and self.attempt > 0 and self.error:
            return "retrying"
        if self.state == TaskState.QUEUED and self.run_at > timezone.now():
            return "scheduled"
        return str(self.state)
