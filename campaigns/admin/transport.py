import json
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import CharField, Exists, Model, OuterRef, QuerySet, Value
from django.db.models.functions import Cast, Concat
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold import widgets
from unfold.decorators import display as label

from campaigns import breaker, services
from campaigns.admin.by_verb import SavesByVerb, VerbForm
from campaigns.errors import TransportRefused
from campaigns.models import MailBreaker, MailTransport
from queue_core.admin.forms import as_object
from queue_core.admin.ledger import LedgerAdmin, actor, demand, find, page

_LABELS = {"in use": "success", "off": "default", "refuses us": "danger"}


class TransportForm(VerbForm):
    """A way out for mail; the stored secret is never shown."""

    new_secret = forms.CharField(
        label="Secret",
        required=False,
        strip=False,
        widget=widgets.UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Password or API key. Blank: as it is now.",
    )
    remove_secret = forms.BooleanField(
        label="Remove the stored secret", required=False, widget=widgets.UnfoldBooleanWidget
    )
    options = forms.CharField(
        label="Options (JSON)",
        required=False,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 4, "class": "ph-source", "spellcheck": "false"}),
        help_text='Arguments of the backend, such as {"api_key": "$secret"}: $secret is replaced by the secret.',
    )

    shown_as: ClassVar = {"secret": "new_secret"}

    class Meta:
        model = MailTransport
        fields = [
            *("name", "kind", "enabled", "priority", "host", "port", "security", "verify", "username", "new_secret"),
            *("remove_secret", "secret_env", "backend", "options", "connections", "pipelining", "max_messages"),
            *("timeout", "rate_count", "rate_seconds"),
        ]
        labels = {
            "verify": "Check the certificate",
            "secret_env": "Secret from the environment",
            "rate_count": "Mails at most",
        }
        help_texts = {
            "secret_env": "Instead of a secret: the name of a variable that begins with MAIL_.",
            "backend": "Only for Django e-mail backends, such as anymail.backends.mailgun.EmailBackend.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["options"] = json.dumps(self.instance.options, indent=2, ensure_ascii=False)

    def clean_options(self) -> dict[str, Any]:
        return as_object(self.cleaned_data["options"])

    def given(self) -> dict[str, Any]:
        """What `services.save_transport` takes."""
        values = dict(self.cleaned_data)
        secret, is_removed = values.pop("new_secret", ""), values.pop("remove_secret", False)
        return {**values, "secret": "" if is_removed else secret or None}

    def store(self) -> MailTransport:
        return services.save_transport(self._row(), **self.given(), by=self.by)

    def refusals(self) -> dict[str, list[str]]:
        return services.transport_refusals(self._row(), **self.given())

    def _row(self) -> MailTransport | None:
        return self.instance if self.instance.pk else None


@admin.register(MailTransport)
class TransportAdmin(SavesByVerb, LedgerAdmin):
    form = TransportForm
    ordering = ("priority", "id")
    list_display = ["name", "state_label", "priority", "kind", "where", "connections"]
    actions = None
    detail_template = "campaigns/admin/facts.html"
    change_form_outer_before_template = "campaigns/admin/transport.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[MailTransport]:
        key = Concat(Value("transport-"), Cast(OuterRef("pk"), CharField()))
        return MailTransport.objects.annotate(
            failing=Exists(MailBreaker.objects.filter(key=key, failures__gt=0)),
        )

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(partial(self.press, verb=verb)),
                name=f"campaigns_mailtransport_{name}",
            )
            for name, verb in (("check", _check), ("reset", _reset))
        ]
        return [*own, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("campaigns.add_mailtransport")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm("campaigns.change_mailtransport")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm("campaigns.delete_mailtransport")

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Asks on GET, deletes on POST; either says why it cannot be, and what to do instead."""
        row = find(self, request, object_id)
        demand(self.has_delete_permission(request))
        own_page = reverse("admin:campaigns_mailtransport_change", args=[row.pk])
        try:
            if request.method == "POST":
                services.delete_transport(row, by=actor(request))
            else:
                services.demand_transport_deletable(row)
        except TransportRefused as refused:
            messages.error(request, str(refused))
            return HttpResponseRedirect(own_page)
        if request.method == "POST":
            messages.success(request, f"Deleted “{row.name}”.")
            return HttpResponseRedirect(reverse("admin:campaigns_mailtransport_changelist"))
        return page(
            self,
            request,
            "queue_core/admin/confirm.html",
            title=f"Delete {row.name}",
            original=row,
            question=f"Delete “{row.name}” with its secret?",
            button="Delete this transport",
            back=own_page,
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A form below what is known of it; only the facts for who may not change it."""
        if not self.has_change_permission(request):
            return super().change_view(request, object_id, form_url, extra_context)
        detail = self.detail(request, find(self, request, object_id))
        answer: HttpResponse = self.changeform_view(request, object_id, form_url, detail)
        return answer

    def detail(self, request: HttpRequest, obj: MailTransport) -> dict[str, Any]:
        found = breaker.troubles([obj.breaker_key]).get(obj.breaker_key)
        state, trouble = _word(obj, found is not None), breaker.words(found) if found else ""
        buttons = [
            {"title": "Check", "icon": "network_check", "url": _url("check", obj), "post": True},
            {"title": "Use again now", "icon": "restart_alt", "url": _url("reset", obj), "post": True},
        ]
        return {
            "title": obj.name,
            "label": {"text": state, "type": _LABELS[state]},
            "buttons": buttons[: 2 if trouble else 1] if self.has_change_permission(request) else [],
            "trouble": trouble,
            "facts": [
                ("Kind", obj.get_kind_display()),
                ("Where", self.where(obj)),
                ("Priority", obj.priority),
                ("Breaker", trouble or "closed"),
            ],
        }

    def press(self, request: HttpRequest, pk: int, *, verb: Any) -> HttpResponse:
        row = find(self, request, pk)
        demand(self.has_change_permission(request))
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        verb(request, row)
        return HttpResponseRedirect(reverse("admin:campaigns_mailtransport_change", args=[row.pk]))

    @label(description="State", label=_LABELS)  # type: ignore[untyped-decorator]
    def state_label(self, row: Any) -> str:
        return _word(row, row.failing)

    @admin.display(description="Where")
    def where(self, row: MailTransport) -> str:
        return row.backend or f"{row.host}:{row.port}"


def _word(row: MailTransport, refuses_us: bool) -> str:
    return "off" if not row.enabled else "refuses us" if refuses_us else "in use"


def _url(name: str, row: MailTransport) -> str:
    return reverse(f"admin:campaigns_mailtransport_{name}", args=[row.pk])


def _check(request: HttpRequest, row: MailTransport) -> None:
    ok, lines = services.check_transport(row)
    if ok:
        offers = f" It offers {', '.join(lines)}." if lines else ""
        messages.success(request, f"“{row.name}” answers and lets us in; nothing was mailed.{offers}")
    else:
        messages.error(request, f"“{row.name}” cannot be used: {' '.join(lines)}")


def _reset(request: HttpRequest, row: MailTransport) -> None:
    services.reset_transport(row, by=actor(request))
    messages.success(request, f"“{row.name}” is used again from now on.")
