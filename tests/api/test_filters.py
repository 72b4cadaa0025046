import pytest

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("path", "name"),
    [("tasks/", "pinned"), ("dead-letters/", "open"), ("dead-letters/groups/", "open"), ("schedules/", "paused")],
)
def test_what_is_neither_true_nor_false_is_refused(api, path, name):
    for text in ("true", "False", "1", "0", ""):
        assert api.get(f"/api/v1/{path}", {name: text}).status_code == 200
    for text in ("maybe", "flase", "yes", "2"):
        answer = api.get(f"/api/v1/{path}", {name: text})
        assert answer.status_code == 400
        assert answer.json()["errors"] == {name: ["Must be true or false."]}
