from typing import Literal

from django.db import transaction
from django.db.models import ProtectedError, RestrictedError
from django.db.models.functions import Now

from templates_app.models import EmailTemplate
from templates_app.services import audit, versions


def archive_template(*, template: EmailTemplate, by: audit.Actor | None = None) -> Literal["deleted", "archived"]:
    """Delete a template nothing was ever sent with; archive one that is used. Says which of the two it was.

    An archived template keeps its name and its versions; see `unarchive_template`. Raises EmailTemplate.DoesNotExist
    for one that somebody deleted meanwhile.
    """
    pk = template.pk
    with transaction.atomic():
        # Of two at once, and beside an edit, it is one after the other.
        versions.locked(template)
        try:
            with transaction.atomic():
                template.delete()
        except (ProtectedError, RestrictedError):
            EmailTemplate.objects.filter(pk=pk, archived_at=None).update(archived_at=Now())
            template.refresh_from_db()
            audit.record(template, by=by, flag=audit.CHANGE, message="Archived, because it is in use.")
            return "archived"
        template.pk = pk
        audit.record(template, by=by, flag=audit.DELETION, message="Deleted.")
    return "deleted"
