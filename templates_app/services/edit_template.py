from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from templates_app.errors import NameTaken
from templates_app.models import EmailTemplate, TemplateVersion
from templates_app.rendering import compile_content, content_of
from templates_app.services import audit, versions


def edit_template(
    *,
    template: EmailTemplate,
    parts: Mapping[str, Any] | None = None,
    name: str | None = None,
    description: str | None = None,
    note: str = "",
    by: audit.Actor | None = None,
) -> TemplateVersion:
    """Change a template; other content makes the next version. Returns the version that is then current.

    `parts` are the fields of Content that change: the others stay as they are when it is this edit's turn, so that two
    edits at once make two versions and undo nothing of each other. What is None stays, too. Content that is already
    current makes no version. Mails under way keep the version they were launched with. Raises InvalidTemplate and
    NameTaken.
    """
    with transaction.atomic():
        locked = versions.locked(template)
        version = locked.version
        content = content_of(version)._replace(**parts or {})
        if parts:
            compile_content(content)
        changes = _relabel(locked, name, description)
        if content != content_of(version):
            version = versions.append(locked, content, note=note, by=by)
            changes.append(f"made {version}")
        if changes:
            audit.record(locked, by=by, flag=audit.CHANGE, message=f"Changed: {', '.join(changes)}.")
    template.refresh_from_db()
    return version


def _relabel(template: EmailTemplate, name: str | None, description: str | None) -> list[str]:
    changed = []
    for field, value in (("name", name), ("description", description)):
        if value is not None and value != getattr(template, field):
            setattr(template, field, value)
            changed.append(field)
    if changed:
        try:
            with transaction.atomic():
                template.save(update_fields=[*changed, "updated_at"])
        except IntegrityError:
            raise NameTaken(template.name) from None
    return changed
