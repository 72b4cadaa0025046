import re
import uuid
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from queue_core import origin

_SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_DOORS = {"/api/": "api", "/admin/": "admin"}


class RequestId:
    """`X-Request-ID` on every answer: the one that came with the request when it is sane, otherwise a new one.

    It, the trace of the request (`traceparent`) and its person go with every task that is submitted meanwhile.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _SANE.fullmatch(given) else uuid.uuid4().hex
        here = origin.Origin(
            request_id=request_id,
            traceparent=origin.valid_traceparent(request.headers.get("traceparent", "")),
            door=next((door for path, door in _DOORS.items() if request.path.startswith(path)), ""),
            user=lambda: _user(request),
        )
        token = origin.current.set(here)
        try:
            response = self.get_response(request)
        finally:
            origin.current.reset(token)
        response["X-Request-ID"] = request_id
        return response


def _user(request: HttpRequest) -> Any:
    """The id of who is logged in, by session or (once the API has looked) by credentials."""
    user = getattr(request, "user", None)
    return user.pk if user is not None else None
