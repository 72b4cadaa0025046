"""Who did what to how many, through which door: one entry per call of a verb, in Django's own log of changes."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

__all__ = ["ADDITION", "CHANGE", "DELETION", "Actor", "amend", "record"]
logger = logging.getLogger(__name__)
_REPR_MAX = 200


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody, and the door they came through: admin, api or command. A command does not know who runs it."""

    user: AbstractBaseUser | AnonymousUser | None
    door: str

    @property
    def user_id(self) -> Any:
        return self.user.pk if self.user else None


def user_id(by: Actor | None) -> Any:
    """For columns that keep who did it; None when nobody is known."""
    return by and by.user_id


def record(
    model: type[Model], pks: Sequence[Any], message: str, *, by: Actor | None, flag: int = CHANGE, name: str = ""
) -> LogEntry | None:
    """Write one entry about these rows, in the caller's transaction; `name` is how people call a single one.

    What no person asked for (`by=None`) is no audit matter. An entry needs a user, so a command leaves a line in the
    log of the process instead.
    """
    if by is None:
        return None
    what = name or _names(model, pks)
    if by.user_id is None:
        logger.info("%s: %s (%s)", what, message, by.door)
        return None
    return LogEntry.objects.create(
        user_id=by.user_id,
        content_type_id=ContentType.objects.get_for_model(model).pk,
        object_id=str(pks[0]) if len(pks) == 1 else None,
        object_repr=what[:_REPR_MAX],
        action_flag=flag,
        change_message=f"{message} ({by.door})",
    )


def amend(entry: LogEntry, message: str, *, by: Actor) -> None:
    """Let an entry say what has become of a verb that goes on over several transactions."""
    entry.change_message = f"{message} ({by.door})"
    entry.save(update_fields=["change_message"])


def _names(model: type[Model], pks: Sequence[Any]) -> str:
    """`task 7`, or `3 tasks: 7, 8, 9`."""
    if len(pks) == 1:
        return f"{model._meta.verbose_name} {pks[0]}"
    return f"{len(pks)} {model._meta.verbose_name_plural}: {', '.join(map(str, pks[:50]))}"
