import datetime
from typing import Any, cast

from rest_framework import serializers

from campaigns.addresses import AddressError, parse_address
from campaigns.context import check_context
from campaigns.message import MessageError, Skeleton
from campaigns.models import Campaign, MailTransport, Recipient, Suppression
from campaigns.services import totals
from campaigns.services.preflight import Item
from campaigns.states import PreflightLevel, RecipientState, SuppressionReason, UnconfirmedPolicy
from templates_app.lines import one_line
from templates_app.models import EmailTemplate

_LATE = "launched no later than so long after its time, else it is a draft again"
# Only its form counts, when the answer address is looked at by itself.
_ANY_SENDER = "sender@example.com"


class NoFields(serializers.Serializer[Any]):
    """The body of a verb that needs none: empty, or {}."""


class _Campaigns(serializers.ListSerializer[Campaign]):
    """Looks up the recipients of all of them at once."""

    def to_representation(self, data: Any) -> list[Any]:
        rows, one = list(data), cast(CampaignSerializer, self.child)
        one.known = totals(rows)
        return super().to_representation(rows)


class CampaignSerializer(serializers.ModelSerializer[Campaign]):
    total = serializers.SerializerMethodField(help_text="recipients")
    known: dict[int, int] | None = None
    template_version = serializers.IntegerField(source="template_version.number", default=None, read_only=True)
    launched_by = serializers.CharField(source="launched_by.username", default=None, read_only=True)

    class Meta:
        model = Campaign
        list_serializer_class = _Campaigns
        fields = [
            *("id", "name", "state", "template", "template_version", "from_email", "reply_to", "context"),
            *("transport", "rate_per_minute", "unconfirmed", "scheduled_at", "timezone", "late_minutes"),
            *("track_opens", "track_clicks"),
            *("total", "trouble", "launched_by", "created_at", "launched_at", "finished_at"),
        ]

    def get_total(self, campaign: Campaign) -> int:
        found = totals([campaign]) if self.known is None else self.known
        return found[campaign.pk]


class EditCampaignSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200, validators=[one_line])
    template = serializers.PrimaryKeyRelatedField(
        queryset=EmailTemplate.objects.filter(archived_at=None),
        error_messages={"does_not_exist": "There is no template {pk_value}, or it is archived."},
    )
    from_email = serializers.CharField(max_length=320, help_text="address or “Name <address>”")
    reply_to = serializers.CharField(max_length=320, allow_blank=True, required=False)
    context = serializers.DictField(required=False, help_text="values for the template")  # type: ignore[assignment]
    transport = serializers.PrimaryKeyRelatedField(
        queryset=MailTransport.objects.all(), required=False, allow_null=True, help_text="null: by their priority"
    )
    rate_per_minute = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=1_000_000_000,
        help_text="mails at most, over all workers; null for no limit; can be changed until the campaign is over",
    )

    scheduled_at = serializers.DateTimeField(
        required=False,
        allow_null=True,
        help_text="when a launch takes place, once somebody asked for it; null: at once",
    )
    timezone = serializers.CharField(
        required=False, max_length=60, help_text="IANA name, such as Europe/Berlin: whose clocks tell of scheduled_at"
    )
    late_minutes = serializers.IntegerField(required=False, help_text=_LATE)
    track_opens = serializers.BooleanField(required=False, help_text="a tiny picture tells when a mail is opened")
    track_clicks = serializers.BooleanField(required=False, help_text="links go by way of this server")
    unconfirmed = serializers.ChoiceField(
        choices=UnconfirmedPolicy.choices,
        required=False,
        help_text="what becomes of mails of which nobody knows whether they arrived",
    )

    def validate_from_email(self, value: str) -> str:
        return _usable(value, "")

    def validate_context(self, value: dict[str, Any]) -> dict[str, Any]:
        try:
            check_context(value)
        except ValueError as exc:
            raise serializers.ValidationError(str(exc)) from None
        return value

    def validate_reply_to(self, value: str) -> str:
        _usable(_ANY_SENDER, value)
        return value


def _usable(sender: str, reply_to: str) -> str:
    try:
        Skeleton(sender, reply_to)
    except MessageError as exc:
        raise serializers.ValidationError(str(exc)) from None
    return sender


