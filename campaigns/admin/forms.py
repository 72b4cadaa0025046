import json
from typing import Any

from django import forms
from unfold import widgets

from campaigns import services
from campaigns.addresses import AddressError, parse_address
from campaigns.admin.by_verb import VerbForm
from campaigns.context import check_context
from campaigns.errors import ScheduleRefused
from campaigns.message import MessageError, Skeleton
from campaigns.models import Campaign, Suppression
from campaigns.services.schedule_campaign import LATE_MINUTES
from campaigns.states import SuppressionReason
from campaigns.wall_clock import at_wall_clock, zones
from queue_core.admin.forms import as_object
from templates_app.lines import one_line
from templates_app.models import EmailTemplate

RATE_MAX = 1_000_000_000


class CampaignForm(VerbForm):
    """What a draft says; the audience is imported. `revision` is what it said when it was shown."""

    revision = forms.CharField(required=False, widget=forms.HiddenInput)
    context = forms.CharField(
        label="Context (JSON)",
        required=False,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 5, "class": "ph-source", "spellcheck": "false"}),
        help_text='Values for the template beside the recipient\'s own, such as {"season": "autumn"}.',
    )

    class Meta:
        model = Campaign
        fields = [
            "name",
            "template",
            "from_email",
            "reply_to",
            "transport",
            "rate_per_minute",
            "unconfirmed",
            "track_opens",
            "track_clicks",
            "context",
        ]
        labels = {"from_email": "From", "reply_to": "Replies to", "unconfirmed": "Unconfirmed mails"}
        # Django takes help texts for HTML.
        help_texts = {
            "from_email": "An address, or “Name &lt;address&gt;”.",
            "reply_to": "Blank: the sender.",
            "transport": "Blank: the transports by their priority.",
            "rate_per_minute": "Mails at most, over all workers; can be changed while it is sent. Blank: no limit.",
            "unconfirmed": "Those whose sender was lost in the moment that decides: nobody knows whether they arrived.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = EmailTemplate.objects.filter(archived_at=None).order_by("name")
        self.fields["template"].queryset = offered  # type: ignore[attr-defined]
        self.fields["name"].validators.append(one_line)
        self.initial["revision"] = services.revision_of(self.instance) if self.instance.pk else ""
        self.initial["context"] = json.dumps(self.instance.context, indent=2, ensure_ascii=False)

    def clean_rate_per_minute(self) -> int | None:
        rate: int | None = self.cleaned_data["rate_per_minute"]
        if rate is not None and not 1 <= rate <= RATE_MAX:
            raise forms.ValidationError(f"Write a number from 1 to {RATE_MAX}, or leave it blank for no limit.")
        return rate

    def clean_from_email(self) -> str:
        return _checked(self.cleaned_data["from_email"], "")

    def clean_reply_to(self) -> str:
        reply_to = self.cleaned_data["reply_to"]
        _checked("checked@example.com", reply_to)
        return str(reply_to)

    def clean_context(self) -> dict[str, Any]:
        given = as_object(self.cleaned_data["context"])
        try:
            check_context(given)
        except ValueError as exc:
            raise forms.ValidationError(str(exc)) from None
        return given

    def store(self) -> Campaign:
        values = dict(self.cleaned_data)
        revision = values.pop("revision")
        if not self.instance.pk:
            return services.create_campaign(**values, by=self.by)
        changed = {name: values[name] for name in self.changed_data if name in values}
        return services.edit_campaign(self.instance, revision=revision or None, **changed, by=self.by)


def _checked(sender: str, reply_to: str) -> str:
    try:
        Skeleton(sender, reply_to)
    except MessageError as exc:
        raise forms.ValidationError(str(exc)) from None
    return sender


class ScheduleForm(forms.Form):
    """When a campaign shall be launched."""

    at = forms.DateTimeField(
        label="Launch at",
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"],
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
    )
    timezone = forms.ChoiceField(
        label="Time zone",
        choices=lambda: [(name, name) for name in sorted(zones())],
        widget=widgets.UnfoldAdminSelectWidget,
        help_text="On the night when clocks go back, the first of the two.",
    )
    late_minutes = forms.IntegerField(
        label="Not later than, minutes",
        initial=60,
        min_value=1,
        max_value=LATE_MINUTES[-1],
        widget=widgets.UnfoldAdminIntegerFieldWidget,
        help_text="If no worker gets to it in time it is a draft again, instead of going out at the wrong hour.",
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if "at" in given and "timezone" in given:
            try:
                # Django took it for the server's own zone.
                given["moment"] = at_wall_clock(given["at"].replace(tzinfo=None), given["timezone"])
            except ScheduleRefused as exc:
                self.add_error("at", str(exc))
        return given


class DuplicateForm(forms.Form):
    """What a copy of a campaign is called, and whether it goes to the same people."""

    name = forms.CharField(max_length=200, widget=widgets.UnfoldAdminTextInputWidget)
    recipients = forms.BooleanField(
        label="To the same people: none of them mailed yet, suppressed as the list says now",
        required=False,
        widget=widgets.UnfoldBooleanWidget,
    )


class RateForm(forms.Form):
    """How fast a campaign may be sent."""

    rate_per_minute = forms.IntegerField(
        label="Mails per minute",
        required=False,
        min_value=1,
        max_value=RATE_MAX,
        widget=widgets.UnfoldAdminIntegerFieldWidget,
        help_text="At most, over all workers. Blank: no limit.",
    )


class RetryForm(forms.Form):
    """Whether those refused for good are mailed again too."""

    hard = forms.BooleanField(
        label="Also those whom a mail server refused for good",
        required=False,
        widget=widgets.UnfoldBooleanWidget,
        help_text="Their address does not exist, most of the time; many of these harm the name of the sender.",
    )


class RecipientForm(forms.Form):
    """Who somebody in a draft is."""

    email = forms.CharField(label="Address", max_length=320, widget=widgets.UnfoldAdminTextInputWidget)
    name = forms.CharField(required=False, max_length=320, widget=widgets.UnfoldAdminTextInputWidget)
    attributes = forms.CharField(
        label="Attributes (JSON)",
        required=False,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 10, "class": "ph-source", "spellcheck": "false"}),
        help_text='What the template sees as recipient.…, such as {"city": "Bonn"}.',
    )

    def clean_attributes(self) -> dict[str, Any]:
        return as_object(self.cleaned_data["attributes"])


