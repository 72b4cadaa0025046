"""The template admin's own pages: preview, diff, restore, remove. Each checks its permission, then shows or calls."""

import json
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin

from templates_app import services
from templates_app.admin.forms import PreviewForm
from templates_app.errors import InvalidTemplate, RenderError
from templates_app.models import EmailTemplate, TemplateVersion
from templates_app.rendering import Content, compile_version, content_of
from templates_app.variables import sample_context

# A mail shown here loads nothing and runs nothing; the frame's sandbox is the second lock.
_FRAME_POLICY = (
    '<!doctype html><base target="_blank"><meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
)
_PART_NAMES = {"subject": "Subject", "html": "HTML", "text": "Text", "options": "Options"}


def actor(request: HttpRequest) -> services.Actor:
    return services.Actor(request.user, "admin")  # type: ignore[arg-type]  # the admin lets nobody in unknown


def tell_findings(request: HttpRequest, content: Content) -> None:
    """What the check finds in what is current now."""
    for finding in services.lint(content=content):
        level = messages.ERROR if finding.level == "error" else messages.WARNING
        messages.add_message(request, level, str(finding))


def preview(model_admin: ModelAdmin, request: HttpRequest, pk: str | int) -> HttpResponse:
    """One mail made from sample values; values that are missing show as ⟦name⟧."""
    template = find(model_admin, request, pk)
    _demand(model_admin.has_view_permission(request, template))
    shown: dict[str, Any] = {}
    try:
        compiled = compile_version(template.version)
    except InvalidTemplate as error:
        return _answer(model_admin, request, template, "preview", {"title": f"Preview of {template}", "fault": error})
    sample = json.dumps(sample_context(compiled.variables), indent=2, ensure_ascii=False)
    form = PreviewForm(request.POST or {"context": sample})
    if form.is_valid():
        try:
            mail = services.preview(content=compiled.content, context=form.cleaned_data["context"], lenient=True)
            shown = {"mail": mail, "frame": _FRAME_POLICY + mail.html}
        except RenderError as error:
            shown = {"fault": error}
    page = {"title": f"Preview of {template}", "form": form, "variables": compiled.variables, **shown}
    return _answer(model_admin, request, template, "preview", page)


def diff(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """What changed between two versions, `?from=1&to=2`; the current version where `to` is left out."""
    template = find(model_admin, request, pk)
    _demand(model_admin.has_view_permission(request, template))
    old = _version(template, request.GET.get("from", "1"))
    new = _version(template, request.GET.get("to", str(template.version.number)))
    parts = services.diff(old=old, new=new)
    page = {
        "title": f"{template}: {old} and {new}",
        "parts": [
            (_PART_NAMES[part], [(_kind(line), line) for line in text.splitlines()])
            for part, text in parts.items()
            if text
        ],
    }
    return _answer(model_admin, request, template, "diff", page)


def restore(model_admin: ModelAdmin, request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Asks on GET, restores on POST."""
    template = find(model_admin, request, pk)
    _demand(model_admin.has_change_permission(request, template))
    old = _version(template, str(number))
    if request.method == "POST":
        try:
            version = services.restore_version(template=template, number=number, by=actor(request))
        except InvalidTemplate as error:
            messages.error(request, f"{old} cannot be restored: {error}".capitalize())
        else:
            messages.success(request, f"What {old} says is current, as {version}.")
            tell_findings(request, content_of(version))
        return _back_to(template)
    question = f"Make what {old} says current again? It becomes the next version; nothing is lost."
    page = {"title": f"Restore {old}", "question": question, "button": "Restore"}
    return _answer(model_admin, request, template, "confirm", page)


def remove(model_admin: ModelAdmin, request: HttpRequest, pk: str | int) -> HttpResponse:
    """Asks on GET; on POST deletes a template nothing uses and archives a used one."""
    template = find(model_admin, request, pk)
    _demand(model_admin.has_delete_permission(request, template))
    if request.method == "POST":
        outcome = services.archive_template(template=template, by=actor(request))
        why = "" if outcome == "deleted" else " It is in use, so it was not deleted."
        messages.success(request, f"The template “{template.name}” was {outcome}.{why}")
        return HttpResponseRedirect(reverse("admin:templates_app_emailtemplate_changelist"))
    question = f"Delete “{template}” with all its versions? If a campaign uses it, it is archived instead."
    page = {"title": f"Delete {template}", "question": question, "button": "Delete"}
    return _answer(model_admin, request, template, "confirm", page)


def unarchive(model_admin: ModelAdmin, request: HttpRequest, pk: str | int) -> HttpResponse:
    """Asks on GET, takes the template out of the archive on POST."""
    template = find(model_admin, request, pk)
    _demand(model_admin.has_change_permission(request, template))
    if request.method == "POST":
        services.unarchive_template(template=template, by=actor(request))
        messages.success(request, f"The template “{template.name}” is in use again.")
        return _back_to(template)
    page = {"title": f"Take {template} out of the archive", "question": "Offer it again?", "button": "Take it out"}
    return _answer(model_admin, request, template, "confirm", page)


def find(model_admin: ModelAdmin, request: HttpRequest, pk: str | int) -> EmailTemplate:
    """The template of that id; 404 for one there is not, and for what is no id."""
    template: EmailTemplate | None = model_admin.get_object(request, unquote(str(pk)))
    if template is None:
        raise Http404("There is no such template.")
    return template


def _version(template: EmailTemplate, number: str) -> TemplateVersion:
    version = None
    if number.isascii() and number.isdigit() and len(number) < 10:
        version = template.versions.filter(number=int(number)).first()
    if version is None:
        raise Http404(f"There is no version {number} of this template.")
    return version


def _demand(is_allowed: bool) -> None:
    if not is_allowed:
        raise PermissionDenied


def _kind(line: str) -> str:
    return {"+": "added", "-": "removed", "@": "place"}.get(line[:1], "same")


def _back_to(template: EmailTemplate) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:templates_app_emailtemplate_change", args=[template.pk]))


def _answer(
    model_admin: ModelAdmin, request: HttpRequest, template: EmailTemplate, page: str, context: dict[str, Any]
) -> HttpResponse:
    return TemplateResponse(
        request,
        f"templates_app/admin/{page}.html",
        {
            **model_admin.admin_site.each_context(request),
            "opts": EmailTemplate._meta,
            "original": template,
            "back": reverse("admin:templates_app_emailtemplate_change", args=[template.pk]),
            **context,
        },
    )
