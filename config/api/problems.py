"""Every error of the API as problem details (RFC 9457): `type title status detail`, `errors` by field for a 400."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework.exceptions import APIException, ErrorDetail, MethodNotAllowed, NotFound
from rest_framework.exceptions import PermissionDenied as Forbidden
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.response import Response

from campaigns.errors import CampaignError
from config.api.renderers import PROBLEM, Json
from queue_core.errors import QueueError

Errors = dict[str, list[str]]


class Problem(APIException):
    """Any status, with members beside the standard ones."""

    def __init__(self, status: int, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.status_code = status
        self.members = members


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. None, so a 500, for what nobody foresaw."""
    known = _known(exc)
    if known is None:
        return None
    # Also where the view would make something else: a file, the description.
    request = context["request"]
    if not isinstance(getattr(request, "accepted_renderer", None), BrowsableAPIRenderer):
        request.accepted_renderer, request.accepted_media_type = Json(), Json.media_type
    headers = {}
    if challenge := getattr(known, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(known, "wait", None):
        headers["Retry-After"] = str(int(wait))
    if isinstance(known, MethodNotAllowed):
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    return Response(body_of(known), status=known.status_code, headers=headers)


def _known(exc: Exception) -> APIException | None:
    """The error as one that has a status: what the verbs refuse, what Django refuses, or DRF's own."""
    if isinstance(exc, APIException):
        return exc
    if isinstance(exc, QueueError | CampaignError):
        return _refused(exc)
    # Also what was there when the request came, and somebody deleted meanwhile.
    if isinstance(exc, Http404 | ObjectDoesNotExist):
        return NotFound()
    if isinstance(exc, PermissionDenied):
        return Forbidden()
    if isinstance(exc, RequestDataTooBig):
        return Problem(413, "The body is too large; send it in parts.")
    if isinstance(exc, SuspiciousOperation):
        return Problem(400, "The request cannot be read; check its fields.")
    # The parsers bound the depth of JSON; text inside a form field gets here.
    if isinstance(exc, RecursionError):
        return Problem(400, "A value is nested too deeply; flatten it.")
    return None


def _refused(exc: QueueError | CampaignError) -> Problem:
    """What the error knows decides: a state or problems make a conflict, a field or errors a bad request."""
    conflict = {name: getattr(exc, name) for name in ("state", "problems") if hasattr(exc, name)}
    if conflict:
        return Problem(409, str(exc), **conflict)
    field = getattr(exc, "field", None)
    errors = {field: [str(exc).removeprefix(f"{field}: ")]} if field else getattr(exc, "errors", None)
    return Problem(400, str(exc), errors=errors) if errors else Problem(400, str(exc))


def body_of(exc: APIException) -> dict[str, Any]:
    """The members of the answer: a plain message goes to `detail`, messages by field to `errors`."""
    body = {"type": "about:blank", "title": HTTPStatus(exc.status_code).phrase, "status": exc.status_code}
    if isinstance(exc.detail, ErrorDetail):
        return {**body, "detail": str(exc.detail), **getattr(exc, "members", {})}
    if isinstance(exc.detail, dict) and isinstance(exc.detail.get("detail"), ErrorDetail):
        return {**body, "detail": str(exc.detail["detail"])}
    errors: Errors = {}
    for path, message in _flat(exc.detail):
        errors.setdefault(path or "non_field_errors", []).append(message)
    count = len(errors)
    detail = f"{count} field{'' if count == 1 else 's'} cannot be accepted; see errors."
    return {**body, "detail": detail, "errors": errors}


def _flat(detail: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """("tasks.3.name", message) of DRF's nested lists and dictionaries of messages."""
    if isinstance(detail, dict):
        for key, value in detail.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    elif isinstance(detail, list):
        for index, value in enumerate(detail):
            yield from _flat(value, path if isinstance(value, str) else f"{path}.{index}".lstrip("."))
    else:
        yield path, str(detail)


def answer(exc: APIException) -> JsonResponse:
    """For what is refused outside a view."""
    return JsonResponse(body_of(exc), status=exc.status_code, content_type=PROBLEM)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _is_api(request):
        return defaults.bad_request(request, exception)
    return answer(_known(exception) or Problem(400, "The request cannot be read."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _is_api(request):
        return defaults.page_not_found(request, exception)
    return answer(Problem(404, "There is nothing at this address; /api/v1/docs/ lists what there is."))


def server_error(request: HttpRequest) -> HttpResponse:
    if not _is_api(request):
        return defaults.server_error(request)
    return answer(Problem(500, "This is our mistake. Give the X-Request-ID of this answer to whoever runs the server."))
