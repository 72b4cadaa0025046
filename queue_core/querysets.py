from typing import TYPE_CHECKING, Self

from django.db.models import QuerySet

from queue_core.states import LIVE

if TYPE_CHECKING:
    from queue_core.models import Task  # noqa: F401


class TaskQuerySet(QuerySet["Task"]):
    def live(self) -> Self:
        return self.filter(state__in=LIVE)

    def for_list(self) -> Self:
        """What a list of tasks shows, without the payloads."""
        return self.select_related("worker").defer("payload")
