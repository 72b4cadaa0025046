"""Lists of people and of suppressions: how a file is read, and what became of its rows."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from campaigns.api.serializers import EditSuppressionSerializer
from campaigns.models import RecipientImport
from campaigns.services.report import NUMBERS

SHOWN_ERRORS = 100


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
    sheet = serializers.CharField(
        default="", allow_blank=True, help_text="of a workbook; the first one that is shown if left out"
    )
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


class SuppressionListSerializer(ReadingSerializer, DryRunSerializer, EditSuppressionSerializer):
    """How a list of addresses is read, and what they are where it does not say so itself."""


class SuppressionFormSerializer(SuppressionListSerializer):
    """The same as fields of a form."""

    file = serializers.FileField(help_text="CSV, TSV or XLSX")
