from django.db import IntegrityError, transaction

from templates_app.errors import NameTaken
from templates_app.models import EmailTemplate
from templates_app.rendering import Content, compile_content
from templates_app.services import audit, versions


def create_template(
    *, name: str, content: Content, description: str = "", note: str = "", by: audit.Actor | None = None
) -> EmailTemplate:
    """Make a template with its version 1. Raises InvalidTemplate and NameTaken; of two at once, one gets the name."""
    compile_content(content)
    try:
        with transaction.atomic():
            template = EmailTemplate.objects.create(name=name, description=description)
            versions.append(template, content, note=note, by=by)
            audit.record(template, by=by, flag=audit.ADDITION, message="Created.")
    except IntegrityError:
        raise NameTaken(name) from None
    return template
