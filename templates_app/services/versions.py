"""The versions of a template: the lock for a change, and the next one. The caller holds the transaction."""

from django.db.models import Max

from templates_app.models import EmailTemplate, TemplateVersion
from templates_app.rendering import Content, prepare
from templates_app.services.audit import Actor


def locked(template: EmailTemplate) -> EmailTemplate:
    """The template as it is now, for no other edit until the transaction ends.

    Its version is read afterwards: in one statement with the lock, it would be what it was before the wait. Raises
    EmailTemplate.DoesNotExist for one that somebody deleted.
    """
    return EmailTemplate.objects.select_for_update().get(pk=template.pk)


def append(template: EmailTemplate, content: Content, *, note: str, by: Actor | None) -> TemplateVersion:
    """Add `content` under the next number and make it the current version."""
    last = template.versions.aggregate(last=Max("number"))["last"] or 0
    version = TemplateVersion.objects.create(
        template=template,
        number=last + 1,
        subject=content.subject,
        html=content.html,
        text=content.text,
        format=content.format,
        inline_css=content.inline_css,
        compiled_html="" if (html := prepare(content)) == content.html else html,
        note=note,
        author_id=by.user.pk if by and by.user else None,
    )
    template.current_version = version
    template.save(update_fields=["current_version", "updated_at"])
    return version
