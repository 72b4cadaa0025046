from django.db.models.functions import Now

from config.api.idempotency import KEPT_FOR
from config.models import IdempotencyKey


def forget_keys(limit: int) -> int:
    """Delete up to `limit` idempotency keys that are not honoured any more; answers how many."""
    old = IdempotencyKey.objects.filter(created_at__lt=Now() - KEPT_FOR).values("pk")[:limit]
    return IdempotencyKey.objects.filter(pk__in=old).delete()[0]
