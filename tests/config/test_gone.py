"""A row that is deleted between the click and the verb."""

import pytest
from django.contrib import admin
from django.urls import reverse

from campaigns import services
from campaigns.models import Campaign, MailTransport, RecipientImport, Suppression
from queue_core.models import Schedule
from queue_core.services.save_schedule import save_schedule
from templates_app.models import EmailTemplate
from tests.factories import CampaignFactory, TemplateFactory, UserFactory

MADE = {
    Campaign: CampaignFactory,
    EmailTemplate: TemplateFactory,
    MailTransport: lambda: services.save_transport(name="Relay", host="127.0.0.1", port=1),
    RecipientImport: lambda: RecipientImport.objects.create(campaign=CampaignFactory(), filename="f", state="uploaded"),
    Schedule: lambda: save_schedule(name="s", task="queue_core.prune", expression="0 9 * * *"),
    Suppression: lambda: services.suppress("s@example.com")[0],
}
TEMPLATE = {"name": "N", "subject": "S", "html": "<p>x</p>", "format": "html", "stamp": "x"}
INLINE = {"versions-TOTAL_FORMS": 0, "versions-INITIAL_FORMS": 0}
DOORS = [
    *((Campaign, page, {}) for page in ("launch", "schedule", "unschedule", "retry-failed", "duplicate", "delete")),
    *((Campaign, page, {}) for page in ("pause", "resume", "cancel", "import")),
    (Campaign, "rate", {"rate_per_minute": 7}),
    (Campaign, "schedule", {"at_0": "2099-01-01", "at_1": "10:00", "zone": "UTC", "late_minutes": 60}),
    (Campaign, "change", {"name": "N", "from_email": "a@example.com", "unconfirmed": "ask", "context": "{}"}),
    (EmailTemplate, "change", {**TEMPLATE, **INLINE}),
    (EmailTemplate, "delete", {}),
    (MailTransport, "change", {"name": "N", "host": "127.0.0.1", "port": 1}),
    (MailTransport, "delete", {"post": "yes"}),
    (RecipientImport, "preview", {"do": "import"}),
    (RecipientImport, "preview", {"do": "check"}),
    (RecipientImport, "cancel", {}),
    *((Schedule, page, {}) for page in ("pause", "resume", "edit", "remove", "run_now")),
    (Suppression, "change", {"reason": "manual", "source": "x"}),
    (Suppression, "delete", {"post": "yes"}),
]


@pytest.mark.parametrize(("model", "page", "given"), DOORS)
def test_what_is_gone_when_a_form_is_posted_is_told(db, client, monkeypatch, model, page, given):
    row = MADE[model]()
    shown_by = type(admin.site._registry[model])
    look = shown_by.get_object

    def look_and_lose(self, *args, **kwargs):
        found = look(self, *args, **kwargs)
        model.objects.filter(pk=row.pk).delete()
        return found

    monkeypatch.setattr(shown_by, "get_object", look_and_lose)
    client.force_login(UserFactory(is_superuser=True))
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=[row.pk])
    client.raise_request_exception = False
    assert client.post(address, given).status_code < 500


def test_it_leads_to_the_list_with_a_message(db, client, monkeypatch):
    def gone(*args, **kwargs):
        raise Campaign.DoesNotExist

    monkeypatch.setattr(services, "delete_campaign", gone)
    client.force_login(UserFactory(is_superuser=True))
    answer = client.post(reverse("admin:campaigns_campaign_delete", args=[CampaignFactory().pk]), follow=True)
    assert answer.redirect_chain == [(reverse("admin:campaigns_campaign_changelist"), 302)]
    assert "Somebody deleted this meanwhile: nothing was changed." in answer.content.decode()
