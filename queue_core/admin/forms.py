import json
from typing import Any

from django import forms
from unfold import widgets

from queue_core import conf, registry
from queue_core.services.submit import PRIORITIES


def as_object(text: str) -> dict[str, Any]:
    """A JSON object that a person typed; ValidationError says what to correct."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise forms.ValidationError(f"This is not JSON ({error}); correct it.") from None
    if not isinstance(value, dict):
        raise forms.ValidationError('Write one JSON object, such as {"name": "Ada"}.')
    return value


def as_text(value: Any) -> str:
    """JSON as a person reads and writes it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


class SubmitForm(forms.Form):
    """A task to submit. What is left blank is as the task itself says."""

    name = forms.ChoiceField(
        label="Task",
        choices=lambda: [(name, name) for name in registry.names()],
        widget=widgets.UnfoldAdminSelectWidget,
    )
    payload = forms.CharField(
        label="Payload (JSON)",
        initial="{}",
        required=False,
        strip=False,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 6, "class": "ph-source", "spellcheck": "false"}),
        help_text="The arguments of the task, as one object.",
    )
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

    def clean_payload(self) -> dict[str, Any]:
        return as_object(self.cleaned_data["payload"])

    def options(self) -> dict[str, Any]:
        """What was filled in, as `services.submit` takes it."""
        given = {field: self.cleaned_data[field] for field in ("queue", "priority", "run_at", "unique_key")}
        return {field: value for field, value in given.items() if value not in ("", None)}
