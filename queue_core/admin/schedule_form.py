import json
from typing import Any

from django import forms
from unfold import widgets

from queue_core import conf, registry
from queue_core.admin.forms import as_object
from queue_core.cron import MAX_LENGTH, zones
from queue_core.models import Schedule
from queue_core.services import InvalidSchedule
from queue_core.services.save_schedule import FIELDS
from queue_core.services.submit import PRIORITIES
from queue_core.states import Missed, Overlap, Rhythm

_KIND_LABELS = [(Rhythm.CRON, "Cron expression"), (Rhythm.INTERVAL, "Interval")]


class ScheduleForm(forms.Form):
    """What a person says about a schedule; `save_schedule` judges it."""

    name = forms.CharField(max_length=200, widget=widgets.UnfoldAdminTextInputWidget)
    task = forms.ChoiceField(
        choices=lambda: [(name, name) for name in registry.offered()], widget=widgets.UnfoldAdminSelectWidget
    )
    payload = forms.CharField(
        label="Payload (JSON)",
        initial="{}",
        required=False,
        strip=False,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 4, "class": "ph-source", "spellcheck": "false"}),
        help_text="The arguments of each task, as one object.",
    )
    kind = forms.ChoiceField(label="Rhythm", choices=_KIND_LABELS, widget=widgets.UnfoldAdminSelectWidget)
    expression = forms.CharField(
        label="Cron expression",
        required=False,
        max_length=MAX_LENGTH,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"spellcheck": "false"}),
        help_text="minute hour day-of-month month day-of-week, such as 30 2 * * 1-5; with a sixth field in front, the "
        "second; or @hourly @daily @weekly @monthly @yearly.",
    )
    timezone = forms.ChoiceField(
        label="Time zone",
        initial="UTC",
        choices=lambda: [(name, name) for name in sorted(zones())],
        widget=widgets.UnfoldAdminSelectWidget,
        help_text="The clock a cron expression is read on.",
    )
    interval_seconds = forms.IntegerField(
        label="Interval in seconds", required=False, widget=widgets.UnfoldAdminIntegerFieldWidget
    )
    starts_at = forms.DateTimeField(
        label="Starts",
        required=False,
        widget=forms.DateTimeInput(
            format="%Y-%m-%dT%H:%M:%S",
            attrs={"type": "datetime-local", "step": 1, "class": " ".join(widgets.INPUT_CLASSES)},
        ),
        help_text="No run before it, and an interval is counted from it. Blank: now.",
    )
    missed = forms.ChoiceField(
        label="Missed runs",
        initial=Missed.ONCE,
        choices=Missed.choices,
        widget=widgets.UnfoldAdminSelectWidget,
        help_text="What to do about times at which nobody ticked.",
    )
    overlap = forms.ChoiceField(
        initial=Overlap.SKIP,
        choices=Overlap.choices,
        widget=widgets.UnfoldAdminSelectWidget,
        help_text="What to do when the run before is not over.",
    )
    jitter_seconds = forms.IntegerField(
        label="Jitter in seconds",
        initial=0,
        widget=widgets.UnfoldAdminIntegerFieldWidget,
        help_text="Each run starts up to so much later. Less than the time between two runs.",
    )
    queue = forms.ChoiceField(
        required=False,
        choices=lambda: [("", "The task's own"), *((name, name) for name in conf.queues())],
        widget=widgets.UnfoldAdminSelectWidget,
    )
    priority = forms.IntegerField(
        required=False,
        widget=widgets.UnfoldAdminIntegerFieldWidget,
        help_text=f"{PRIORITIES[0]} to {PRIORITIES[-1]}; a higher one is taken first. Blank: the task's own.",
    )
    max_attempts = forms.IntegerField(
        required=False, widget=widgets.UnfoldAdminIntegerFieldWidget, help_text="Blank: the task's own."
    )

    def clean_payload(self) -> dict[str, Any]:
        return as_object(self.cleaned_data["payload"])

    def values(self) -> dict[str, Any]:
        """As `services.save_schedule` takes them."""
        given = {**self.cleaned_data, "queue": self.cleaned_data["queue"] or None}
        return {field: value for field, value in given.items() if field != "starts_at" or value}

    def refuse(self, error: InvalidSchedule) -> None:
        """Show what to correct at its field."""
        for field, reasons in error.errors.items():
            self.add_error(field, reasons)


def initial_of(schedule: Schedule) -> dict[str, Any]:
    return {
        **{field: getattr(schedule, field) for field in FIELDS},
        "payload": json.dumps(schedule.payload, indent=2, ensure_ascii=False),
    }
