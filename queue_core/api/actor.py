from rest_framework.request import Request

from queue_core.services import Actor


def actor(request: Request) -> Actor:
    """Who asks, for the audit."""
    return Actor(request.user, "api")