class ImportForm(forms.Form):
    """A file of recipients."""

    file = forms.FileField(
        label="File",
        widget=widgets.UnfoldAdminFileFieldWidget,
        help_text="CSV, TSV or XLSX. You see its first rows and what would happen before anything is imported.",
    )


class SuppressionListForm(forms.Form):
    """A file of addresses that shall never be mailed."""

    file = forms.FileField(
        label="File",
        widget=widgets.UnfoldAdminFileFieldWidget,
        help_text="CSV, TSV or XLSX; one column holds the addresses. Columns “reason” and “source” are obeyed.",
    )
    reason = forms.ChoiceField(
        choices=SuppressionReason.choices,
        initial=SuppressionReason.MANUAL,
        widget=widgets.UnfoldAdminSelectWidget,
        help_text="Where the file does not say.",
    )
    source = forms.CharField(
        required=False,
        max_length=200,
        widget=widgets.UnfoldAdminTextInputWidget,
        help_text="Where it came from, such as the tool they were exported from.",
    )
    dry_run = forms.BooleanField(
        label="Only check: say what would happen, write nothing",
        required=False,
        widget=widgets.UnfoldBooleanWidget,
    )


class SuppressionForm(forms.ModelForm):  # type: ignore[type-arg]
    """An address that shall never be mailed."""

    class Meta:
        model = Suppression
        fields = ["email", "reason", "source"]

    def clean_email(self) -> str:
        try:
            address = parse_address(self.cleaned_data["email"])
        except AddressError as exc:
            raise forms.ValidationError(f"This address cannot be mailed: {exc.reason}. Correct it.") from None
        if Suppression.objects.filter(key=address.key).exists():
            raise forms.ValidationError("This address is on the list already: nothing to add.")
        return address.email
