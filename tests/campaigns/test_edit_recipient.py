"""People of a draft, changed and taken out one at a time."""

import html
import json
import re
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.urls import reverse

from campaigns import services
from campaigns.errors import RecipientRefused, WrongState
from campaigns.models import Campaign, Recipient
from queue_core.services import Actor
from tests.factories import CampaignFactory, UserFactory, add_recipients, counts_by_scan


@pytest.fixture
def draft(db: None) -> Campaign:
    made: Campaign = CampaignFactory.create()
    add_recipients(made, 3, city="Köln")
    return made


@pytest.fixture
def person(draft: Campaign) -> Recipient:
    found: Recipient = draft.recipients.earliest("pk")
    return found


def counts(campaign: Campaign) -> dict[str, int]:
    now = services.status(campaign)
    shown = {state: now[state] for state in ("pending", "suppressed")}
    assert {**counts_by_scan(campaign), **shown} == counts_by_scan(campaign)
    return shown


def test_what_is_given_changes_and_all_else_stays(person: Recipient) -> None:
    before = person.attributes
    services.edit_recipient(person, email="Jo@Example.COM", name=" Jo   Doe ")
    assert (person.email, person.key, person.name) == ("Jo@example.com", "jo@example.com", "Jo Doe")
    assert person.attributes == before
    services.edit_recipient(person, attributes={"city": {"name": "Bonn"}})
    assert (person.attributes, person.name) == ({"city": {"name": "Bonn"}}, "Jo Doe")


