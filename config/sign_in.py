"""Who is counted for a wrong password, and what somebody is told who gave too many."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from config.api.problems import Problem, answer

# What the table of failures can hold; no user's name is longer.
_NAME_MAX = 255


def account(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """The name that was given, cut to what can be kept."""
    given = (credentials or {}).get("username") or request.POST.get("username") or ""
    return str(given).replace("\x00", "")[:_NAME_MAX]


def locked_out(request: HttpRequest, response: HttpResponse, credentials: Any) -> HttpResponse:
    """429 with the time to wait: problem details under /api/, a page elsewhere."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    text = f"Too many wrong passwords. Wait {seconds // 60} minutes, or have an administrator unlock this account."
    if request.path.startswith("/api/"):
        told: HttpResponse = answer(Problem(429, text))
    else:
        context = {**admin.site.each_context(request), "title": "Too many attempts", "text": text}
        told = TemplateResponse(request, "config/locked_out.html", context, status=429).render()
    told["Retry-After"] = str(seconds)
    return told
