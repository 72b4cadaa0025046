import datetime
from collections.abc import Iterator

from django.contrib.postgres.functions import TransactionNow
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from queue_core.cron import MAX_INTERVAL, MAX_LENGTH, Cron, Interval, zone_of
from queue_core.states import FireOutcome, Missed, Overlap, Rhythm

_DAY = 86_400


def is_zone(name: str) -> None:
    """A validator."""
    try:
        zone_of(name)
    except ValueError as exc:
        raise ValidationError(str(exc)) from None


def is_text(value: str) -> None:
    """A validator: what PostgreSQL cannot store is no name."""
    if any(char == "\x00" or "\ud800" <= char <= "\udfff" for char in value):
        raise ValidationError("This holds a character that cannot be stored; remove it.")


class Schedule(models.Model):
    """A task that is submitted again and again; by `expression` or by `interval_seconds`, as `kind` says."""

    name = models.CharField(
        max_length=200,
        unique=True,
        validators=[is_text],
        error_messages={"unique": "Another schedule has this name."},
    )
    task = models.CharField(max_length=200, help_text="name of a registered task")
    payload = models.JSONField(default=dict, blank=True)
    # NULL: as the registered task has it.
    queue = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001 - blank is no queue's name
    priority = models.SmallIntegerField(null=True, blank=True, help_text="-100 to 100; a higher one is taken first")
    max_attempts = models.SmallIntegerField(null=True, blank=True)

    kind = models.CharField(max_length=10, choices=Rhythm, default=Rhythm.CRON)
    expression = models.CharField(max_length=MAX_LENGTH, blank=True, default="", help_text="cron, 5 or 6 fields")
    interval_seconds = models.IntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(MAX_INTERVAL)]
    )
    timezone = models.CharField(max_length=64, default="UTC", validators=[is_zone], help_text="for cron")
    starts_at = models.DateTimeField(help_text="no run before it; intervals are counted from it")
    missed = models.CharField(max_length=10, choices=Missed, default=Missed.ONCE)
    overlap = models.CharField(max_length=10, choices=Overlap, default=Overlap.SKIP)
    jitter_seconds = models.IntegerField(
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(_DAY)],
        help_text="each run starts up to so much later, so that schedules of the same minute do not start together",
    )

    paused = models.BooleanField(default=False)
    next_fire_at = models.DateTimeField()
    last_fire_at = models.DateTimeField(null=True, blank=True)
    # No constraint in the database: tasks are pruned.
    last_task = models.ForeignKey(
        "queue_core.Task",
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    created_at = models.DateTimeField(db_default=TransactionNow())
    updated_at = models.DateTimeField(db_default=TransactionNow())

    class Meta:
        db_table = "schedules"
        indexes = [
            models.Index(fields=["next_fire_at"], condition=Q(paused=False), name="schedules_due")  # fire_schedules
        ]

    def __str__(self) -> str:
        return f"{self.name} #{self.pk}"

    @property
    def rhythm(self) -> Cron | Interval:
        """ValueError when the expression, the zone or the interval is not one."""
        if self.kind == Rhythm.INTERVAL:
            return Interval.of(self.interval_seconds, self.starts_at)
        return Cron.parse(self.expression, zone_of(self.timezone))

    def times_after(self, moment: datetime.datetime) -> Iterator[datetime.datetime]:
        """When it is due strictly after an aware moment: in UTC, ascending, without end."""
        return self.rhythm.after(max(moment, self.starts_at - datetime.timedelta(seconds=1)))

    @property
    def description(self) -> str:
        """Its rhythm in plain language; for one that cannot be read any more, why."""
        try:
            return self.rhythm.describe()
        except ValueError as exc:
            return str(exc)


class ScheduleFire(models.Model):
    """One time at which a schedule was due (or was run by hand), and what became of it."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, db_index=False, related_name="fires")
    fire_at = models.DateTimeField()
    outcome = models.CharField(max_length=16, choices=FireOutcome)
    task = models.ForeignKey(
        "queue_core.Task", null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    note = models.TextField(blank=True, db_default="")
    created_at = models.DateTimeField(db_default=TransactionNow())

    class Meta:
        db_table = "schedule_fires"
        constraints = [
            # Two schedulers never fire twice; also the index of a schedule's history.
            models.UniqueConstraint(fields=["schedule", "fire_at"], name="schedule_fires_once"),
            models.UniqueConstraint(  # the overlap policy queue; release_waiting
                fields=["schedule"], condition=Q(outcome="waiting"), name="schedule_fires_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} at {self.fire_at} of schedule #{self.schedule_id}"
