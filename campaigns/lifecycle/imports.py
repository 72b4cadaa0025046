"""States of imports in the background."""

from typing import Any

from django.db.models.functions import Coalesce, Now

from campaigns.models import RecipientImport
from campaigns.states import IMPORT_OVER, IMPORT_TRANSITIONS, ImportState


def move_import(verb: str, import_id: int, **values: Any) -> bool:
    """Move an import by a verb of IMPORT_TRANSITIONS; whether it was in a state that allows it."""
    before, after = IMPORT_TRANSITIONS[verb]
    times: dict[str, Any] = {"finished_at": Now() if after in IMPORT_OVER else None}
    if after == ImportState.RUNNING:
        times["started_at"] = Coalesce("started_at", Now())
    moved = RecipientImport.objects.filter(pk=import_id, state__in=before).update(state=after, **times, **values)
    return bool(moved)


def is_checking(recipient_import: RecipientImport) -> bool:
    return recipient_import.state == ImportState.CHECKING


def is_running(recipient_import: RecipientImport) -> bool:
    return recipient_import.state == ImportState.RUNNING
