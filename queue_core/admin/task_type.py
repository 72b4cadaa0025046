import inspect
from typing import Any

from django.contrib import admin
from django.http import Http404

from queue_core import registry, services
from queue_core.admin.holding import HoldAdmin
from queue_core.errors import UnknownTask
from queue_core.models import TypePolicy
from queue_core.services import TypeCounts, TypeShown


@admin.register(TypePolicy)
class TypePolicyAdmin(HoldAdmin):
    """Task types come from the code; here they are watched, paused and limited."""

    template = "queue_core/admin/task_types.html"
    noun = "task type"
    blank = "Blank: as the code says."
    pause = staticmethod(services.pause_type)
    resume = staticmethod(services.resume_type)
    limit = staticmethod(services.limit_type)

    def rows(self, buttons: Any) -> list[dict[str, Any]]:
        counts = services.count_types(registry.names())
        return [
            _row(shown, counts[shown.task_type.name], buttons(shown.task_type.name, bool(shown.paused_at)))
            for shown in services.task_types()
        ]

    def limits_of(self, name: str) -> dict[str, Any]:
        try:
            policy = services.task_type(name).policy
        except UnknownTask:
            raise Http404(f"No task is registered as {name}.") from None
        return {"max_running": policy.max_running, "rate": policy.limit.rate or ""}


def _row(shown: TypeShown, counts: TypeCounts, buttons: list[dict[str, Any]]) -> dict[str, Any]:
    found = shown.task_type
    return {
        "type": found,
        "about": (inspect.getdoc(found.func) or "").partition("\n\n")[0],
        "paused": bool(shown.paused_at),
        "counts": counts,
        "limit": shown.limit,
        "key_limit": found.key_limit,
        "buttons": buttons,
    }
