from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request
from rest_framework.views import APIView


class Ordering(OrderingFilter):
    """`?ordering=` by the fields a view names in `ordering_fields`; any other is a 400, not ignored."""

    def remove_invalid_fields(self, queryset: QuerySet[Any], fields: Any, view: APIView, request: Request) -> list[str]:
        known = list(getattr(view, "ordering_fields", ()))
        if any(field.removeprefix("-") not in known for field in fields):
            raise ValidationError({"ordering": [f"Order by {', '.join(known) or 'nothing'}; a minus turns it round."]})
        return list(fields)
