import pytest

from campaigns import lifecycle, services
from campaigns.models import Recipient
from campaigns.states import EventKind
from tests.factories import CampaignFactory, add_recipients, completed

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/"


def over(state, count=2):
    campaign = CampaignFactory()
    add_recipients(campaign, count)
    return completed(services.launch(campaign), state, 450)


def test_an_unconfirmed_recipient_is_marked_or_sent_again_once(api):
    over("unconfirmed")
    first, second = Recipient.objects.order_by("pk")
    answer = api.post(f"{ROOT}recipients/{first.pk}/mark/", {}, format="json")
    assert (answer.status_code, answer.json()["state"]) == (200, "sent")
    answer = api.post(f"{ROOT}recipients/{second.pk}/resend/", {}, format="json")
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    again = api.post(f"{ROOT}recipients/{second.pk}/resend/", {}, format="json")
    assert (again.status_code, again.json()["state"]) == (409, "pending")


def test_the_failed_are_retried_and_the_status_says_how_it_ended(api):
    campaign = over("rejected")
    url = f"{ROOT}campaigns/{campaign.pk}/"
    assert api.get(f"{url}status/").json()["summary"] == "completed, 2 rejected"
    answer = api.post(f"{url}retry-failed/", {}, format="json")
    assert (answer.status_code, answer.json()) == (202, {"changed": 2, "skipped": 0})
    assert api.post(f"{url}retry-failed/", {"hard": "perhaps"}, format="json").status_code == 400


def test_events_are_listed_newest_first_and_filtered(api):
    campaign = over("sent")
    first, second = Recipient.objects.order_by("pk")
    lifecycle.record_events(
        [
            lifecycle.Happened(first.pk, EventKind.OPENED),
            lifecycle.Happened(second.pk, EventKind.CLICKED, detail="https://example.com"),
        ]
    )
    url = f"{ROOT}campaigns/{campaign.pk}/events/"
    assert [row["kind"] for row in api.get(url).json()["results"]] == ["clicked", "opened"]
    (only,) = api.get(url, {"kind": "clicked"}).json()["results"]
    assert (only["recipient"], only["detail"]) == (second.pk, "https://example.com")
    assert [row["kind"] for row in api.get(url, {"recipient": first.pk}).json()["results"]] == ["opened"]
    assert api.get(url, {"kind": "sent"}).status_code == 400
