from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from monitoring import health


@require_safe
@never_cache
def live(request: HttpRequest) -> JsonResponse:
    """This process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def ready(request: HttpRequest) -> JsonResponse:
    """Every part works, or 503 and which one does not."""
    everything, parts = health.ready()
    return JsonResponse(
        {"status": "ok" if everything else "failing", "parts": parts}, status=200 if everything else 503
    )
