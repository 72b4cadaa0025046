from django.db import transaction

from templates_app.errors import VersionNotFound
from templates_app.models import EmailTemplate, TemplateVersion
from templates_app.rendering import compile_content, content_of
from templates_app.services import audit, versions


def restore_version(
    *, template: EmailTemplate, number: int, note: str = "", by: audit.Actor | None = None
) -> TemplateVersion:
    """Make what version `number` says current again, as a new version; history is only ever added to.

    Without a `note` the new version's says which one it was. A version that says what is current already is returned
    as the current one. Raises VersionNotFound, and InvalidTemplate for a version written before a rule it breaks.
    """
    with transaction.atomic():
        locked = versions.locked(template)
        old = locked.versions.filter(number=number).first()
        if old is None:
            raise VersionNotFound(number)
        if content_of(old) == content_of(locked.version):
            return locked.version
        compile_content(content_of(old))
        note = note or f"Restored from version {number}"
        version = versions.append(locked, content_of(old), note=note, by=by)
        audit.record(locked, by=by, flag=audit.CHANGE, message=f"Restored version {number} as {version}.")
    template.refresh_from_db()
    return version
