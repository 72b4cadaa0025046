from django.db import models

from campaigns.models.campaign import Campaign


class TrackedLink(models.Model):
    """Where a link of a campaign leads. A click names the row, never the address, so that nobody can lead elsewhere."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="tracked_links", db_index=False)
    url = models.TextField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of the url, which may be too long for an index")

    class Meta:
        db_table = "tracked_links"
        constraints = [models.UniqueConstraint(fields=["campaign", "digest"], name="tracked_links_once")]

    def __str__(self) -> str:
        return self.url


class LinkCount(models.Model):
    """How often a link was clicked, and by how many recipients: kept with every click, never counted.

    Several rows (shards) per link keep those who click at once from waiting for each other; the sum is the number.
    """

    link = models.ForeignKey(TrackedLink, on_delete=models.CASCADE, related_name="counts", db_index=False)
    shard = models.SmallIntegerField()
    clicks = models.BigIntegerField()
    people = models.BigIntegerField()

    class Meta:
        db_table = "tracked_link_counts"
        constraints = [models.UniqueConstraint(fields=["link", "shard"], name="tracked_link_counts_shard")]

    def __str__(self) -> str:
        return f"{self.clicks} by {self.people}"
