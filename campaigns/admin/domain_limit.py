from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from campaigns import services
from campaigns.admin.by_verb import SavesByVerb, VerbForm
from campaigns.models import DomainLimit
from queue_core.admin.ledger import actor
from queue_core.admin.times import moment
from queue_core.services.outcome import plural


class DomainLimitForm(VerbForm):
    """Saves by the verb, which says what is wrong."""

    class Meta:
        model = DomainLimit
        fields = ["domain", "rate_count", "rate_seconds"]
        labels = {"rate_count": "Mails", "rate_seconds": "In so many seconds"}
        help_texts = {
            "domain": "Of recipients, such as example.com; domains below it have limits of their own.",
            "rate_count": "At most, over all campaigns, transports and workers; heard within a second.",
            "rate_seconds": "60 makes it a rate per minute.",
        }
        widgets = {
            "domain": UnfoldAdminTextInputWidget,
            "rate_count": UnfoldAdminIntegerFieldWidget,
            "rate_seconds": UnfoldAdminIntegerFieldWidget,
        }

    def store(self) -> DomainLimit:
        if self.instance.pk is None:
            return services.limit_domain(**self.cleaned_data, by=self.by)
        return services.edit_domain_limit(self.instance, **self.cleaned_data, by=self.by)


@admin.register(DomainLimit)
class DomainLimitAdmin(SavesByVerb, ModelAdmin):  # type: ignore[misc]
    form = DomainLimitForm
    list_display = ["domain", "rate", "added"]
    search_fields = ["domain"]
    ordering = ["domain"]
    actions = None

    @admin.display(description="Rate")
    def rate(self, row: DomainLimit) -> str:
        return f"{plural(row.rate_count, 'mail')} in {row.rate_seconds} s"

    @admin.display(description="Added")
    def added(self, row: DomainLimit) -> str:
        return moment(row.created_at)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return ["domain"] if obj else []

    def delete_model(self, request: HttpRequest, obj: DomainLimit) -> None:
        services.delete_domain_limit(obj, by=actor(request))

    # The verbs have written the entry already.
    def log_addition(self, request: HttpRequest, obj: DomainLimit, message: Any) -> LogEntry | None:
        return None

    def log_change(self, request: HttpRequest, obj: DomainLimit, message: Any) -> LogEntry | None:
        return None

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        """Likewise."""
