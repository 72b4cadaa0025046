from django.db import models


class PruneWalk(models.Model):
    """How far pruning has walked: one row. Without it every run would read again all that is kept for long."""

    reached = models.BigIntegerField(help_text="the last task it looked at")
    began_at = models.DateTimeField()

    class Meta:
        db_table = "prune_walk"

    def __str__(self) -> str:
        return f"pruned up to #{self.reached}"
