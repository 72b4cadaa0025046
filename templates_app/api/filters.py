from django_filters import rest_framework as filters

from templates_app.models import EmailTemplate


class TemplateFilter(filters.FilterSet):  # type: ignore[misc]
    archived = filters.BooleanFilter(field_name="archived_at", lookup_expr="isnull", exclude=True)
    updated_at__gte = filters.IsoDateTimeFilter(field_name="updated_at", lookup_expr="gte")
    updated_at__lt = filters.IsoDateTimeFilter(field_name="updated_at", lookup_expr="lt")

    class Meta:
        model = EmailTemplate
        fields = ["name"]
