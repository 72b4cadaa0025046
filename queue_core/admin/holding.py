"""What is paused, resumed and limited by name: queues and task types."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold import widgets
from unfold.admin import ModelAdmin

from queue_core.admin.ledger import actor, demand, page
from queue_core.errors import InvalidSubmission


class LimitsForm(forms.Form):
    """What may run at once and start in a time; blank lifts a limit."""

    max_running = forms.IntegerField(
        label="Running at once",
        required=False,
        min_value=1,
        max_value=1_000_000,
        widget=widgets.UnfoldAdminIntegerFieldWidget,
        help_text="Over all workers.",
    )
    rate = forms.CharField(
        label="Starts in a time",
        required=False,
        max_length=32,
        widget=widgets.UnfoldAdminTextInputWidget,
        help_text="100/m, 5/10s, 2000/h or 1/d, over all workers.",
    )


class HoldAdmin(ModelAdmin):  # type: ignore[misc]
    """One page of all there are, with buttons; the rows themselves are of no interest."""

    template = ""
    noun = ""
    blank = "Blank: no limit."
    pause: Any
    resume: Any
    limit: Any

    def rows(self, buttons: Any) -> list[dict[str, Any]]:
        """What the page shows; `buttons(name, is_paused)` answers those of a row."""
        raise NotImplementedError

    def limits_of(self, name: str) -> dict[str, Any]:
        """The limits people have set: `max_running` and `rate`. Raises Http404."""
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, self.url_name
        pause, resume = (partial(self.hold, verb=self.pause, done="Paused"), partial(self.hold, verb=self.resume))
        return [
            path("", view(self.overview), name=name("changelist")),
            path("<str:name>/limits/", view(self.limits), name=name("limits")),
            path("<str:name>/pause/", view(pause), name=name("pause")),
            path("<str:name>/resume/", view(resume), name=name("resume")),
        ]

    def url_name(self, page_name: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page_name}"

    def url(self, page_name: str, *args: str) -> str:
        return reverse(f"admin:{self.url_name(page_name)}", args=args)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def overview(self, request: HttpRequest) -> HttpResponse:
        demand(self.has_view_permission(request))
        rows = self.rows(partial(self.buttons, request))
        return page(self, request, self.template, title=str(self.opts.verbose_name_plural).capitalize(), rows=rows)

    def hold(self, request: HttpRequest, name: str, *, verb: Any, done: str = "Resumed") -> HttpResponse:
        demand(self.has_change_permission(request))
        self.limits_of(name)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        verb(name, by=actor(request))
        messages.success(request, f"{done} the {self.noun} {name}.")
        return HttpResponseRedirect(self.url("changelist"))

    def limits(self, request: HttpRequest, name: str) -> HttpResponse:
        demand(self.has_change_permission(request))
        form = LimitsForm(request.POST or None, initial=self.limits_of(name))
        for field in form.fields.values():
            field.help_text = f"{field.help_text} {self.blank}"
        if form.is_valid():
            at_once, rate = form.cleaned_data["max_running"], form.cleaned_data["rate"] or None
            try:
                self.limit(name, max_running=at_once, rate=rate, by=actor(request))
            except InvalidSubmission as exc:
                form.add_error(exc.field, str(exc).removeprefix(f"{exc.field}: "))
            else:
                messages.success(request, f"The limits of the {self.noun} {name} hold from now on.")
                return HttpResponseRedirect(self.url("changelist"))
        context = {"form": form, "button": "Save", "back": self.url("changelist")}
        title = f"Limits of the {self.noun} {name}"
        return page(self, request, "queue_core/admin/form.html", title=title, **context)

    def buttons(self, request: HttpRequest, name: str, is_paused: bool) -> list[dict[str, Any]]:
        """What this person may do with one of them."""
        if not self.has_change_permission(request):
            return []
        verb, icon = ("resume", "play_arrow") if is_paused else ("pause", "pause")
        return [
            {"title": verb.capitalize(), "icon": icon, "url": self.url(verb, name), "post": True},
            {"title": "Limits", "icon": "speed", "url": self.url("limits", name)},
        ]
