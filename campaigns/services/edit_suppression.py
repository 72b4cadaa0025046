from django.db import transaction

from campaigns.models import Suppression
from queue_core.services import Actor, audit


def edit_suppression(suppression: Suppression, *, by: Actor | None = None, **values: str) -> Suppression:
    """Change `reason` or `source` of an address that is never mailed. Its address stays: that is another entry."""
    with transaction.atomic():
        now = Suppression.objects.select_for_update().get(pk=suppression.pk)
        changed = [name for name in ("reason", "source") if values.get(name, getattr(now, name)) != getattr(now, name)]
        if changed:
            Suppression.objects.filter(pk=now.pk).update(**{name: values[name] for name in changed})
            message = f"Changed {', '.join(changed)} of 1 suppressed address."
            audit.record(Suppression, [now.pk], message, by=by, name=now.email)
    suppression.refresh_from_db()
    return suppression
