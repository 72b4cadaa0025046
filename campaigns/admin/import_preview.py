"""The page of an uploaded file before it is imported: its first rows, what each column becomes, what would happen."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from unfold import widgets

from campaigns import services
from campaigns.errors import CampaignError, ImportRefused
from campaigns.intake import Options, Sample, column_key, read_options
from campaigns.intake.options import DELIMITERS
from campaigns.models import RecipientImport
from campaigns.services.import_file import is_small
from campaigns.states import ImportState
from queue_core.admin.ledger import actor, demand, find, page

NOT_BEGUN = (ImportState.UPLOADED, ImportState.CHECKING)
# Two fields for each; the others keep the names they have.
_MAPPED_COLUMNS = 100
_ATTRIBUTE = "attribute"
_TARGETS = [("email", "E-mail address"), (_ATTRIBUTE, "Attribute"), ("", "Leave out")]


class ReadingForm(forms.Form):
    """How a file is read; blank is found."""

    delimiter = forms.ChoiceField(
        choices=[("", "Find it"), *((name, name.capitalize()) for name in DELIMITERS.values())],
        required=False,
        widget=widgets.UnfoldAdminSelectWidget,
    )
    encoding = forms.CharField(
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget,
        help_text="Such as utf-8, utf-16 or windows-1252. Blank: find it.",
    )
    header = forms.TypedChoiceField(
        label="The first line",
        choices=[("", "Find out"), ("yes", "Names the columns"), ("no", "Is a recipient")],
        required=False,
        coerce=lambda value: value == "yes",
        empty_value=None,
        widget=widgets.UnfoldAdminSelectWidget,
    )
    sheet = forms.CharField(
        required=False, widget=widgets.UnfoldAdminSelectWidget, help_text="Of the workbook; the others are not read."
    )

    @classmethod
    def of(cls, made: RecipientImport, posted: Any = None) -> "ReadingForm":
        """As the file is read, or as somebody wants it to be (`posted`)."""
        told = Options(**made.options)
        header = {None: "", True: "yes", False: "no"}[told.header]
        initial = {"delimiter": DELIMITERS.get(told.delimiter, ""), "encoding": told.encoding}
        form = cls(posted, initial={**initial, "header": header, "sheet": told.sheet})
        sheets = [(name, name) for name in made.found.get("sheets", [told.sheet])]
        form.fields["sheet"].widget.choices = [("", "The first one that is shown"), *sheets]
        for name in ("delimiter", "encoding") if made.found.get("kind") == "xlsx" else ("sheet",):
            del form.fields[name]
        return form


def preview(made: RecipientImport, posted: Any = None) -> dict[str, Any]:
    """What the page shows of the file; in its fields what somebody has entered, where that was refused (`posted`)."""
    try:
        sample = services.import_sample(made)
    except ImportRefused as exc:
        return {"problem": str(exc)}
    chosen = [_chosen(name) for name in sample.names[:_MAPPED_COLUMNS]]
    if posted is not None:
        chosen = [_entered(posted, position, now) for position, now in enumerate(chosen)]
    return {
        "form": ReadingForm.of(made, posted),
        "problem": sample.problem,
        "columns": list(zip(sample.top.titles, chosen, strict=False)),
        "more_columns": len(sample.names) - len(chosen),
        "targets": _TARGETS,
        "rows": [(line, cells[:_MAPPED_COLUMNS], reason) for line, cells, reason in sample.rows()],
        "url": reverse("admin:campaigns_recipientimport_preview", args=[made.pk]),
    }


def _chosen(name: str) -> tuple[str, str]:
    """(target, name of the attribute)."""
    return (name, "") if name in ("", "email") else (_ATTRIBUTE, name)


def _entered(posted: Any, position: int, now: tuple[str, str]) -> tuple[str, str]:
    return posted.get(f"target_{position}", now[0]), posted.get(f"attribute_{position}", now[1])


def submit(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Read the file as the form says; then check it, or import it with `do=import`."""
    made = find(model_admin, request, pk)
    demand(request.user.has_perm("campaigns.add_recipient"))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        _submit(request, made)
    except CampaignError as exc:
        shown = preview(made, request.POST) if made.state in NOT_BEGUN else {}
        if "form" in shown:
            # Nothing that was entered is lost; and no numbers of a reading that is not the one in the fields.
            frame = {**model_admin.frame(request, made), "preview": {**shown, "problem": ""}, "error": str(exc)}
            return page(model_admin, request, model_admin.detail_template, original=made, **frame)
        messages.error(request, str(exc))
    return HttpResponseRedirect(reverse("admin:campaigns_recipientimport_change", args=[pk]))


def _submit(request: HttpRequest, made: RecipientImport) -> None:
    if made.state == ImportState.FAILED:
        services.begin_import(made, by=actor(request))
        return
    is_to_import, before = request.POST.get("do") == "import", Options(**made.options)
    reading = _reading(request, before)
    if reading != before.reading():
        services.edit_import(made, read_options(**reading), by=actor(request))
        if is_to_import:
            messages.info(request, "The columns were found anew: look at them, then import.")
        look(made)
        return
    sample = services.import_sample(made)
    wanted = _wanted(request, sample)
    if any(name != sample.names[position] for position, name in wanted.items()):
        mapping = {**before.mapping, **{column_key(sample.top, position): name for position, name in wanted.items()}}
        services.edit_import(made, read_options(**reading, mapping=mapping), by=actor(request))
    if is_to_import:
        services.begin_import(made, at_once=is_small(made), by=actor(request))
    else:
        look(made)


def look(made: RecipientImport) -> None:
    """Count what would happen: while the person waits if that is soon done, else by a task."""
    if not services.import_sample(made).problem:
        services.check_import(made, at_once=is_small(made))


def _reading(request: HttpRequest, before: Options) -> dict[str, Any]:
    """Fields that the form did not show are as before."""
    form = ReadingForm(request.POST)
    if not form.is_valid():
        raise ImportRefused(" ".join(str(text) for texts in form.errors.values() for text in texts))
    given = {name: value for name, value in form.cleaned_data.items() if name in request.POST}
    return read_options(**{**before.reading(), **given}).reading()


def _wanted(request: HttpRequest, sample: Sample) -> dict[int, str]:
    """What the person says that each column becomes, by its position."""
    wanted = {}
    for position in range(min(len(sample.names), _MAPPED_COLUMNS)):
        target = request.POST.get(f"target_{position}", sample.names[position])
        name = request.POST.get(f"attribute_{position}", "") if target == _ATTRIBUTE else target
        if target == _ATTRIBUTE and not name.strip():
            raise ImportRefused(f"Column {position + 1} becomes an attribute: write its name, or leave it out.")
        wanted[position] = name
    return wanted
