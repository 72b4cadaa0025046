from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold import widgets
from unfold.decorators import display as label

from campaigns import services
from campaigns.admin.by_verb import SavesByVerb, VerbForm
from campaigns.models import DkimKey
from queue_core.admin.ledger import LedgerAdmin, actor, demand, find
from queue_core.admin.times import moment

_LABELS = {"signs": "success", "off": "default"}


class DkimKeyForm(VerbForm):
    """A key, given or made; the private part is never shown."""

    private_key = forms.CharField(
        label="Private key",
        required=False,
        max_length=10_000,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 6, "class": "ph-source", "spellcheck": "false"}),
        help_text="PEM, without a passphrase. Blank: a new one is made.",
    )

    class Meta:
        model = DkimKey
        fields = ["domain", "selector", "algorithm", "private_key", "secret_env"]
        labels = {"secret_env": "Key from the environment"}
        help_texts = {
            "selector": "Any word, such as 2026a; with another one a new key can be published before the old one goes.",
            "algorithm": "Of a key made here. Add one of each to reach also receivers that know only RSA.",
            "secret_env": "Instead of a key: the name of a variable that begins with MAIL_DKIM.",
        }

    def store(self) -> DkimKey:
        return services.add_dkim_key(**self.cleaned_data, by=self.by)


@admin.register(DkimKey)
class DkimKeyAdmin(SavesByVerb, LedgerAdmin):
    form = DkimKeyForm
    list_display = ["domain", "selector", "state_label", "algorithm"]
    actions = None
    detail_template = "campaigns/admin/facts.html"

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(partial(self.switch, enabled=enabled)),
                name=f"campaigns_dkimkey_{name}",
            )
            for name, enabled in (("enable", True), ("disable", False))
        ]
        return [*own, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("campaigns.add_dkimkey")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm("campaigns.delete_dkimkey")

    def response_add(self, request: HttpRequest, obj: DkimKey, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, f"Added {obj}. Publish its record in DNS before the next mail leaves.")
        return HttpResponseRedirect(reverse("admin:campaigns_dkimkey_change", args=[obj.pk]))

    def delete_model(self, request: HttpRequest, obj: DkimKey) -> None:
        services.delete_dkim_key(obj, by=actor(request))

    def detail(self, request: HttpRequest, obj: DkimKey) -> dict[str, Any]:
        name, title, icon = ("disable", "Switch off", "block") if obj.enabled else ("enable", "Switch on", "check")
        may_switch = request.user.has_perm("campaigns.change_dkimkey")
        buttons = [{"title": title, "icon": icon, "url": _url(name, obj), "post": True}] if may_switch else []
        if self.has_delete_permission(request):
            buttons.append({"title": "Delete", "icon": "delete", "url": _url("delete", obj)})
        state = "signs" if obj.enabled else "off"
        return {
            "title": str(obj),
            "label": {"text": state, "type": _LABELS[state]},
            "buttons": buttons,
            "facts": [
                ("Signs mail from", f"addresses of {obj.domain}, and of domains below it without a key of their own"),
                ("Publish in DNS", f"{obj.record_name} TXT"),
                ("Its value", obj.record),
                ("Private key", f"in {obj.secret_env}" if obj.secret_env else "encrypted in the database"),
                ("Added", moment(obj.created_at)),
            ],
        }

    def switch(self, request: HttpRequest, pk: int, *, enabled: bool) -> HttpResponse:
        row = find(self, request, pk)
        demand(request.user.has_perm("campaigns.change_dkimkey"))
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        services.switch_dkim_key(row, enabled=enabled, by=actor(request))
        messages.success(request, f"{row} {'signs' if enabled else 'does not sign'} from now on.")
        return HttpResponseRedirect(reverse("admin:campaigns_dkimkey_change", args=[row.pk]))

    @label(description="State", label=_LABELS)  # type: ignore[untyped-decorator]
    def state_label(self, row: DkimKey) -> str:
        return "signs" if row.enabled else "off"


def _url(name: str, row: DkimKey) -> str:
    return reverse(f"admin:campaigns_dkimkey_{name}", args=[row.pk])
