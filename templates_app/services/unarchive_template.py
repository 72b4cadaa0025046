from django.db import transaction

from templates_app.models import EmailTemplate
from templates_app.services import audit


def unarchive_template(*, template: EmailTemplate, by: audit.Actor | None = None) -> bool:
    """Offer an archived template again; False when it was not archived."""
    with transaction.atomic():
        moved = EmailTemplate.objects.filter(pk=template.pk, archived_at__isnull=False).update(archived_at=None)
        if moved:
            audit.record(template, by=by, flag=audit.CHANGE, message="Taken back out of the archive.")
    template.refresh_from_db()
    return bool(moved)
