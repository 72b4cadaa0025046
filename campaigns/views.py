from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from campaigns import services
from campaigns.errors import UnknownLink


@never_cache
@csrf_exempt  # RFC 8058: the mailbox provider posts without cookies
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """POST unsubscribes (RFC 8058, never redirected); GET only asks, because link scanners fetch everything.

    A link that is not whole, or was never made here, is a 404 both ways: nobody may believe in what did not happen.
    """
    try:
        recipient = services.recipient_of(token)
    except UnknownLink:
        return render(request, "campaigns/no_link.html", status=404)
    is_post = request.method == "POST"
    if recipient is not None and is_post:
        services.unsubscribe(recipient)
    return render(request, "campaigns/unsubscribe.html", {"done": is_post, "is_sample": recipient is None})
