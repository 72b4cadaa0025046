from django.conf import settings
from django.contrib.postgres.functions import TransactionNow
from django.db import models


class IdempotencyKey(models.Model):
    """What a POST with this `Idempotency-Key` was answered, so that its repetition does nothing."""

    key = models.CharField(max_length=255)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    path = models.CharField(max_length=200)
    request_sha256 = models.CharField(max_length=64, help_text="of the query string and the body")
    status = models.SmallIntegerField()
    content_type = models.CharField(max_length=100)
    body = models.BinaryField()
    created_at = models.DateTimeField(db_default=TransactionNow())

    class Meta:
        db_table = "idempotency_keys"
        constraints = [models.UniqueConstraint(fields=["user", "path", "key"], name="idempotency_keys_request")]

    def __str__(self) -> str:
        return f"{self.path} {self.key}"
