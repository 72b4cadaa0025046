from typing import Any

from django import forms
from django.db.models import QuerySet
from django_filters import rest_framework as filters
from django_filters.widgets import BooleanWidget

from queue_core import search
from queue_core.models import Task, Worker
from queue_core.querysets import in_states
from queue_core.services.clock import database_time
from queue_core.states import TaskState, WorkerState


class WholeNumberFilter(filters.Filter):  # type: ignore[misc]
    field_class = forms.IntegerField


class _TrueOrFalseWidget(BooleanWidget):  # type: ignore[misc]
    """Leaves what is neither as it was written; the original makes None of it, which filters nothing."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        text = data.get(name)
        read = super().value_from_datadict(data, files, name)
        return text if read is None and text else read


class _TrueOrFalseField(forms.NullBooleanField):
    def to_python(self, value: Any) -> Any:
        if value not in (None, "", True, False):
            raise forms.ValidationError("Must be true or false.", code="invalid")
        return None if value == "" else value


class TrueOrFalseFilter(filters.BooleanFilter):  # type: ignore[misc]
    """`?pinned=true`; anything but true, false, 1 and 0 is refused, where a BooleanFilter would find everything."""

    field_class = _TrueOrFalseField

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=_TrueOrFalseWidget, **options)


class AnyStateFilter(filters.BaseInFilter, filters.ChoiceFilter):  # type: ignore[misc]
    """`?state__in=failed,cancelled`"""


class AnyTextFilter(filters.BaseInFilter, filters.CharFilter):  # type: ignore[misc]
    """`?queue__in=mail,low`"""


def id_in(text: str) -> int | None:
    """The number that a text is, where it may be an id."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


class TaskFilter(filters.FilterSet):  # type: ignore[misc]
    state = filters.ChoiceFilter(choices=TaskState, method="in_state")
    state__in = AnyStateFilter(field_name="state", lookup_expr="in", choices=TaskState, method="in_state")
    name = filters.CharFilter()
    queue = filters.CharFilter()
    queue__in = AnyTextFilter(field_name="queue", lookup_expr="in")
    unique_key = filters.CharFilter(strip=False)
    name__startswith = filters.CharFilter(field_name="name", lookup_expr="startswith")
    priority = WholeNumberFilter()
    priority__gte = WholeNumberFilter(field_name="priority", lookup_expr="gte")
    priority__lte = WholeNumberFilter(field_name="priority", lookup_expr="lte")
    replay_of = WholeNumberFilter()
    pinned = TrueOrFalseFilter()
    tags = AnyTextFilter(field_name="tags", lookup_expr="contains", label="Has all of these tags")
    workflow = WholeNumberFilter(field_name="workflow_id")
    created_at__gte = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_at__lt = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    run_at__gte = filters.IsoDateTimeFilter(field_name="run_at", lookup_expr="gte")
    run_at__lt = filters.IsoDateTimeFilter(field_name="run_at", lookup_expr="lt")
    search = filters.CharFilter(method="look_for", label="An id, or how a name begins")
    q = filters.CharFilter(method="by_search", label="A search, as tasks/search/ takes it")

    class Meta:
        model = Task
        fields: list[str] = []

    def in_state(self, tasks: QuerySet[Task], name: str, value: str | list[str]) -> QuerySet[Task]:
        return tasks.filter(in_states([value] if isinstance(value, str) else value))

    def look_for(self, tasks: QuerySet[Task], name: str, value: str) -> QuerySet[Task]:
        if (pk := id_in(value)) is not None:
            return tasks.filter(pk=pk)
        return tasks.filter(name__startswith=value)

    def by_search(self, tasks: QuerySet[Task], name: str, value: str) -> QuerySet[Task]:
        return tasks.filter(search.condition(search.parse(value), now=database_time()).q)


class WorkerFilter(filters.FilterSet):  # type: ignore[misc]
    state = filters.ChoiceFilter(choices=WorkerState)
    hostname = filters.CharFilter()

    class Meta:
        model = Worker
        fields: list[str] = []
