import email
import email.policy
from email.message import EmailMessage
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse

from campaigns.models import CaughtMessage
from queue_core.admin.ledger import LedgerAdmin, find
from queue_core.admin.times import moment

# A mail shown here loads nothing and runs nothing; the frame's sandbox is the second lock.
_FRAME_POLICY = (
    '<!doctype html><meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
)
_SHOWN_SOURCE = 200_000


@admin.register(CaughtMessage)
class CaughtMessageAdmin(LedgerAdmin):
    list_display = ["received", "to", "subject", "bytes"]
    list_display_links = ["received", "to"]
    search_fields = ["rcpt_to"]
    search_help_text = "Address, or its beginning; or a Message-ID"
    actions = None
    detail_template = "campaigns/admin/caught.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[CaughtMessage]:
        return CaughtMessage.objects.defer("raw")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CaughtMessage], search_term: str
    ) -> tuple[QuerySet[CaughtMessage], bool]:
        term = search_term.strip()
        if term.startswith("<"):
            return queryset.filter(message_id=term), False
        return (queryset.filter(rcpt_to__startswith=term) if term else queryset), False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(partial(download, self))
        return [path("<int:pk>/message.eml", view, name="campaigns_caughtmessage_download"), *super().get_urls()]

    def detail(self, request: HttpRequest, obj: CaughtMessage) -> dict[str, Any]:
        raw = bytes(obj.raw)
        message = email.message_from_bytes(raw, policy=email.policy.default)
        html = _part(message, "html")
        return {
            "title": obj.subject or "(no subject)",
            "label": {"text": moment(obj.received_at), "type": "default"},
            "buttons": [
                {
                    "title": "Download",
                    "icon": "download",
                    "url": reverse("admin:campaigns_caughtmessage_download", args=[obj.pk]),
                }
            ],
            "headers": _headers(message),
            "envelope": [("Envelope from", obj.mail_from), ("Envelope to", obj.rcpt_to), ("Size", self.bytes(obj))],
            "frame": _FRAME_POLICY + html if html else "",
            "text": _part(message, "plain"),
            "source": raw[:_SHOWN_SOURCE].decode("utf-8", "replace"),
            "is_cut": len(raw) > _SHOWN_SOURCE,
        }

    @admin.display(description="Received")
    def received(self, message: CaughtMessage) -> str:
        return moment(message.received_at)

    @admin.display(description="To")
    def to(self, message: CaughtMessage) -> str:
        return message.rcpt_to

    @admin.display(description="Size")
    def bytes(self, message: CaughtMessage) -> str:
        return filesizeformat(message.size)


def download(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """The message as it came over the wire."""
    caught = find(model_admin, request, pk)
    answer = HttpResponse(bytes(caught.raw), content_type="message/rfc822")
    answer["Content-Disposition"] = f'attachment; filename="message-{caught.pk}.eml"'
    return answer


def _headers(message: EmailMessage) -> list[tuple[str, str]]:
    """(name, value), decoded; a header that is not well formed is shown as it came."""
    shown = []
    for name, value in message.raw_items():
        try:
            decoded = str(message.policy.header_fetch_parse(name, value))
        except (ValueError, IndexError, AttributeError, LookupError):
            decoded = str(value)
        shown.append((name, decoded))
    return shown


def _part(message: EmailMessage, subtype: str) -> str:
    """The first part of that kind, as text; "" when there is none."""
    for part in message.walk():
        if part.get_content_type() == f"text/{subtype}":
            payload = part.get_payload(decode=True)
            data = payload if isinstance(payload, bytes) else b""
            try:
                return data.decode(part.get_content_charset("utf-8"), "replace")
            except LookupError:
                return data.decode("utf-8", "replace")
    return ""
