"""Pages by keyset: as quick at the last page as at the first, and no row twice or left out while others are added."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet, ValidationError
from django.db import connection
from django.db.models import Model, Q, QuerySet
from rest_framework.exceptions import ValidationError as Refused
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from config.api.filters import refuse_unknown
from queue_core.time_limit import TooSlow, time_limit

PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
_COUNTS = ("exact", "estimate", "none")
# In the planner's units, a few of them to the hundredth of a millisecond. Below it counting takes no notable time.
_CHEAP = 5_000.0
_LIST_SECONDS = 5.0
_COUNT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Cursor:
    """Rows behind (or before) the row whose ordering values these are."""

    backwards: bool
    values: list[Any]

    def text(self) -> str:
        return base64.urlsafe_b64encode(json.dumps([self.backwards, self.values]).encode()).decode().rstrip("=")

    @classmethod
    def of(cls, text: str) -> "Cursor":
        """Raises ValueError for what `text` never made."""
        try:
            backwards, values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            values = list(values)
        except (binascii.Error, TypeError, RecursionError) as exc:
            raise ValueError(str(exc)) from None
        if not isinstance(backwards, bool) or not all(isinstance(value, int | str) for value in values):
            raise ValueError("not a cursor")
        if any("\x00" in value for value in values if isinstance(value, str)):
            raise ValueError("nothing the database can hold")
        return cls(backwards, values)


class Keyset(BasePagination):
    """`?cursor=` from the links, `?page_size=`, `?count=exact|estimate|none`.

    Follows the queryset's own ordering, whose columns must not be NULL; the id breaks ties.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any] | None:
        refuse_unknown(request, view)
        self.url = request.build_absolute_uri()
        size = _page_size(request)
        self.terms = _terms(queryset)
        cursor = _cursor(request, queryset.model, self.terms)
        try:
            with time_limit(_LIST_SECONDS):
                rows = list(_slice(queryset, self.terms, cursor)[: size + 1])
        except TooSlow:
            reason = f"This list takes longer than {_LIST_SECONDS:.0f} s to find. Narrow it by another filter."
            raise Refused({"non_field_errors": [reason]}) from None
        more, page = len(rows) > size, rows[:size]
        backwards = cursor is not None and cursor.backwards
        if backwards:
            page.reverse()
        self.next = self._link(page, False) if more or backwards else None
        self.previous = self._link(page, True) if (more if backwards else cursor is not None) else None
        self.count = _count(request, queryset, len(page) if cursor is None and not more else None)
        return page

    def _link(self, page: list[Any], backwards: bool) -> str | None:
        if not page:
            return None
        edge = page[0 if backwards else -1]
        values = [edge.serializable_value(term.lstrip("-")) for term in self.terms]
        plain = [value if isinstance(value, int) else str(value) for value in values]
        return replace_query_param(self.url, "cursor", Cursor(backwards, plain).text())

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.next, "previous": self.previous, "count": self.count, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "count", "results"],
            "properties": {
                "next": link,
                "previous": link,
                "count": {"type": ["integer", "null"], "description": "exact, estimated or null, by ?count="},
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            _parameter("cursor", {"type": "string"}, "From the links next and previous."),
            _parameter("page_size", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE}, "Rows in a page."),
            _parameter(
                "count", {"type": "string", "enum": list(_COUNTS)}, "How `count` is found. An estimate never scans."
            ),
        ]


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def _page_size(request: Request) -> int:
    raw = request.query_params.get("page_size", str(PAGE_SIZE))
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 4 and 1 <= int(raw) <= MAX_PAGE_SIZE):
        raise Refused({"page_size": [f"Give a whole number from 1 to {MAX_PAGE_SIZE}."]})
    return int(raw)


def _terms(queryset: QuerySet[Any]) -> list[str]:
    """The ordering, made total by the primary key, which follows the direction of the last term."""
    key = queryset.model._meta.pk.name
    terms = [{"pk": key, "-pk": f"-{key}"}.get(str(term), str(term)) for term in queryset.query.order_by]
    if not terms:
        return [f"-{key}"]
    if key in (term.lstrip("-") for term in terms):
        return terms
    return [*terms, f"-{key}" if terms[-1].startswith("-") else key]


def _cursor(request: Request, model: type[Model], terms: list[str]) -> Cursor | None:
    text = request.query_params.get("cursor")
    if not text:
        return None
    try:
        cursor = Cursor.of(text)
        fields: list[Any] = [model._meta.get_field(term.lstrip("-")) for term in terms]
        values = [field.to_python(value) for field, value in zip(fields, cursor.values, strict=True)]
    except (TypeError, ValueError, ValidationError):
        raise Refused({"cursor": ["Take it unchanged from next or previous, with the same ordering."]}) from None
    return Cursor(cursor.backwards, values)


def _slice(queryset: QuerySet[Any], terms: list[str], cursor: Cursor | None) -> QuerySet[Any]:
    """Ordered from the cursor on; for a page backwards in the opposite order."""
    if cursor is None:
        return queryset.order_by(*terms)
    if cursor.backwards:
        terms = [term[1:] if term.startswith("-") else f"-{term}" for term in terms]
    behind, equal = Q(), Q()
    for term, value in zip(terms, cursor.values, strict=True):
        name = term.lstrip("-")
        behind |= equal & Q(**{f"{name}__{'lt' if term.startswith('-') else 'gt'}": value})
        equal &= Q(**{name: value})
    return queryset.filter(behind).order_by(*terms)


def _count(request: Request, queryset: QuerySet[Any], known: int | None) -> int | None:
    wanted = request.query_params.get("count", "estimate")
    if wanted not in _COUNTS:
        raise Refused({"count": [f"Choose one of {', '.join(_COUNTS)}."]})
    if wanted == "none":
        return None
    if known is not None:
        return known
    return _exact(queryset) if wanted == "exact" else _estimate(queryset)


def _exact(queryset: QuerySet[Any]) -> int:
    try:
        with time_limit(_COUNT_SECONDS):
            return queryset.count()
    except TooSlow:
        reason = f"Counting takes longer than {_COUNT_SECONDS:.0f} s. Ask for count=estimate, or narrow the list."
        raise Refused({"count": [reason]}) from None


def _estimate(queryset: QuerySet[Any]) -> int:
    """The planner's guess, from its statistics; exact where it says that counting costs next to nothing."""
    try:
        sql, params = queryset.order_by().values("pk").query.sql_with_params()
    except EmptyResultSet:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
        (found,) = cursor.fetchone()
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return queryset.count() if plan["Total Cost"] < _CHEAP else int(plan["Plan Rows"])
