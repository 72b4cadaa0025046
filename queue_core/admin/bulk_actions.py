"""Bulk verbs from a list: on all that match as it is filtered and searched now, or on the rows that are ticked."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from unfold import widgets

from queue_core import bulk, conf, services
from queue_core.admin.ledger import LedgerAdmin, actor, demand, page
from queue_core.errors import QueueError
from queue_core.search import Query, Term
from queue_core.services.outcome import plural
from queue_core.services.preview_bulk import IDS_MAX
from queue_core.services.submit import PRIORITIES

# What a list is told that does not change which rows it holds.
_PLACE = {"p", "o", "e", "all", "verb"}


class PriorityForm(forms.Form):
    priority = forms.IntegerField(
        initial=0,
        min_value=PRIORITIES[0],
        max_value=PRIORITIES[-1],
        widget=widgets.UnfoldAdminIntegerFieldWidget,
        help_text=f"{PRIORITIES[0]} to {PRIORITIES[-1]}; a higher one is taken first.",
    )


class QueueForm(forms.Form):
    queue = forms.ChoiceField(
        initial=lambda: conf.queues()[0],
        choices=lambda: [(name, name) for name in conf.queues()],
        widget=widgets.UnfoldAdminSelectWidget,
    )


class CannotSay(QueueError):
    """A list that is narrowed by what no search can say."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"A bulk operation cannot be told {name[:60]!r}, by which this list is narrowed. Say it in the search."
        )


