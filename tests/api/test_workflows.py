"""Workflows and dependencies through the API."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from queue_core import services
from queue_core.models import Task, Workflow
from queue_core.testing import drain

pytestmark = pytest.mark.django_db
URL = "/api/v1/workflows/"


def step(key: str, *depends_on: Any, **values: Any) -> dict[str, Any]:
    return {"key": key, "name": "tests.noop", "depends_on": list(depends_on), **values}


def test_a_workflow_is_submitted_watched_and_ends(api: APIClient) -> None:
    body = {
        "name": "order 7",
        "steps": [step("a"), step("b", "a"), step("c", {"key": "b", "on_failure": "continue"}, queue="low")],
        "callbacks": {"complete": {"name": "tests.noop", "payload": {"w": {"$workflow": "id"}}}},
    }
    made = api.post(URL, body)
    assert made.status_code == 201, made.content
    pk = made.data["id"]
    assert (made.data["state"], made.data["total"], made.data["done"]) == ("running", 3, 0)
    assert made.data["counts"] == {"queued": 1, "blocked": 2}
    drain()
    seen = api.get(f"{URL}{pk}/").data
    assert (seen["state"], seen["done"], seen["counts"]) == ("succeeded", 3, {"succeeded": 3})
    graph = api.get(f"{URL}{pk}/graph/").json()
    assert [(node["key"], node["state"]) for node in graph["nodes"]] == [(key, "succeeded") for key in "abc"]
    assert graph["edges"] == [
        {"parent": "a", "child": "b", "on_failure": "cancel", "outcome": "succeeded"},
        {"parent": "b", "child": "c", "on_failure": "continue", "outcome": "succeeded"},
    ]
    steps = api.get(f"/api/v1/tasks/?workflow={pk}").data["results"]
    assert {(row["step"], row["queue"]) for row in steps} == {
        *(("a", "default"), ("b", "default"), ("c", "low")),
        (None, "default"),
    }


def test_a_cycle_is_a_400_that_names_it(api: APIClient) -> None:
    answer = api.post(URL, {"name": "w", "steps": [step("a", "c"), step("b", "a"), step("c", "b")]})
    assert answer.status_code == 400
    (said,) = answer.json()["errors"]["steps"]
    assert "a → b → c → a" in said


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([], "steps.non_field_errors"),
        ([{"key": "a"}], "steps.0.name"),
        ([step("a", unique_key="k")], "steps.0.unique_key"),
        ([step("a"), step("a")], "steps.1.key"),
        ([step("a", "b")], "steps.0.depends_on"),
        ([step("a", 7)], "steps.0.depends_on"),
        ([step("a", run_at="tomorrow")], "steps.0.run_at"),
        ([step("a", on_failure="no")], "steps.0.on_failure"),
        ([step("a", payload={"x": {"$result": "z"}})], "steps.0.payload"),
        ([step("a", name="tests.add", payload={"a": "x", "b": {"$result": "z"}})], "steps.0.payload"),
        ([step("a")] * 10_001, "steps.non_field_errors"),
    ],
)
def test_what_is_wrong_with_a_step_is_a_400_at_its_field(steps: Any, field: str, api: APIClient) -> None:
    answer = api.post(URL, {"name": "w", "steps": steps})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert not Workflow.objects.exists()


def test_a_verb_in_the_wrong_state_is_a_409(api: APIClient) -> None:
    workflow = services.submit_workflow("w", [step("a"), step("b", "a")])
    running = api.post(f"{URL}{workflow.pk}/retry/", {})
    assert (running.status_code, running.json()["state"]) == (409, "running")
    cancelled = api.post(f"{URL}{workflow.pk}/cancel/", {})
    assert (cancelled.status_code, cancelled.data["counts"]) == (200, {"cancelled": 2})
    services.settle()
    again = api.post(f"{URL}{workflow.pk}/cancel/", {})
    assert (again.status_code, again.json()["state"]) == (409, "cancelled")
    retried = api.post(f"{URL}{workflow.pk}/retry/", {})
    assert (retried.status_code, retried.data["state"], retried.data["done"]) == (200, "running", 0)


def test_lists_are_filtered_by_state_and_name(api: APIClient) -> None:
    for name in ("one", "two"):
        services.submit_workflow(name, [step("a")])
    assert [row["name"] for row in api.get(URL, {"name": "two"}).data["results"]] == ["two"]
    assert api.get(URL, {"state": "failed"}).data["results"] == []
    assert api.get(URL, {"state": "no"}).status_code == 400


def test_a_task_is_submitted_behind_another_and_says_what_it_waits_for(api: APIClient) -> None:
    parent = services.submit("tests.noop").id
    made = api.post("/api/v1/tasks/", {"name": "tests.noop", "depends_on": [parent], "on_parent_failure": "continue"})
    assert (made.status_code, made.data["state"]) == (201, "blocked")
    assert made.data["waiting_for"] == f"waits for 1 of 1 task: #{parent} tests.noop (queued)"
    child = made.data["id"]
    below = api.get(f"/api/v1/tasks/{child}/dependencies/").json()
    assert below["children"] == []
    (edge,) = below["parents"]
    assert (edge["task"]["id"], edge["task"]["state"], edge["on_failure"], edge["outcome"]) == (
        *(parent, "queued"),
        *("continue", ""),
    )
    (edge,) = api.get(f"/api/v1/tasks/{parent}/dependencies/").json()["children"]
    assert edge["task"]["id"] == child


@pytest.mark.parametrize("depends_on", [[999_999], ["x"], 7, [0], [-1], [1.5], [None], {}, "1"])
def test_parents_that_cannot_be_are_a_400(depends_on: Any, api: APIClient) -> None:
    answer = api.post("/api/v1/tasks/", {"name": "tests.noop", "depends_on": depends_on})
    assert answer.status_code == 400
    assert all(field.startswith("depends_on") for field in answer.json()["errors"])
    assert not Task.objects.exists()


def test_a_batch_names_the_task_whose_parent_is_not_there(api: APIClient) -> None:
    tasks = [{"name": "tests.noop"}, {"name": "tests.noop", "depends_on": [999_999]}]
    answer = api.post("/api/v1/tasks/batch/", {"tasks": tasks})
    assert answer.json()["errors"] == {"tasks.1.depends_on": ["there is no task 999999"]}
