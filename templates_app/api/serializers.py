from collections.abc import Iterable
from typing import Any

from rest_framework import serializers
from rest_framework.validators import UniqueValidator

from templates_app.errors import InvalidTemplate
from templates_app.lines import one_line
from templates_app.models import EmailTemplate, TemplateFormat, TemplateVersion
from templates_app.rendering import Content, compile_version, content_of
from templates_app.services import Finding
from templates_app.variables import Variable


class TemplateSummarySerializer(serializers.ModelSerializer[EmailTemplate]):
    """A template in a list: no bodies, they can be large."""

    version = serializers.IntegerField(source="current_version.number", read_only=True)
    subject = serializers.CharField(source="current_version.subject", read_only=True)

    class Meta:
        model = EmailTemplate
        fields = ["id", "name", "description", "version", "subject", "archived_at", "created_at", "updated_at"]


class TemplateSerializer(TemplateSummarySerializer):
    html = serializers.CharField(source="current_version.html", read_only=True)
    text = serializers.CharField(source="current_version.text", read_only=True)
    format = serializers.ChoiceField(TemplateFormat.choices, source="current_version.format", read_only=True)
    inline_css = serializers.BooleanField(source="current_version.inline_css", read_only=True)
    variables = serializers.SerializerMethodField()

    class Meta(TemplateSummarySerializer.Meta):
        fields = [*TemplateSummarySerializer.Meta.fields, "html", "text", "format", "inline_css", "variables"]

    def get_variables(self, template: EmailTemplate) -> list[dict[str, Any]]:
        return variables_of(template.version)


class ContentSerializer(serializers.Serializer[Content]):
    """The three parts; any of them may stay out where `partial`."""

    subject = serializers.CharField(trim_whitespace=False, validators=[one_line])
    html = serializers.CharField(trim_whitespace=False)
    text = serializers.CharField(trim_whitespace=False, allow_blank=True, default="")
    format = serializers.ChoiceField(TemplateFormat.choices, default=TemplateFormat.HTML)
    inline_css = serializers.BooleanField(default=True, help_text="Move the rules of <style> into the tags.")


class CreateTemplateSerializer(ContentSerializer):
    name = serializers.CharField(
        max_length=200,
        validators=[
            one_line,
            UniqueValidator(EmailTemplate.objects.all(), message="A template with this name exists; choose another."),
        ],
    )
    description = serializers.CharField(allow_blank=True, default="")
    note = serializers.CharField(max_length=200, allow_blank=True, default="")


class EditTemplateSerializer(CreateTemplateSerializer):
    archived = serializers.BooleanField(required=False, help_text="false takes it back out of the archive")

    def to_representation(self, template: EmailTemplate) -> dict[str, Any]:  # type: ignore[override]  # what is edited
        """What the form of the browsable page begins with: what may be changed, as it is now."""
        current = content_of(template.version)._asdict()
        return {"name": template.name, "description": template.description, **current, "note": ""}


class RestoreSerializer(serializers.Serializer[Any]):
    note = serializers.CharField(
        max_length=200, allow_blank=True, default="", help_text="of the new version; blank: which one was restored"
    )


class PreviewSerializer(serializers.Serializer[Any]):
    context = serializers.DictField(default=dict)  # type: ignore[assignment]  # also the name of DRF's own
    lenient = serializers.BooleanField(default=False)


class VersionSerializer(serializers.ModelSerializer[TemplateVersion]):
    author = serializers.CharField(source="author.username", default=None, read_only=True)

    class Meta:
        model = TemplateVersion
        fields = ["number", "subject", "note", "author", "created_at"]


class VersionDetailSerializer(VersionSerializer):
    variables = serializers.SerializerMethodField()

    class Meta(VersionSerializer.Meta):
        fields = [*VersionSerializer.Meta.fields, "html", "text", "format", "inline_css", "variables"]

    def get_variables(self, version: TemplateVersion) -> list[dict[str, Any]]:
        return variables_of(version)


def variables_of(version: TemplateVersion) -> list[dict[str, Any]]:
    """None for a version written before a rule it breaks: it is shown all the same."""
    try:
        return listed(compile_version(version).variables)
    except InvalidTemplate:
        return []


def listed(variables: Iterable[Variable]) -> list[dict[str, Any]]:
    shown = ("required", "conditional", "default", "sample")
    return [{"name": one.path, **{key: getattr(one, key) for key in shown}} for one in variables]


def by_part(findings: Iterable[Finding]) -> dict[str, list[str]]:
    """The errors as `{"html": ["line 3: …"]}`."""
    errors: dict[str, list[str]] = {}
    for finding in findings:
        if finding.level == "error":
            line = f"line {finding.line}: " if finding.line else ""
            errors.setdefault(finding.part, []).append(f"{line}{finding.message}")
    return errors
