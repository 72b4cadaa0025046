"""Pages over tables that grow: how many rows there are is said only as exactly as it can be known at once."""

from typing import Any

from django.core.paginator import Paginator
from django.db import connection
from django.db.models import QuerySet
from django.utils.functional import cached_property

from queue_core.texts import grouped
from queue_core.time_limit import TooSlow, time_limit

# Nobody turns 200 pages, and OFFSET reads all it skips; beyond that a filter is the way.
CAP = 10_000
_COUNT_SECONDS = 1.0


def bounded_count(rows: QuerySet[Any]) -> int:
    """How many rows, up to CAP + 1; also CAP + 1 when that cannot be found out within a second."""
    try:
        with time_limit(_COUNT_SECONDS):
            return rows.order_by().values("pk")[: CAP + 1].count()
    except TooSlow:
        return CAP + 1


def shown(count: int) -> str:
    """`9 513`, or `10 000+` for a bounded count that hit its bound."""
    return grouped(min(count, CAP)) + ("+" if count > CAP else "")


class LedgerPaginator(Paginator):  # type: ignore[type-arg]  # generic in the stubs only
    """Never counts a big table: 10 000 rows can be turned over; without a filter the planner's estimate is shown."""

    template_name = "queue_core/admin/pagination.html"

    @cached_property
    def _found(self) -> int:
        return bounded_count(self.object_list)  # type: ignore[arg-type]  # the admin gives querysets

    @cached_property
    def count(self) -> int:
        return min(self._found, CAP)

    @cached_property
    def shown_count(self) -> str:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        if self._found <= CAP or rows.query.where:
            return shown(self._found)
        return f"about {grouped(_estimate(rows.model._meta.db_table))}"


def _estimate(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [table])
        (estimate,) = cursor.fetchone()
    return max(int(estimate), CAP)
