"""Form fields for a payload, made from its task's schema; what has no field of its own is written as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from unfold import widgets

from queue_core.registry import TaskType

PREFIX = "payload."
_NUMBERS = {"integer": forms.IntegerField, "number": forms.FloatField}


class JsonValue(forms.CharField):
    """Any JSON value, typed by a person."""

    def __init__(self, **options: Any) -> None:
        attrs = {"rows": 3, "class": "ph-source", "spellcheck": "false"}
        super().__init__(strip=False, widget=widgets.UnfoldAdminTextareaWidget(attrs=attrs), **options)

    def to_python(self, value: Any) -> Any:
        if value in self.empty_values:
            return None
        try:
            return json.loads(value)
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(f"This is not JSON ({error}); correct it.") from None


def fields_for(task_type: TaskType) -> dict[str, forms.Field]:
    """A field per property of the payload, by name; empty when only JSON will do."""
    document = task_type.schema.document if task_type.schema and not task_type.schema.fault else {}
    properties, required = document.get("properties"), document.get("required", ())
    if not isinstance(properties, dict):
        return {}
    return {PREFIX + name: _field(name, rule, name in required) for name, rule in properties.items()}


def _field(name: str, rule: Any, is_required: bool) -> forms.Field:
    rule = rule if isinstance(rule, dict) else {}
    kind, default = rule.get("type"), rule.get("default")
    kinds = [part for part in (kind if isinstance(kind, list) else [kind]) if part != "null"]
    only = kinds[0] if len(kinds) == 1 else None
    options: dict[str, Any] = {"label": name, "required": is_required, "help_text": _help(rule, is_required)}
    if isinstance(rule.get("enum"), list):
        return _choice(rule["enum"], is_required, options)
    if only == "boolean":
        return _choice([True, False], is_required, options)
    if only in _NUMBERS:
        return _NUMBERS[only](widget=widgets.UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}), **options)
    if only == "string":
        return forms.CharField(strip=False, widget=widgets.UnfoldAdminTextInputWidget, **options)
    return JsonValue(**{**options, "label": f"{name} (JSON)"}, initial=None if default is None else json.dumps(default))


def _choice(values: list[Any], is_required: bool, options: dict[str, Any]) -> forms.Field:
    blank = [] if is_required else [("", "Left out")]
    choices = [
        *blank,
        *((json.dumps(value), value if isinstance(value, str) else json.dumps(value)) for value in values),
    ]
    return forms.TypedChoiceField(
        choices=choices, coerce=json.loads, empty_value=None, widget=widgets.UnfoldAdminSelectWidget, **options
    )


def _help(rule: Mapping[str, Any], is_required: bool) -> str:
    told = str(rule.get("description", ""))
    if is_required:
        return told
    default = json.dumps(rule["default"], ensure_ascii=False) if "default" in rule else "left out"
    return f"{told} Blank: {default}.".strip()


def payload_of(cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """The payload that was filled in; what is blank is left out."""
    return {
        name.removeprefix(PREFIX): value
        for name, value in cleaned.items()
        if name.startswith(PREFIX) and value is not None and value != ""
    }
