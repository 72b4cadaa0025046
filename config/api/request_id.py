import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

_SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestId:
    """`X-Request-ID` on every answer: the one that came with the request when it is sane, otherwise a new one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        response = self.get_response(request)
        response["X-Request-ID"] = given if _SANE.fullmatch(given) else uuid.uuid4().hex
        return response
