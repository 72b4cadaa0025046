"""A row that somebody deletes while another acts on it in the admin; for the API, see `config.api.problems`."""

import logging

from django.contrib import admin, messages
from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.deprecation import MiddlewareMixin

logger = logging.getLogger(__name__)


class GoneMeanwhile(MiddlewareMixin):
    """Says so, and leads to the list that the row was in: what was asked for is rolled back by then."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        match = request.resolver_match
        is_asked = request.method == "POST" and match is not None and match.app_name == "admin"
        if match is None or not is_asked or not isinstance(exception, ObjectDoesNotExist):
            return None
        logger.warning("%s: %s", match.view_name, exception)
        messages.error(request, "Somebody deleted this meanwhile: nothing was changed.")
        return HttpResponseRedirect(_list_of(match.url_name or ""))


def _list_of(page: str) -> str:
    """The address of the list that a page of the admin belongs to, by the name of its URL."""
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        if page.startswith(f"{name}_"):
            return reverse(f"admin:{name}_changelist")
    return reverse("admin:index")
