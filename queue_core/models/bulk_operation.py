from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import TransactionNow
from django.db import models

from queue_core.querysets import IDS_SHOWN, BulkOperationQuerySet
from queue_core.states import BULK_OVER, BulkState
from queue_core.texts import ids_shown


class BulkOperation(models.Model):
    """A verb on everything that matches, worked through by rising ids, a slice at a time."""

    verb = models.CharField(max_length=40)
    target = models.CharField(max_length=100, help_text="app.model")
    # Either a search or ids. A search is judged slice by slice, so what changes meanwhile is left out.
    query = models.TextField(blank=True, db_default="")
    ids = ArrayField(models.BigIntegerField(), null=True, blank=True)
    params = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=BulkState, db_default=BulkState.PENDING)
    matched = models.BigIntegerField(help_text="rows that matched at the start")
    is_exact = models.BooleanField(help_text="false: at least that many matched")
    seen = models.BigIntegerField(db_default=0)
    changed = models.BigIntegerField(db_default=0)
    skipped = models.BigIntegerField(db_default=0, help_text="refused, each for its own reason")
    failed = models.BigIntegerField(db_default=0, help_text="of slices that were refused as a whole")
    # Rows up to last_id are done with; those made after the start, above end_id, are not looked at.
    last_id = models.BigIntegerField(db_default=0)
    end_id = models.BigIntegerField()
    refusals = models.JSONField(default=list, help_text="[id, reason] of the first thousand that were left alone")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    door = models.CharField(max_length=10, blank=True, db_default="")
    audit_entry = models.BigIntegerField(null=True, editable=False)
    error = models.TextField(blank=True, db_default="")
    created_at = models.DateTimeField(db_default=TransactionNow())
    started_at = models.DateTimeField(null=True, blank=True)
    heard_at = models.DateTimeField(null=True, blank=True, help_text="end of the last slice")
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = BulkOperationQuerySet.as_manager()
    # Of rows read by `for_list`.
    first_ids: list[int]
    id_count: int

    class Meta:
        db_table = "bulk_operations"

    def __str__(self) -> str:
        return f"{self.verb.replace('_', ' ')} #{self.pk}"

    @property
    def is_over(self) -> bool:
        return self.state in BULK_OVER

    @property
    def scope(self) -> str:
        """What it works on, for people: the search, or how many ids and the first of them."""
        if self.query:
            return self.query
        if "ids" in self.get_deferred_fields():
            return ids_shown(self.first_ids, self.id_count)
        return ids_shown(self.ids or [], most=IDS_SHOWN)

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        done: Any = (self.seen, self.matched) if self.is_exact else (self.last_id, self.end_id)
        return 1.0 if self.state == BulkState.DONE else min(done[0] / max(done[1], 1), 1.0)
