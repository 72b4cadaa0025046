from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import TransactionNow
from django.db import models
from django.db.models import Q

from queue_core.states import WorkerState


class Worker(models.Model):
    """One worker process, from its start to its end; a restarted process is a new row."""

    name = models.CharField(max_length=200)
    hostname = models.CharField(max_length=200)
    pid = models.IntegerField()
    queues = ArrayField(models.CharField(max_length=64))
    state = models.CharField(max_length=10, choices=WorkerState, db_default=WorkerState.ONLINE)
    started_at = models.DateTimeField(db_default=TransactionNow())
    heartbeat_at = models.DateTimeField(db_default=TransactionNow())
    # Every task this process holds is held until then; each heartbeat moves it on.
    lease_until = models.DateTimeField()
    finished_tasks = models.BigIntegerField(db_default=0)
    memory_mib = models.IntegerField(db_default=0)
    current_task = models.BigIntegerField(null=True, blank=True)

    class Meta:
        db_table = "workers"
        indexes = [models.Index(fields=["lease_until"], condition=Q(state="online"), name="workers_online")]  # rescue

    def __str__(self) -> str:
        return self.name


class Tick(models.Model):
    """A single row: when the clock last ticked. Tells workers whether they must tick themselves."""

    ticked_at = models.DateTimeField()

    class Meta:
        db_table = "ticks"

    def __str__(self) -> str:
        return f"ticked at {self.ticked_at}"
