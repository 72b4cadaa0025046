import json
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from templates_app.errors import InvalidTemplate
from templates_app.lines import one_line
from templates_app.models import EmailTemplate, TemplateFormat
from templates_app.rendering import PARTS, Content, compile_content, content_of


def _source(rows: int) -> forms.Widget:
    widget: forms.Widget = UnfoldAdminTextareaWidget(
        attrs={"rows": rows, "class": "template-source", "spellcheck": "false"}
    )
    return widget


class TemplateForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A template together with what its current version says."""

    name = forms.CharField(max_length=200, validators=[one_line], widget=UnfoldAdminTextInputWidget)
    subject = forms.CharField(validators=[one_line], widget=UnfoldAdminTextInputWidget)
    html = forms.CharField(label="HTML or MJML", strip=False, widget=_source(24))
    text = forms.CharField(
        required=False, strip=False, widget=_source(10), help_text="Leave blank to make it from the HTML of each mail."
    )
    format = forms.ChoiceField(
        choices=TemplateFormat.choices,
        initial=TemplateFormat.HTML,
        widget=UnfoldAdminSelectWidget,
        help_text="MJML is compiled to HTML that every mail program shows alike.",
    )
    inline_css = forms.BooleanField(
        label="Move styles into the tags",
        required=False,
        initial=True,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Some mail programs ignore style sheets. Rules for @media and in {% if %} stay in theirs.",
    )
    note = forms.CharField(
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="What this version changes; shown in the history.",
    )

    class Meta:
        model = EmailTemplate
        fields = ["name", "description"]
        widgets = {"description": UnfoldAdminTextareaWidget(attrs={"rows": 2})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial.update(content_of(self.instance.version)._asdict())

    def content(self) -> Content:
        """The parts as given; browsers send CRLF, versions hold LF."""
        given = self.cleaned_data
        subject, html, text = (given[part].replace("\r\n", "\n") for part in PARTS)
        return Content(subject, html, text, given["format"], given["inline_css"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if all(part in cleaned for part in Content._fields):
            try:
                compile_content(self.content())
            except InvalidTemplate as error:
                for part, messages in error.by_part().items():
                    self.add_error(part, messages)
        return cleaned


class PreviewForm(forms.Form):
    """Sample values for a preview, as JSON."""

    context = forms.CharField(label="Sample values (JSON)", widget=_source(12))

    def clean_context(self) -> dict[str, Any]:
        try:
            context = json.loads(self.cleaned_data["context"])
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(f"This is not JSON ({error}); correct it.") from None
        if not isinstance(context, dict):
            raise forms.ValidationError('Write one JSON object, such as {"recipient": {"name": "Ada"}}.')
        return context
