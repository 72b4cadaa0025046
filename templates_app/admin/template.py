from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.decorators import display as label

from templates_app import services
from templates_app.admin import pages
from templates_app.admin.forms import TemplateForm
from templates_app.admin.versions import VersionInline
from templates_app.models import EmailTemplate


class StampedForm(TemplateForm):
    """Knows when what it shows was saved, so that the later of two edits does not undo the earlier."""

    stamp = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["stamp"] = _stamp(self.instance) if self.instance.pk else ""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.instance.pk and cleaned.get("stamp"):
            # The lock holds until the edit is saved: the admin does all of it in one transaction.
            now = EmailTemplate.objects.select_for_update().get(pk=self.instance.pk)
            if _stamp(now) != cleaned["stamp"]:
                text = "This template was changed since this form was opened: your change was not saved."
                self.add_error(None, f"{text} Open the page again, and make it there.")
        return cleaned


def _stamp(template: EmailTemplate) -> str:
    return template.updated_at.isoformat()


@admin.register(EmailTemplate)
class EmailTemplateAdmin(ModelAdmin):  # type: ignore[misc]
    form = StampedForm
    change_form_before_template = "templates_app/admin/stamp.html"
    inlines = [VersionInline]
    list_display = ["name", "version_number", "subject", "updated_at", "state"]
    list_filter = [("archived_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "description"]
    ordering = ["name"]
    fieldsets = [
        (None, {"fields": ["name", "description"]}),
        ("Content", {"fields": ["subject", "format", "html", "inline_css", "text", "note"]}),
    ]
    actions_detail = ["preview", "unarchive"]

    class Media:
        css = {"all": ["templates_app/templates.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[EmailTemplate]:
        templates: QuerySet[EmailTemplate] = super().get_queryset(request)
        return templates.select_related("current_version")

    def get_urls(self) -> list[URLPattern]:
        site_view = self.admin_site.admin_view
        own = [
            path("<int:pk>/diff/", site_view(partial(pages.diff, self)), name="templates_app_emailtemplate_diff"),
            path(
                "<int:pk>/versions/<int:number>/restore/",
                site_view(partial(pages.restore, self)),
                name="templates_app_emailtemplate_restore",
            ),
        ]
        return [*own, *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without Django's bulk deletion, which would know nothing of archiving."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        pages.find(self, request, object_id)
        changed: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        return changed

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return pages.remove(self, request, object_id)

    def save_model(self, request: HttpRequest, obj: EmailTemplate, form: TemplateForm, change: bool) -> None:
        actor = pages.actor(request)
        given = form.cleaned_data
        labels = {"name": given["name"], "description": given["description"], "note": given["note"]}
        if change:
            services.edit_template(template=obj, parts=form.content()._asdict(), by=actor, **labels)
        else:
            created = services.create_template(content=form.content(), by=actor, **labels)
            obj.pk = created.pk
            obj.refresh_from_db()
        pages.tell_findings(request, form.content())

    # The services have written the entry already; a second one would tell less.
    def log_addition(self, request: HttpRequest, obj: EmailTemplate, message: Any) -> LogEntry | None:
        return None

    def log_change(self, request: HttpRequest, obj: EmailTemplate, message: Any) -> LogEntry | None:
        return None

    @action(description="Preview", url_path="preview", icon="visibility", permissions=["view"])  # type: ignore[untyped-decorator]
    def preview(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return pages.preview(self, request, object_id)

    @action(description="Take out of the archive", url_path="unarchive", icon="unarchive", permissions=["unarchive"])  # type: ignore[untyped-decorator]
    def unarchive(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return pages.unarchive(self, request, object_id)

    def has_unarchive_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        template = self.get_object(request, unquote(object_id)) if object_id else None
        is_archived = template is not None and template.archived_at is not None
        return is_archived and bool(self.has_change_permission(request))

    @admin.display(description="Version", ordering="current_version__number")
    def version_number(self, template: EmailTemplate) -> int:
        return template.version.number

    @label(  # type: ignore[untyped-decorator]
        description="State", label={"archived": "warning", "active": "success"}
    )
    def state(self, template: EmailTemplate) -> str:
        return "archived" if template.archived_at else "active"

    # What somebody sees who may look but not change.
    @admin.display(description="Subject")
    def subject(self, template: EmailTemplate) -> str:
        return template.version.subject

    @admin.display(description="HTML")
    def html(self, template: EmailTemplate) -> SafeString:
        return format_html('<pre class="template-source">{}</pre>', template.version.html)

    @admin.display(description="Text")
    def text(self, template: EmailTemplate) -> SafeString:
        return format_html('<pre class="template-source">{}</pre>', template.version.text)

    @admin.display(description="Format")
    def format(self, template: EmailTemplate) -> str:
        return template.version.get_format_display()

    @admin.display(description="Styles moved into the tags", boolean=True)
    def inline_css(self, template: EmailTemplate) -> bool:
        return template.version.inline_css

    @admin.display(description="Note")
    def note(self, template: EmailTemplate) -> str:
        return template.version.note