class _Shown(serializers.DateTimeField):
    """A time with or without an offset from UTC, kept as it was written."""

    def enforce_timezone(self, value: datetime.datetime) -> datetime.datetime:
        return value


class ScheduleCampaignSerializer(serializers.Serializer[Any]):
    at = _Shown(help_text="with an offset from UTC, or as the clocks of `timezone` show it")
    timezone = serializers.CharField(
        required=False, max_length=60, help_text="IANA name, such as Europe/Berlin; the campaign's if left out"
    )
    late_minutes = serializers.IntegerField(required=False, help_text=f"{_LATE}; the campaign's if left out")


class RetryFailedSerializer(serializers.Serializer[Any]):
    hard = serializers.BooleanField(default=False, help_text="also those a mail server refused for good")


class ChangedSerializer(serializers.Serializer[Any]):
    changed = serializers.IntegerField()
    skipped = serializers.IntegerField()


class PreflightItemSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="the subject, such as audience or sender")
    level = serializers.ChoiceField(choices=PreflightLevel.choices)
    message = serializers.CharField(help_text="what is the matter, and what to do")
    detail = serializers.CharField(help_text="more about it; may be empty")


class PreflightSerializer(serializers.Serializer[Any]):
    ready = serializers.BooleanField(help_text="whether nothing blocks the launch")
    problems = serializers.ListField(child=serializers.CharField(), help_text="the messages of what blocks it")
    items = PreflightItemSerializer(many=True, help_text="the whole checklist, what blocks first")

    def to_representation(self, items: list[Item]) -> dict[str, Any]:
        blocking = [item.message for item in items if item.level == PreflightLevel.BLOCK]
        return super().to_representation({"ready": not blocking, "problems": blocking, "items": items})


class StatusSerializer(serializers.Serializer[Any]):
    """How far a campaign has come; one number per state of its recipients."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    state = serializers.CharField()
    summary = serializers.CharField(help_text="such as “completed, 12 rejected, 3 unconfirmed”")
    total = serializers.IntegerField()
    rate_per_minute = serializers.IntegerField(help_text="mails tried in the last minutes; on average once it is over")
    rate_limit = serializers.IntegerField(allow_null=True, help_text="mails per minute at most")
    eta = serializers.DateTimeField(
        allow_null=True, help_text="null while it does not advance, or only deferred ones are left"
    )
    next_try_at = serializers.DateTimeField(allow_null=True, help_text="when the first of the deferred ones is due")
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    trouble = serializers.CharField(help_text="why sending does not advance now")

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), **{state.value: serializers.IntegerField() for state in RecipientState}}


class RecipientSerializer(serializers.ModelSerializer[Recipient]):
    class Meta:
        model = Recipient
        fields = [
            *("id", "campaign", "email", "name", "attributes", "state", "attempts", "code", "detail"),
            *("retry_at", "sent_at", "created_at"),
        ]


class UnseenRecipientSerializer(serializers.ModelSerializer[Recipient]):
    """For whoever may not see people."""

    class Meta:
        model = Recipient
        fields = ["id", "campaign", "state"]


class _AddressSerializer(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=320, help_text="the bare address")

    def validate_email(self, value: str) -> str:
        try:
            return parse_address(value).email
        except AddressError as exc:
            raise serializers.ValidationError(f"This address cannot be mailed: {exc.reason}.") from None


class AddRecipientSerializer(_AddressSerializer):
    name = serializers.CharField(max_length=320, allow_blank=True, default="")
    attributes = serializers.DictField(default=dict, help_text="values for the template")


class EditRecipientSerializer(AddRecipientSerializer):
    """What is left out stays; `attributes` are replaced as a whole."""


class SuppressionSerializer(serializers.ModelSerializer[Suppression]):
    class Meta:
        model = Suppression
        fields = ["id", "email", "reason", "source", "campaign", "created_at"]


class EditSuppressionSerializer(serializers.Serializer[Any]):
    reason = serializers.ChoiceField(choices=SuppressionReason.choices, default=SuppressionReason.MANUAL)
    source = serializers.CharField(max_length=200, allow_blank=True, default="", help_text="where it came from")  # type: ignore[assignment]


class SuppressSerializer(_AddressSerializer, EditSuppressionSerializer):
    """An address, and why it is never mailed."""
