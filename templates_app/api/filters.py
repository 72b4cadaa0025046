from django_filters import rest_framework as filters

from templates_app.models import EmailTemplate


class TemplateFilter(filters.FilterSet):  # type: ignore[misc]
    archived = filters.BooleanFilter(field_name="archived_at", lookup_expr="isnull", exclude=True)
    created_at__gte = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_at__lt = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    updated_at__gte = filters.IsoDateTimeFilter(field_name="updated_at", lookup_expr="gte")
    updated_at__lt = filters.IsoDateTimeFilter(field_name="updated_at", lookup_expr="lt")

    class Meta:
        model = EmailTemplate
        fields = ["name"]
