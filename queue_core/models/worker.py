from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import TransactionNow
from django.db import models
from django.db.models import Q

from queue_core.states import Desire, WorkerKind, WorkerState


class Worker(models.Model):
    """One worker, from its start to its end; a restarted process is a new row."""

    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=WorkerKind, db_default=WorkerKind.PROCESS)
    # Of a process: the row of its parent. Rows of pools are pruned, so no constraint.
    pool = models.ForeignKey(
        "queue_core.WorkerPool",
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="workers",
    )
    hostname = models.CharField(max_length=200)
    pid = models.IntegerField()
    queues = ArrayField(models.CharField(max_length=64))
    state = models.CharField(max_length=10, choices=WorkerState, db_default=WorkerState.ONLINE)
    started_at = models.DateTimeField(db_default=TransactionNow())
    heartbeat_at = models.DateTimeField(db_default=TransactionNow())
    # Every task this process holds is held until then; each heartbeat moves it on.
    lease_until = models.DateTimeField()
    capacity = models.SmallIntegerField(db_default=1, help_text="tasks it may hold, or run, at once")
    finished_tasks = models.BigIntegerField(db_default=0)
    succeeded_tasks = models.BigIntegerField(db_default=0)
    failed_tasks = models.BigIntegerField(db_default=0, help_text="failed attempts, also those tried again")
    memory_mib = models.IntegerField(db_default=0)
    cpu_percent = models.FloatField(db_default=0.0, help_text="of one processor, since the heartbeat before")
    current_task = models.BigIntegerField(null=True, blank=True)
    version = models.CharField(max_length=100, blank=True, db_default="", help_text="what the worker runs on")

    # A person writes what is desired; the worker says when it has heard.
    desired = models.CharField(max_length=10, choices=Desire, db_default=Desire.RUN)
    desired_at = models.DateTimeField(null=True, blank=True)
    acknowledged = models.CharField(max_length=10, choices=Desire, db_default=Desire.RUN)
    acknowledged_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "workers"
        indexes = [models.Index(fields=["lease_until"], condition=Q(state="online"), name="workers_online")]  # rescue
        permissions = [
            ("steer_worker", "Can pause, resume, drain, stop and scale workers"),
            ("pull_tasks", "Can run tasks as a worker of the pull protocol"),
        ]

    def __str__(self) -> str:
        return self.name


class WorkerPool(models.Model):
    """A `manage.py worker`: the parent that keeps `wanted` worker processes running."""

    name = models.CharField(max_length=200)
    hostname = models.CharField(max_length=200)
    pid = models.IntegerField()
    queues = ArrayField(models.CharField(max_length=64))
    wanted = models.SmallIntegerField(help_text="processes it is to have; a person may change it")
    running = models.SmallIntegerField(db_default=0, help_text="processes it has, as of the heartbeat")
    started_at = models.DateTimeField(db_default=TransactionNow())
    heartbeat_at = models.DateTimeField(db_default=TransactionNow())
    stopped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "worker_pools"

    def __str__(self) -> str:
        return self.name


class Tick(models.Model):
    """A single row: when the clock last ticked. Tells workers whether they must tick themselves."""

    ticked_at = models.DateTimeField()

    class Meta:
        db_table = "ticks"

    def __str__(self) -> str:
        return f"ticked at {self.ticked_at}"
