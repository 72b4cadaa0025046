"""Task types: what holds for each, paused and limited."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from queue_core.models import Task, TypePolicy

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/task-types/"


def test_a_type_says_its_policy_and_limits(api: APIClient) -> None:
    answer = api.get(ROOT + "tests.per_key/").json()
    assert (answer["max_running"], answer["rate"], answer["paused_at"]) == (4, None, None)
    assert (answer["key_max_running"], answer["key_rate"]) == (1, None)
    listed = {each["name"]: each for each in api.get(ROOT).json()["results"]}
    assert listed["tests.per_key"] == answer


def test_a_type_says_what_is_tried_again(api: APIClient) -> None:
    answer = api.get(ROOT + "tests.picky/").json()
    assert (answer["retry_on"], answer["discard_on"]) == (["builtins.OSError"], ["builtins.FileNotFoundError"])
    assert answer["retry_until"] == 3600
    answer = api.get(ROOT + "tests.noop/").json()
    assert (answer["retry_on"], answer["discard_on"], answer["retry_until"]) == (None, [], None)


def test_a_type_is_paused_limited_and_resumed(api: APIClient) -> None:
    assert api.post(ROOT + "tests.limited/pause/").json()["paused_at"]
    answer = api.patch(ROOT + "tests.limited/", {"max_running": 9, "rate": "100/m"}, format="json").json()
    assert (answer["max_running"], answer["rate"]) == (9, "100/m")
    answer = api.patch(ROOT + "tests.limited/", {"max_running": None}, format="json").json()
    assert (answer["max_running"], answer["rate"]) == (3, "100/m")
    assert api.post(ROOT + "tests.limited/resume/").json()["paused_at"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"max_running": 0}, "max_running"),
        ({"max_running": "x"}, "max_running"),
        ({"max_running": 10**9}, "max_running"),
        ({"rate": "fast"}, "rate"),
        ({"rate": "0/s"}, "rate"),
        ({"rate": ""}, "rate"),
        ({"other": 1}, "other"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused(body: dict[str, Any], field: str, api: APIClient) -> None:
    answer = api.patch(ROOT + "tests.noop/", body, format="json")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert not TypePolicy.objects.exists()


@pytest.mark.parametrize("name", ["no.such", "%00", "x" * 5000, "a:b"])
def test_what_is_no_type_is_a_404(name: str, api: APIClient) -> None:
    for answer in (
        api.get(f"{ROOT}{name}/"),
        api.post(f"{ROOT}{name}/pause/"),
        api.post(f"{ROOT}{name}/resume/"),
        api.patch(f"{ROOT}{name}/", {}, format="json"),
    ):
        assert answer.status_code == 404


def test_a_task_is_submitted_with_a_key_and_shows_it(api: APIClient) -> None:
    answer = api.post("/api/v1/tasks/", {"name": "tests.noop", "key": "acme"}, format="json")
    assert (answer.status_code, answer.json()["key"]) == (201, "acme")
    for key in ("", "x" * 101, "a\nb", ["a"]):
        answer = api.post("/api/v1/tasks/", {"name": "tests.noop", "key": key}, format="json")
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["key"])
    answer = api.post("/api/v1/tasks/", {"name": "tests.fair", "payload": {"customer": []}}, format="json")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["key"])
    assert Task.objects.count() == 1
