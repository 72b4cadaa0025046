"""The next version of a template. The caller holds the transaction and the lock on the template."""

from django.db.models import Max

from templates_app.models import EmailTemplate, TemplateVersion
from templates_app.rendering import Content, prepare
from templates_app.services.audit import Actor


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
