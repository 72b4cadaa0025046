from typing import Any

from django.contrib import admin
from django.db.models import QuerySet, Value
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline

from templates_app.models import TemplateVersion


class VersionInline(TabularInline):  # type: ignore[misc]
    """The history of a template: to read, compare and restore; never to edit."""

    model = TemplateVersion
    fk_name = "template"
    tab = True
    hide_title = True
    extra = 0
    per_page = 20
    ordering = ["-number"]
    fields = readonly_fields = ["number", "note", "author", "created_at", "links"]
    verbose_name_plural = "Versions"

    def get_queryset(self, request: HttpRequest) -> QuerySet[TemplateVersion]:
        versions: QuerySet[TemplateVersion] = super().get_queryset(request)
        may_restore = Value(request.user.has_perm("templates_app.change_emailtemplate"))
        shown = versions.select_related("author").defer("subject", "html", "text", "compiled_html")
        return shown.annotate(may_restore=may_restore)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("templates_app.view_emailtemplate")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="")
    def links(self, version: TemplateVersion) -> SafeString:
        template, number = version.template_id, version.number
        diff = reverse("admin:templates_app_emailtemplate_diff", args=[template])
        links = format_html(
            '<a class="text-link" href="{}?from={}&amp;to={}">What changed</a> · '
            '<a class="text-link" href="{}?from={}">Compare with current</a>',
            *(diff, max(number - 1, 1), number, diff, number),
        )
        if not version.may_restore:  # type: ignore[attr-defined]
            return links
        restore = reverse("admin:templates_app_emailtemplate_restore", args=[template, number])
        return format_html('{} · <a class="text-link" href="{}">Restore</a>', links, restore)
