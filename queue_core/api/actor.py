from typing import Any

from rest_framework.request import Request

from queue_core.services import Actor


def actor(request: Request) -> Actor:
    """Who asks, for the audit."""
    return Actor(request.user, "api")


def may_submit(request: Request) -> bool:
    """Whether who asks may submit tasks."""
    user: Any = request.user
    return bool(user.has_perm("queue_core.add_task"))
