"""Who did what to a template, through which door, in Django's own log of changes."""

import logging
from dataclasses import dataclass

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.contenttypes.models import ContentType

from templates_app.models import EmailTemplate

logger = logging.getLogger(__name__)

__all__ = ["ADDITION", "CHANGE", "DELETION", "Actor", "record"]


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, and the door they came through: admin, api or command. A command does not know who runs it."""

    user: AbstractBaseUser | None
    door: str


def record(template: EmailTemplate, *, by: Actor | None, flag: int, message: str) -> None:
    """Write one entry; what no person asked for (`by=None`) is not an audit matter.

    An entry needs a user, so a command leaves a line in the log instead.
    """
    if by is not None and by.user is None:
        logger.info("template %s: %s", template.pk, message)
    elif by is not None and by.user is not None:
        LogEntry.objects.create(
            user_id=by.user.pk,
            content_type_id=ContentType.objects.get_for_model(EmailTemplate).pk,
            object_id=str(template.pk),
            object_repr=str(template)[:200],
            action_flag=flag,
            change_message=f"{message} ({by.door})",
        )
