"""POST dead-letters/bulk/: replay or discard all open dead letters that match, in the background."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from queue_core.api.bulk import (
    BulkDetailSerializer,
    BulkPreviewSerializer,
    BulkSerializer,
    BulkStart,
    TermOf,
    any_of,
    at_time,
    cleaned,
    is_,
    look_for,
)
from queue_core.api.dead_letters import DeadLetterFilter, DeadLetterSummarySerializer
from queue_core.models import DeadLetter
from queue_core.search import Query, Term, Value, parse
from queue_core.services.bulk_verbs import LETTERS

# Each filter of the list, as a term of a search; all but `q`, which is several.
LETTER_TERMS: dict[str, TermOf] = {
    "open": lambda value: Term("letter", (Value("0"),), ">"),
    "name": is_("name"),
    "queue": is_("queue"),
    "queue__in": any_of("queue"),
    "reason": is_("reason"),
    "fingerprint": is_("group"),
    "failed_at__gte": at_time("failed", ">="),
    "failed_at__lt": at_time("failed", "<"),
    "search": look_for,
}


def letters_query_of(given: Mapping[str, Any]) -> str:
    """The search that finds the open ones of what the list of dead letters finds with these filters."""
    values = cleaned(given, DeadLetterFilter)
    if values.get("open") is False:
        raise ValidationError({"filter": {"open": ["Only open dead letters can be replayed or discarded."]}})
    several = parse(values.pop("q", "")).terms
    return str(Query((*several, *(LETTER_TERMS[name](value) for name, value in values.items()))))


class LetterPreviewSerializer(BulkPreviewSerializer):
    sample: Any = DeadLetterSummarySerializer(many=True)


class DeadLetterBulkViewSet(BulkStart):
    queryset = DeadLetter.objects.none()
    target, preview = LETTERS, LetterPreviewSerializer
    needs = {"create": "queue_core.change_deadletter"}
    search_of = staticmethod(letters_query_of)

    @extend_schema(request=BulkSerializer, responses={202: BulkDetailSerializer, 200: LetterPreviewSerializer})
    def create(self, request: Request) -> Response:
        """Begin a verb on all open dead letters that match, or on some ids; with `dry_run` only count them."""
        return self.begin(request)
