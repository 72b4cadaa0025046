from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from campaigns import services


@never_cache
@csrf_exempt  # RFC 8058: the mailbox provider posts without cookies
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """POST unsubscribes (RFC 8058, never redirected); GET only asks, because link scanners fetch everything.

    An unknown token gets the same answer as a known one: this page tells nobody who is on a list.
    """
    recipient = services.recipient_of(token)
    if request.method == "POST" and recipient is not None:
        services.unsubscribe(recipient)
    return render(request, "campaigns/unsubscribe.html", {"done": request.method == "POST"})