def test_a_suppressed_address_is_not_mailed_and_a_mended_one_is(draft: Campaign, person: Recipient) -> None:
    services.suppress("gone@example.com")
    services.edit_recipient(person, email="gone@example.com")
    assert (person.state, counts(draft)) == ("suppressed", {"pending": 2, "suppressed": 1})
    services.edit_recipient(person, email="here@example.com")
    assert (person.state, person.detail, counts(draft)) == ("pending", "", {"pending": 3, "suppressed": 0})


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@example.com\r\nBcc: x@example.com"}, "email"),
        ({"email": "R1@example.com"}, "email"),
        ({"attributes": {"a": "\x00"}}, "attributes"),
        ({"attributes": {"a": "x" * 100_001}}, "attributes"),
        ({"attributes": []}, "attributes"),
        ({"name": "\ud800"}, "name"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(person: Recipient, values: Any, field: str) -> None:
    with pytest.raises(RecipientRefused) as refused:
        services.edit_recipient(person, **values)
    assert refused.value.field == field
    now = Recipient.objects.get(pk=person.pk)
    assert (now.email, now.name, now.attributes) == (person.email, person.name, person.attributes)


def test_who_was_taken_out_is_not_counted_any_more(draft: Campaign, person: Recipient) -> None:
    services.remove_recipient(person)
    assert not Recipient.objects.filter(pk=person.pk).exists()
    assert counts(draft) == {"pending": 2, "suppressed": 0}
    services.launch(draft)
    draft.refresh_from_db()
    assert draft.total == 2


def test_after_the_launch_the_audience_stays(draft: Campaign, person: Recipient) -> None:
    services.launch(draft)
    with pytest.raises(WrongState):
        services.edit_recipient(person, name="Jo")
    with pytest.raises(WrongState):
        services.remove_recipient(person)
    assert counts(draft) == {"pending": 3, "suppressed": 0}


def test_the_api_changes_and_removes(api: Any, draft: Campaign, person: Recipient) -> None:
    url = f"/api/v1/recipients/{person.pk}/"
    answer = api.patch(url, {"name": "Jo", "attributes": {"city": "Bonn"}})
    assert (answer.status_code, answer.data["name"], answer.data["attributes"]) == (200, "Jo", {"city": "Bonn"})
    for wrong in ({"email": "x"}, {"email": "r1@example.com"}, {"state": "sent"}):
        answer = api.patch(url, wrong)
        assert answer.status_code == 400
        assert list(answer.data["errors"]) == list(wrong)
    assert api.delete(url).status_code == 204
    assert api.get(url).status_code == 404
    other = draft.recipients.earliest("pk")
    services.launch(draft)
    assert api.patch(f"/api/v1/recipients/{other.pk}/", {"name": "Jo"}).status_code == 409
    assert api.delete(f"/api/v1/recipients/{other.pk}/").status_code == 409


def test_the_admin_changes_and_removes(client: Any, draft: Campaign, person: Recipient) -> None:
    client.force_login(UserFactory(is_superuser=True))
    page = reverse("admin:campaigns_recipient_change", args=[person.pk])
    edit = reverse("admin:campaigns_recipient_edit", args=[person.pk])
    remove = reverse("admin:campaigns_recipient_remove", args=[person.pk])
    shown = client.get(page).content.decode()
    assert edit in shown
    assert remove in shown
    asked = client.get(edit).content.decode()
    assert person.email in asked
    (given,) = re.findall(r"<textarea[^>]*>(.*?)</textarea>", asked, re.DOTALL)
    assert json.loads(html.unescape(given)) == person.attributes
    form = {"email": "jo@example.com", "name": "Jo", "attributes": '{"city": "Bonn"}'}
    for change, said in (
        ({"email": "nobody"}, "cannot be"),
        ({"email": "r1@example.com"}, "in this campaign already"),
        ({"attributes": "{"}, "This is not JSON"),
        ({"attributes": '{"a": "\\ud800"}'}, "half of a surrogate pair"),
        ({"attributes": '{"a": "\\u0000"}'}, "NUL character"),
        ({"attributes": '{"a": NaN}'}, "NaN is not JSON"),
        ({"attributes": '{"a": %s}' % ("9" * 5_000)}, "out of range"),
        ({"attributes": '{"a":' * 2_000 + "1" + "}" * 2_000}, "deeper than 32"),
        ({"attributes": "[1]"}, "one JSON object"),
        ({"email": ""}, "required"),
    ):
        assert said in client.post(edit, {**form, **change}).content.decode()
    assert "Changed jo@example.com." in client.post(edit, form, follow=True).content.decode()
    person.refresh_from_db()
    assert (person.name, person.attributes) == ("Jo", {"city": "Bonn"})
    assert "Take jo@example.com out" in client.get(remove).content.decode()
    assert "Removed jo@example.com." in client.post(remove, follow=True).content.decode()
    other = draft.recipients.earliest("pk")
    services.launch(draft)
    page = reverse("admin:campaigns_recipient_change", args=[other.pk])
    assert "/remove/" not in client.get(page).content.decode()
    for name, given in (("edit", form), ("remove", {})):
        url = reverse(f"admin:campaigns_recipient_{name}", args=[other.pk])
        assert "cannot be given other recipients" in client.post(url, given, follow=True).content.decode()
    client.force_login(UserFactory(permissions=["view_recipient"]))
    assert client.post(edit, form).status_code == 404
    assert client.get(reverse("admin:campaigns_recipient_edit", args=[other.pk])).status_code == 403
    assert client.get(reverse("admin:campaigns_recipient_remove", args=[other.pk])).status_code == 403


def test_the_history_of_a_campaign_names_nobody(client: Any, draft: Campaign, person: Recipient) -> None:
    owner = Actor(UserFactory(is_superuser=True), "admin")
    services.edit_recipient(person, name="Jo", by=owner)
    services.remove_recipient(person, by=owner)
    assert {(entry.object_repr, entry.action_flag) for entry in LogEntry.objects.all()} == {
        (f"{person.email} in {draft.name}", CHANGE),
        (f"{person.email} in {draft.name}", DELETION),
    }
    client.force_login(UserFactory(permissions=["view_campaign"]))
    history = reverse("admin:campaigns_campaign_history", args=[draft.pk])
    assert person.email not in client.get(history).content.decode()


def test_the_states_of_a_campaign_lead_to_its_people_for_who_may_see_them(client: Any, draft: Campaign) -> None:
    page = reverse("admin:campaigns_campaign_change", args=[draft.pk])
    people = f"{reverse('admin:campaigns_recipient_changelist')}?campaign={draft.pk}&amp;state=pending"
    for permissions, is_linked in ((["view_campaign", "change_campaign"], False), (["view_recipient"], True)):
        client.force_login(UserFactory(permissions=["view_campaign", *permissions]))
        assert (people in client.get(page).content.decode()) is is_linked
