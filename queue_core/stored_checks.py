"""What is on record and cannot run any more: `manage.py check --database default` and `migrate` say so."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import DatabaseError

from queue_core import conf, registry
from queue_core.models import Schedule

_SHOWN = 5


@register(Tags.database)
def check_schedules(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Schedules of tasks that no code registers any more, or of queues that no worker serves."""
    if not databases or "default" not in databases:
        return []
    try:
        rows = list(Schedule.objects.filter(paused=False).values_list("name", "task", "queue").order_by("name"))
    except DatabaseError:
        return []  # not migrated yet, or away: others say so
    queues = set(conf.queues())
    found = []
    for name, task, queue in rows:
        known = registry.find(task)
        if known is None:
            found.append(f"“{name}” fires the task {task}, which no code registers")
        elif (queue or known.queue_name) not in queues:
            found.append(f"“{name}” fires into the queue {queue or known.queue_name}, which QUEUES does not have")
    if not found:
        return []
    more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    text = f"Schedules that cannot fire: {'; '.join(found[:_SHOWN])}{more}."
    hint = "Pause or delete them, or bring back their code or queue."
    return [Warning(text, hint=hint, id="queue_core.W001")]
