import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from campaigns.addresses import AddressError, parse_address
from campaigns.context import check_context
from campaigns.message import MessageError, Skeleton
from campaigns.models import Campaign, MailTransport, Recipient, RecipientImport, Suppression
from campaigns.services.preflight import Item
from campaigns.services.report import NUMBERS
from campaigns.states import PreflightLevel, RecipientState, SuppressionReason, UnconfirmedPolicy
from templates_app.lines import one_line
from templates_app.models import EmailTemplate

SHOWN_ERRORS = 100
# Only its form counts, when the answer address is looked at by itself.
_ANY_SENDER = "sender@example.com"


class NoFields(serializers.Serializer[Any]):
    """The body of a verb that needs none: empty, or {}."""


class CampaignSerializer(serializers.ModelSerializer[Campaign]):
    template_version = serializers.IntegerField(source="template_version.number", default=None, read_only=True)
    launched_by = serializers.CharField(source="launched_by.username", default=None, read_only=True)

    class Meta:
        model = Campaign
        fields = [
            *("id", "name", "state", "template", "template_version", "from_email", "reply_to", "context"),
            *("transport", "rate_per_minute", "unconfirmed", "scheduled_at", "late_minutes"),
            *("track_opens", "track_clicks"),
            *("total", "trouble", "launched_by", "created_at", "launched_at", "finished_at"),
        ]


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
    timezone = serializers.CharField(default="UTC", max_length=60, help_text="IANA name, such as Europe/Berlin")
    late_minutes = serializers.IntegerField(
        default=60, help_text="launched no later than so long after that, else it is a draft again"
    )


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


@extend_schema_field(
    {
        "oneOf": [
            {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
            {"type": "string", "description": "the same as text, for forms and queries"},
        ]
    }
)
class MappingField(serializers.Field[Any, Any, Any, Any]):
    """An object, or its JSON text where a request can hold text only; `read_options` checks it."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class ReadingSerializer(serializers.Serializer[Any]):
    """How a file shall be read; what is left out is found."""

    delimiter = serializers.CharField(default="", allow_blank=True, help_text="comma, semicolon, tab or pipe")
    encoding = serializers.CharField(default="", allow_blank=True, help_text="such as utf-8 or windows-1252")
    header = serializers.BooleanField(
        default=None, allow_null=True, help_text="whether the first line names the columns; without, they are 1, 2, …"
    )
    sheet = serializers.CharField(default="", allow_blank=True, help_text="of a workbook; the first one if left out")
    mapping = MappingField(
        default=None, allow_null=True, help_text='column → email, name, an attribute or null: {"Mail": "email"}'
    )


class DryRunSerializer(serializers.Serializer[Any]):
    dry_run = serializers.BooleanField(default=False, help_text="say what would happen, write nothing")


class BulkQuerySerializer(ReadingSerializer, DryRunSerializer):
    """How a file shall be read, and whether it is only looked at."""


class BulkFormSerializer(BulkQuerySerializer):
    """The same as fields of a form."""

    file = serializers.FileField(help_text="CSV, TSV or XLSX")


class RejectedSerializer(serializers.Serializer[Any]):
    line = serializers.IntegerField(help_text="of the file, whose header is 1; or place in the list")
    email = serializers.CharField()
    reason = serializers.CharField()


class ImportReportSerializer(serializers.Serializer[Any]):
    records = serializers.IntegerField()
    created = serializers.IntegerField()
    duplicates = serializers.IntegerField(help_text="the same address earlier in the file")
    existing = serializers.IntegerField(help_text="already in the campaign before")
    invalid = serializers.IntegerField()
    suppressed = serializers.IntegerField(help_text="of the created: on the suppression list, never mailed")
    blank = serializers.IntegerField(help_text="blank lines")
    found = serializers.DictField(help_text="how the file was read: kind, encoding, delimiter, sheet, columns, notes")
    errors = serializers.SerializerMethodField(help_text=f"the first {SHOWN_ERRORS}")  # type: ignore[assignment]

    def get_errors(self, report: Any) -> list[dict[str, Any]]:
        return list(RejectedSerializer(report.rejected[:SHOWN_ERRORS], many=True).data)


class SuppressionReportSerializer(ImportReportSerializer):
    """`created` are the addresses put on the list."""

    suppressed = None  # type: ignore[assignment]


class StartImportSerializer(ReadingSerializer):
    """A file, and how it shall be read."""

    file = serializers.FileField(help_text="CSV, TSV or XLSX")
    start = serializers.BooleanField(
        default=True, help_text="false: only keep it, to be looked at, checked and started later"
    )


class SampleRowSerializer(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    cells = serializers.ListField(child=serializers.CharField())
    reason = serializers.CharField(help_text="what is wrong with the line, or empty")


class SampleSerializer(serializers.Serializer[Any]):
    """The first rows of a file, and what its columns become."""

    columns = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField()), help_text="[of the file, what it becomes]"
    )
    problem = serializers.CharField(help_text="why it cannot be imported so, or empty")
    rows = SampleRowSerializer(many=True)


class CheckedSerializer(serializers.Serializer[Any]):
    """The numbers of the last check, and the first rejected rows."""

    rejected = serializers.SerializerMethodField()

    def get_fields(self) -> dict[str, Any]:
        return {**{name: serializers.IntegerField() for name in NUMBERS}, **super().get_fields()}

    @extend_schema_field(RejectedSerializer(many=True))
    def get_rejected(self, checked: dict[str, Any]) -> list[dict[str, Any]]:
        return [dict(zip(("line", "email", "reason"), row, strict=True)) for row in checked["rejected"]]


class ImportSerializer(serializers.ModelSerializer[RecipientImport]):
    checked = CheckedSerializer(read_only=True, allow_null=True)
    percent = serializers.IntegerField(read_only=True, allow_null=True, help_text="of the file that was read")
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True)

    class Meta:
        model = RecipientImport
        fields = [
            *(
                "id",
                "campaign",
                "filename",
                "state",
                "size",
                "percent",
                "checked",
                "error",
                "records",
                "created",
                "duplicates",
                "existing",
                "invalid",
                "suppressed",
            ),
            *("blank", "found", "created_by", "created_at", "started_at", "finished_at"),
        ]


class SuppressionSerializer(serializers.ModelSerializer[Suppression]):
    class Meta:
        model = Suppression
        fields = ["id", "email", "reason", "source", "campaign", "created_at"]


class EditSuppressionSerializer(serializers.Serializer[Any]):
    reason = serializers.ChoiceField(choices=SuppressionReason.choices, default=SuppressionReason.MANUAL)
    source = serializers.CharField(max_length=200, allow_blank=True, default="", help_text="where it came from")  # type: ignore[assignment]


class SuppressSerializer(_AddressSerializer, EditSuppressionSerializer):
    """An address, and why it is never mailed."""


class SuppressionListSerializer(ReadingSerializer, DryRunSerializer, EditSuppressionSerializer):
    """How a list of addresses is read, and what they are where it does not say so itself."""


class SuppressionFormSerializer(SuppressionListSerializer):
    """The same as fields of a form."""

    file = serializers.FileField(help_text="CSV, TSV or XLSX")
