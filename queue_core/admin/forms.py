import json
from typing import Any

from django import forms
from unfold import widgets

from queue_core import conf, registry
from queue_core.admin.payload_fields import PREFIX, fields_for, payload_of
from queue_core.errors import InvalidPayload, QueueError
from queue_core.json_text import JsonRefused, read_json
from queue_core.services.submit import PRIORITIES


def as_object(text: str) -> dict[str, Any]:
    """A JSON object that a person typed, as the API would take it; ValidationError says what to correct."""
    try:
        value = read_json(text or "{}")
    except JsonRefused as error:
        raise forms.ValidationError(str(error)) from None
    if not isinstance(value, dict):
        raise forms.ValidationError('Write one JSON object, such as {"name": "Ada"}.')
    return value


def as_text(value: Any) -> str:
    """JSON as a person reads and writes it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def raw_payload(help_text: str, *, rows: int = 8, initial: str | None = None) -> forms.CharField:
    """A field for a whole payload; `as_object` reads it."""
    return forms.CharField(
        label="Payload (JSON)",
        initial=initial,
        required=False,
        strip=False,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": rows, "class": "ph-source", "spellcheck": "false"}),
        help_text=help_text,
    )


class ChooseForm(forms.Form):
    """Which task to submit."""

    name = forms.ChoiceField(
        label="Task",
        choices=lambda: [(name, name) for name in registry.offered()],
        widget=widgets.UnfoldAdminSelectWidget,
    )


class SubmitForm(ChooseForm):
    """A task to submit. What is left blank is as the task itself says.

    With `by_field` the payload has a field for each property of the task's schema, else one for the whole as JSON.
    """

    payload = raw_payload("The arguments of the task, as one object.", rows=6, initial="{}")
    queue = forms.ChoiceField(
        required=False,
        choices=lambda: [("", "The task's own"), *((name, name) for name in conf.queues())],
        widget=widgets.UnfoldAdminSelectWidget,
    )
    priority = forms.IntegerField(
        required=False,
        min_value=PRIORITIES[0],
        max_value=PRIORITIES[-1],
        widget=widgets.UnfoldAdminIntegerFieldWidget,
        help_text=f"{PRIORITIES[0]} to {PRIORITIES[-1]}; a higher one is taken first. Blank: the task's own.",
    )
    run_at = forms.DateTimeField(
        label="Not before",
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"type": "datetime-local", "step": 1}),
        help_text="Blank: at once.",
    )
    unique_key = forms.CharField(
        required=False,
        max_length=200,
        widget=widgets.UnfoldAdminTextInputWidget,
        help_text="While a task of this name with this key is not finished, no second one is made.",
    )

    def __init__(self, *args: Any, by_field: registry.TaskType | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if by_field:
            self.fields["name"].widget = forms.HiddenInput()
            options = {name: self.fields.pop(name) for name in list(self.fields) if name != "name"}
            options.pop("payload")
            self.fields |= fields_for(by_field) | options

    def clean_payload(self) -> dict[str, Any]:
        return as_object(self.cleaned_data["payload"])

    def payload_given(self) -> dict[str, Any]:
        given: dict[str, Any] = self.cleaned_data.get("payload") or payload_of(self.cleaned_data)
        return given

    def refuse(self, error: QueueError) -> None:
        """Show what to correct at its field."""
        if isinstance(error, InvalidPayload) and "payload" not in self.fields:
            for path, reason in error.reasons:
                field = PREFIX + path.partition(".")[0]
                self.add_error(field if field in self.fields else None, f"{path}: {reason}" if path else reason)
        else:
            self.add_error(getattr(error, "field", None), str(error))

    def options(self) -> dict[str, Any]:
        """What was filled in, as `services.submit` takes it."""
        given = {field: self.cleaned_data[field] for field in ("queue", "priority", "run_at", "unique_key")}
        return {field: value for field, value in given.items() if value not in ("", None)}
