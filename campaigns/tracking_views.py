"""What a tracked link and a tracked picture lead to: quick, without cookies, never stored on the way."""

import base64

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from campaigns import services

_PICTURE = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_AGENT_MAX = 500


class _Onward(HttpResponseRedirect):
    allowed_schemes = ["http", "https"]


@require_safe
@never_cache
def click(request: HttpRequest, token: str) -> HttpResponse:
    """On to where the link leads. HEAD is a look by a machine, and so are prefetches."""
    url = services.take_click(token, _agent(request), counts=_counts(request))
    if url is None:
        return TemplateResponse(request, "campaigns/no_link.html", status=404)
    answer = _Onward(url)
    answer["Referrer-Policy"] = "no-referrer"
    return answer


@require_safe
@never_cache
def opened(request: HttpRequest, token: str) -> HttpResponse:
    """The picture, whatever the token: a broken one in a mail helps nobody."""
    services.take_open(token, _agent(request), counts=_counts(request))
    return HttpResponse(_PICTURE, content_type="image/gif")


def _agent(request: HttpRequest) -> str:
    return request.headers.get("User-Agent", "")[:_AGENT_MAX]


def _counts(request: HttpRequest) -> bool:
    purpose = request.headers.get("Sec-Purpose", "") + request.headers.get("Purpose", "")
    return request.method == "GET" and "prefetch" not in purpose