class BulkActions(LedgerAdmin):
    """A list that offers the bulk verbs of its model to those who may.

    `bulk_terms` says for each parameter of the list which term of a search it stands for (None where the list takes no
    notice either), `everything` what is searched for where nothing narrows the list, `params` which verbs need a form.
    """

    bulk_terms: ClassVar[Mapping[str, Callable[[str], Term | None]]]
    everything = "id:>0"
    params: ClassVar[Mapping[str, type[forms.Form]]] = {}
    list_before_template = "queue_core/admin/bulk_bar.html"

    def bulk_note(self, row: Any) -> str:
        """What is said of a row of the sample, next to its name."""
        raise NotImplementedError

    def bulk_verbs(self, request: HttpRequest) -> list[bulk.BulkVerb]:
        """Those this person may ask for."""
        return [verb for verb in bulk.verbs(self.opts.label_lower) if request.user.has_perm(verb.permission)]

    def bulk_query(self, request: HttpRequest) -> str:
        """The search that finds what the list shows. Raises CannotSay."""
        terms = []
        for name, text in request.GET.items():
            if name in _PLACE or name == "q" or not text:
                continue
            if name not in self.bulk_terms:
                raise CannotSay(name)
            terms.append(self.bulk_terms[name](str(text)))
        said = Query(tuple(term for term in terms if term))
        return f"{said} {request.GET.get('q', '')}".strip() or self.everything

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        offered = {
            "bulk_verbs": [(verb.name, _title(verb)) for verb in self.bulk_verbs(request)],
            "bulk_kept": [(name, text) for name, text in request.GET.items() if name not in _PLACE],
            "bulk_url": _url(self, "bulk"),
        }
        answer: HttpResponse = super().changelist_view(request, {**offered, **(extra_context or {})})
        return answer

    def get_urls(self) -> list[URLPattern]:
        own = path("bulk/", self.admin_site.admin_view(self.bulk_view), name=_name(self, "bulk"))
        return [own, *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The verbs of the list itself, and for what is ticked the other bulk verbs."""
        actions: dict[str, Any] = dict(super().get_actions(request))
        for verb in self.bulk_verbs(request):
            name = f"{verb.name}_selected"
            actions.setdefault(name, (partial(_ask_for_ticked, verb=verb), name, _title(verb)))
        return actions

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """What is asked for beyond the page goes through a bulk operation."""
        if request.POST.get("select_across") == "1":
            verb = request.POST.get("action", "").removesuffix("_selected")
            return HttpResponseRedirect(f"{_url(self, 'bulk')}?{urlencode({**request.GET.dict(), 'verb': verb})}")
        return super().response_action(request, queryset)

    def bulk_view(self, request: HttpRequest) -> HttpResponse:
        """Asks on GET, for the list its parameters say; starts on POST."""
        demand(self.has_view_permission(request))
        given = request.POST if request.method == "POST" else request.GET
        try:
            verb = bulk.get(self.opts.label_lower, given.get("verb", ""))
            demand(request.user.has_perm(verb.permission))
            if request.method == "POST":
                return self._start(request, verb)
            return self.ask(request, verb, query=self.bulk_query(request))
        except QueueError as exc:
            messages.error(request, str(exc))
            return HttpResponseRedirect(_back(self, request))

    def ask(
        self,
        request: HttpRequest,
        verb: bulk.BulkVerb,
        *,
        query: str = "",
        ids: list[int] | None = None,
        form: forms.Form | None = None,
    ) -> HttpResponse:
        """The page that says what would be worked on. Raises QueueError."""
        form = form or (self.params[verb.name]() if verb.name in self.params else None)
        blank = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()} if form else {}
        seen = services.preview_bulk(
            verb.name, target=verb.target.label, query=query, ids=ids, params=blank, asked_by=actor(request)
        )
        if seen.is_exact and not seen.count:
            messages.warning(request, "Nothing matches: there is nothing to work on.")
            return HttpResponseRedirect(_back(self, request))
        rows = [{"text": row, "url": _url(self, "change", row.pk), "note": self.bulk_note(row)} for row in seen.sample]
        noun = verb.target.noun if seen.shown_count == "1" else f"{verb.target.noun}s"
        return page(
            self,
            request,
            "queue_core/admin/bulk_ask.html",
            title=f"{_title(verb)}: {seen.shown_count} {noun}",
            facts=[("Verb", _title(verb)), ("Works on", seen.selection.scope), ("Matches now", seen.shown_count)],
            form=form,
            hidden=[("verb", verb.name), ("query", query), ("ids", ",".join(map(str, ids or [])))],
            sample=rows,
            is_all=seen.is_exact and len(rows) == seen.count,
            button=f"{_title(verb)} {seen.shown_count}",
            variant="danger" if verb.name in ("delete", "cancel", "discard") else "primary",
            back=_back(self, request),
        )

    def _start(self, request: HttpRequest, verb: bulk.BulkVerb) -> HttpResponse:
        query, ids = request.POST.get("query", ""), _ids(request.POST.get("ids", ""))
        form = self.params[verb.name](request.POST) if verb.name in self.params else None
        if form and not form.is_valid():
            return self.ask(request, verb, query=query, ids=ids, form=form)
        made = services.start_bulk(
            verb.name,
            target=verb.target.label,
            query=query,
            ids=ids,
            params=form.cleaned_data if form else {},
            by=actor(request),
        )
        messages.success(request, f"Started bulk operation {made.pk}: {_title(verb).lower()} {made.scope}.")
        return HttpResponseRedirect(reverse("admin:queue_core_bulkoperation_change", args=[made.pk]))


def _ask_for_ticked(
    model_admin: BulkActions, request: HttpRequest, rows: QuerySet[Any], *, verb: bulk.BulkVerb
) -> HttpResponse | None:
    try:
        return model_admin.ask(request, verb, ids=list(rows.values_list("pk", flat=True)[:IDS_MAX]))
    except QueueError as exc:
        messages.error(request, str(exc))
        return None


def _ids(text: str) -> list[int] | None:
    """Of the ids a page of ours was told to keep; None for none. Raises BadSelection."""
    if not text:
        return None
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) <= 19 for part in parts):
        raise services.BadSelection("ids", f"Give 1 to {plural(IDS_MAX, 'id')}, as 7,8,9.")
    return [int(part) for part in parts]


def _title(verb: bulk.BulkVerb) -> str:
    return verb.name.replace("_", " ").capitalize()


def _name(model_admin: LedgerAdmin, page_name: str) -> str:
    return f"{model_admin.opts.app_label}_{model_admin.opts.model_name}_{page_name}"


def _url(model_admin: LedgerAdmin, page_name: str, *args: Any) -> str:
    return reverse(f"admin:{_name(model_admin, page_name)}", args=args)


def _back(model_admin: BulkActions, request: HttpRequest) -> str:
    """The list, as it was narrowed."""
    kept = {name: str(text) for name, text in request.GET.items() if name == "q" or name in model_admin.lookups}
    return f"{_url(model_admin, 'changelist')}?{urlencode(kept)}".rstrip("?")
