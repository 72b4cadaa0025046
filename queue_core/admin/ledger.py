"""The base of admins over tables that grow and that machines write: fast to look at, changed by verbs only."""

from typing import Any

from django.contrib import messages
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from queue_core.admin.paginator import LedgerPaginator
from queue_core.services import Actor
from queue_core.time_limit import TooSlow, time_limit

_LIST_SECONDS = 5.0


class LedgerList(ChangeList):  # type: ignore[misc]
    """A list that gives up, and says so, rather than keep the database busy."""

    result_list: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Not "Select … to view": there is more to do here than that.
        self.title = capfirst(self.opts.verbose_name_plural)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # The paginator shows the count; Unfold's heading would call a bounded one the truth.
        self.full_result_count = self.result_count
        try:
            with time_limit(_LIST_SECONDS):
                self.result_list = list(self.result_list)
        except TooSlow:
            self.result_list = []
            messages.warning(
                request, f"This list takes longer than {_LIST_SECONDS:.0f} s to find. Narrow it by another filter."
            )


class LedgerAdmin(ModelAdmin):  # type: ignore[misc]
    """Newest first, without counting, without editing.

    `detail_template` is rendered with what `detail` answers. `lookups` names the parameters a list may be filtered by:
    any other column would be searched without an index.
    """

    paginator = LedgerPaginator
    ordering: tuple[str, ...] = ("-id",)
    sortable_by = ()
    list_per_page = 50
    show_full_result_count = False
    list_disable_select_all = True
    lookups: tuple[str, ...] = ()
    detail_template = ""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LedgerList]:
        return LedgerList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in self.lookups

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    # The verbs write the audit; a second entry would tell less.
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry | None:
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry | None:
        return None

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        return None

    def detail(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """What the detail page shows of a row."""
        raise NotImplementedError

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        obj = find(self, request, object_id)
        return page(self, request, self.detail_template, original=obj, **self.detail(request, obj))


def find(model_admin: ModelAdmin, request: HttpRequest, object_id: str | int) -> Any:
    """The row of that id, for somebody who may view it; 403 or 404 otherwise."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    obj = model_admin.get_object(request, unquote(str(object_id)))
    if obj is None:
        raise Http404(f"There is no {model_admin.opts.verbose_name} {object_id}.")
    return obj


def demand(is_allowed: bool) -> None:
    """403 unless it is allowed."""
    if not is_allowed:
        raise PermissionDenied


def page(model_admin: ModelAdmin, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    """A page of an admin, inside the frame of the site."""
    request.current_app = model_admin.admin_site.name
    frame = {**model_admin.admin_site.each_context(request), "opts": model_admin.opts, "title": model_admin.opts}
    return TemplateResponse(request, template, {**frame, **context})


def actor(request: HttpRequest) -> Actor:
    """Who asks, for the audit."""
    return Actor(request.user, "admin")
