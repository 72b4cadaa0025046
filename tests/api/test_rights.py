"""What a permission does not give by the way."""

import pytest

from campaigns import services as campaigns
from campaigns.models import Recipient
from queue_core import services
from queue_core.models import Task
from tests.factories import CampaignFactory, make_dead_letters

pytestmark = pytest.mark.django_db
OURS = "campaigns.forget_import_file"


def somebody_in(of="draft", **values):
    campaign, ann = CampaignFactory(state=of), "ann@example.com"
    return Recipient.objects.create(campaign=campaign, email=ann, key=ann, **values)


def test_a_letter_is_replayed_with_another_payload_by_who_may_submit(api_with):
    (letter,) = make_dead_letters(1)
    path = f"/api/v1/dead-letters/{letter.pk}/replay/"
    refused = api_with("change_deadletter").post(path, {"payload": {"a": 2}}, format="json")
    assert refused.status_code == 403
    assert "another task, which you may not submit" in refused.json()["detail"]
    assert api_with("change_deadletter", "add_task").post(path, {"payload": {}}, format="json").status_code == 201


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("tasks/", {"name": OURS, "payload": {}}, "name"),
        ("tasks/batch/", {"tasks": [{"name": OURS}]}, "tasks.0.name"),
        ("workflows/", {"name": "w", "steps": [{"name": OURS}]}, "steps.0.name"),
        (
            "workflows/",
            {"name": "w", "steps": [{"name": "tests.noop"}], "callbacks": {"success": {"name": OURS}}},
            "callbacks.success.name",
        ),
        ("schedules/", {"name": "s", "task": OURS, "interval_seconds": 60}, "task"),
    ],
)
def test_tasks_of_our_own_workings_are_not_for_people(api, path, body, field):
    answer = api.post(f"/api/v1/{path}", body, format="json")
    assert answer.status_code == 400
    assert answer.json()["errors"] == {field: ["Belongs to Posthaste's own workings; people do not submit it."]}


def test_their_payloads_stay_as_they_are(api):
    pk = services.submit(OURS, {"recipient_import": 1}).id
    answer = api.patch(f"/api/v1/tasks/{pk}/", {"payload": {"recipient_import": 2}}, format="json")
    assert answer.status_code == 400
    assert "made by Posthaste itself" in str(answer.json()["errors"])
    assert Task.objects.get(pk=pk).payload == {"recipient_import": 1}


def test_the_mail_of_a_recipient_goes_to_nobody_by_who_may_not_see_people(api_with, monkeypatch):
    monkeypatch.setattr(campaigns, "send_test", lambda *args, **options: [])
    somebody = somebody_in()
    path, body = f"/api/v1/campaigns/{somebody.campaign_id}/test-send/", {"to": ["me@example.com"]}
    told = {**body, "recipient": somebody.pk}
    launcher = api_with("view_campaign", "launch_campaign")
    assert launcher.post(path, body, format="json").status_code == 200
    assert launcher.post(path, told, format="json").status_code == 403
    seeing = api_with("view_campaign", "launch_campaign", "view_recipient")
    assert seeing.post(path, told, format="json").status_code == 200


def test_who_may_not_see_people_hears_only_which_one_it_was(api_with):
    somebody = somebody_in(name="Ada", attributes={"iban": "DE1"})
    path, body = f"/api/v1/campaigns/{somebody.campaign_id}/recipients/", {"email": somebody.email}
    seen = {"id": somebody.pk, "campaign": somebody.campaign_id, "state": "pending"}
    assert api_with("add_recipient").post(path, body, format="json").json() == seen
    full = api_with("add_recipient", "view_recipient").post(path, body, format="json").json()
    assert full["attributes"] == {"iban": "DE1"}
    changed = api_with("change_recipient").patch(f"/api/v1/recipients/{somebody.pk}/", {"name": "Bea"}, format="json")
    assert changed.json() == seen


@pytest.mark.parametrize("verb", ["mark", "resend"])
def test_who_decides_about_somebody_without_seeing_people_hears_only_the_state(api_with, verb):
    somebody = somebody_in(of="completed", state="unconfirmed")
    answer = api_with("launch_campaign").post(f"/api/v1/recipients/{somebody.pk}/{verb}/", {}, format="json")
    assert set(answer.json()) == {"id", "campaign", "state"}
