"""What stands in the query of a list. A route of one row has no list to filter: there all of this keeps still."""

from typing import Any

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError
from rest_framework.filters import BaseFilterBackend, OrderingFilter, SearchFilter
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.views import APIView


def refuse_unknown(request: Request, view: Any) -> None:
    """A misspelt filter is a 400 that names the known ones: ignored, it would answer with everything."""
    known = _known(view)
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        text = f"Unknown parameter. Known: {', '.join(sorted(known))}."
        raise ValidationError({name: [text] for name in unknown})


def _known(view: Any) -> set[str]:
    known = {str(api_settings.URL_FORMAT_OVERRIDE)}
    if view.paginator is not None:
        known.update(parameter["name"] for parameter in view.paginator.get_schema_operation_parameters(view))
    if view.detail:
        return known
    filterset = getattr(view, "filterset_class", None)
    known.update(filterset.base_filters if filterset else ())
    known.update(name for name in ("search", "ordering") if getattr(view, f"{name}_fields", ()))
    return known


class Known(BaseFilterBackend):
    """Nothing but what this list knows."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        if not view.detail:
            refuse_unknown(request, view)
        return queryset


class Filters(DjangoFilterBackend):  # type: ignore[misc]
    """By the view's `filterset_class`."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        found: QuerySet[Any] = queryset if view.detail else super().filter_queryset(request, queryset, view)
        return found


class Search(SearchFilter):
    """`?search=` in the view's `search_fields`."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        return queryset if view.detail else super().filter_queryset(request, queryset, view)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return super().get_schema_operation_parameters(view) if getattr(view, "search_fields", ()) else []


class Ordering(OrderingFilter):
    """`?ordering=` by the fields a view names in `ordering_fields`; any other is a 400, not ignored."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        return queryset if view.detail else super().filter_queryset(request, queryset, view)

    def remove_invalid_fields(self, queryset: QuerySet[Any], fields: Any, view: APIView, request: Request) -> list[str]:
        known = list(getattr(view, "ordering_fields", ()))
        if any(field.removeprefix("-") not in known for field in fields):
            raise ValidationError({"ordering": [f"Order by {', '.join(known) or 'nothing'}; a minus turns it round."]})
        return list(fields)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return super().get_schema_operation_parameters(view) if getattr(view, "ordering_fields", ()) else []
