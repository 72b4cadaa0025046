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
