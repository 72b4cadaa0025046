from django.db import IntegrityError, transaction

from templates_app.errors import NameTaken
from templates_app.models import EmailTemplate, TemplateVersion
from templates_app.rendering import Content, compile_content, content_of
from templates_app.services import audit, versions


def edit_template(
    *,
    template: EmailTemplate,
    content: Content | None = None,
    name: str | None = None,
    description: str | None = None,
    note: str = "",
    by: audit.Actor | None = None,
) -> TemplateVersion:
    """Change a template; other content makes the next version. Returns the version that is then current.

    Whatever is None stays. Content that is already current makes no version. Mails under way keep the version they
    were launched with. Two edits at once make two versions. Raises InvalidTemplate and NameTaken.
    """
    if content is not None:
        compile_content(content)
    with transaction.atomic():
        locked = (
            EmailTemplate.objects.select_for_update(of=("self",)).select_related("current_version").get(pk=template.pk)
        )
        changes = _relabel(locked, name, description)
        version = locked.version
        if content is not None and content != content_of(version):
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
