"""What a permission does not give by the way."""

import pytest

from queue_core import services
from queue_core.models import Task
from tests.factories import make_dead_letters

pytestmark = pytest.mark.django_db
OURS = "campaigns.forget_import_file"


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
