from typing import Any

from django.contrib.admin.models import ACTION_FLAG_CHOICES, LogEntry
from django.db.models import QuerySet
from django_filters import rest_framework as filters
from rest_framework import mixins, serializers
from rest_framework.viewsets import GenericViewSet

DOORS = ("admin", "api")


class AuditSerializer(serializers.ModelSerializer[LogEntry]):
    at = serializers.DateTimeField(source="action_time", read_only=True)
    user = serializers.CharField(source="user.get_username", read_only=True)
    door = serializers.SerializerMethodField(help_text="admin or api; empty for what the admin itself wrote")
    what = serializers.CharField(source="object_repr", read_only=True)
    model = serializers.SerializerMethodField(help_text="such as queue_core.task; empty when it is unknown")
    message = serializers.CharField(source="change_message", read_only=True)

    class Meta:
        model = LogEntry
        fields = ["id", "at", "user", "door", "model", "object_id", "what", "message"]
        read_only_fields = fields

    def get_door(self, entry: LogEntry) -> str:
        return next((door for door in DOORS if entry.change_message.endswith(f"({door})")), "")

    def get_model(self, entry: LogEntry) -> str:
        kind = entry.content_type
        return f"{kind.app_label}.{kind.model}" if kind else ""


class AuditFilter(filters.FilterSet):  # type: ignore[misc]
    user = filters.CharFilter(field_name="user__username")
    door = filters.ChoiceFilter(choices=[(door, door) for door in DOORS], method="came_through")
    model = filters.CharFilter(method="is_about", label="Such as queue_core.task")
    object_id = filters.CharFilter()
    action = filters.ChoiceFilter(field_name="action_flag", choices=ACTION_FLAG_CHOICES)
    at__gte = filters.IsoDateTimeFilter(field_name="action_time", lookup_expr="gte")
    at__lt = filters.IsoDateTimeFilter(field_name="action_time", lookup_expr="lt")

    class Meta:
        model = LogEntry
        fields: list[str] = []

    def came_through(self, entries: QuerySet[LogEntry], name: str, value: str) -> QuerySet[LogEntry]:
        return entries.filter(change_message__endswith=f"({value})")

    def is_about(self, entries: QuerySet[LogEntry], name: str, value: str) -> QuerySet[LogEntry]:
        app, _, model = value.partition(".")
        return entries.filter(content_type__app_label=app, content_type__model=model)


class AuditViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Any]):
    """Who did what to how many, through which door. Commands know no person; they leave a line in the log instead."""

    queryset = LogEntry.objects.select_related("user", "content_type").order_by("-id")
    serializer_class = AuditSerializer
    filterset_class = AuditFilter
    ordering_fields = ["id"]
    lookup_value_regex = "[0-9]{1,19}"
