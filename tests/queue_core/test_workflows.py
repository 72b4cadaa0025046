"""Workflows: what is refused, how they run and end, what their verbs do."""

import datetime
from typing import Any

import pytest
from django.utils import timezone

from queue_core import lifecycle, services
from queue_core.models import DeadLetter, Dependency, Task, Workflow
from queue_core.registry import task
from queue_core.services import InvalidWorkflow, WorkflowUnmoved, submit_workflow
from queue_core.testing import drain

pytestmark = pytest.mark.django_db
Steps = list[dict[str, Any]]
_broken: set[str] = set()
_seen: list[Any] = []


@task(name="tests.maybe", max_attempts=1)
def maybe(*, mark: str = "") -> dict[str, Any]:
    """Fails while its mark is among the broken."""
    if mark in _broken:
        raise ValueError(f"{mark} is broken")
    return {"mark": mark, "list": [1, {"deep": 2}]}


@task(name="tests.see")
def see(**given: Any) -> None:
    _seen.append(given)


@pytest.fixture(autouse=True)
def whole() -> None:
    _broken.clear()
    _seen.clear()


def step(key: str, *depends_on: Any, **values: Any) -> dict[str, Any]:
    return {"key": key, "name": "tests.maybe", "payload": {"mark": key}, "depends_on": list(depends_on), **values}


def diamond() -> Steps:
    return [step("end", "left", "right"), step("left", "start"), step("right", "start"), step("start")]


def states(workflow: Workflow) -> dict[str, str]:
    return dict(Task.objects.filter(workflow=workflow, step__isnull=False).values_list("step", "state"))


def ended(workflow: Workflow) -> str:
    workflow.refresh_from_db()
    assert workflow.finished_at is not None
    assert workflow.done == workflow.total
    return workflow.state


CALLBACKS = {
    event: {"name": "tests.noop", "payload": {"event": event, "workflow": {"$workflow": "id"}}}
    for event in ("success", "failure", "complete")
}


def fired(workflow: Workflow) -> list[str]:
    rows = Task.objects.filter(workflow=workflow, step=None, replay_of=None).order_by("pk")
    assert all(row.payload["workflow"] == workflow.pk for row in rows)
    return [row.payload["event"] for row in rows]


def test_steps_run_in_the_order_of_their_arrows() -> None:
    workflow = submit_workflow("d", diamond(), callbacks=CALLBACKS)
    assert states(workflow) == {"end": "blocked", "left": "blocked", "right": "blocked", "start": "queued"}
    ran = [row.step for row in drain() if row.step]
    assert (ran[0], set(ran[1:3]), ran[3]) == ("start", {"left", "right"}, "end")
    assert ended(workflow) == "succeeded"
    assert fired(workflow) == ["success", "complete"]
    assert set(Task.objects.filter(workflow=workflow).values_list("state", flat=True)) == {"succeeded"}


def test_a_failure_cancels_what_depends_on_it_and_fails_the_workflow() -> None:
    _broken.add("left")
    workflow = submit_workflow("d", diamond(), callbacks=CALLBACKS)
    drain()
    assert states(workflow) == {"end": "cancelled", "left": "failed", "right": "succeeded", "start": "succeeded"}
    assert ended(workflow) == "failed"
    assert fired(workflow) == ["failure", "complete"]
    left = Task.objects.get(workflow=workflow, step="left")
    assert Task.objects.get(workflow=workflow, step="end").error == f"cancelled: task {left.pk} (step left) failed"


@pytest.mark.parametrize("whole_step", [True, False], ids=["for the step", "for the edge"])
def test_a_step_that_continues_runs_and_excuses_the_failure(whole_step: bool) -> None:
    _broken.add("a")
    last = step("b", "a", on_failure="continue") if whole_step else step("b", {"key": "a", "on_failure": "continue"})
    workflow = submit_workflow("c", [step("a"), last])
    drain()
    assert states(workflow) == {"a": "failed", "b": "succeeded"}
    assert ended(workflow) == "succeeded"


def test_a_failure_is_excused_only_where_every_step_behind_it_continues() -> None:
    _broken.add("a")
    workflow = submit_workflow("c", [step("a"), step("b", "a", on_failure="continue"), step("c", "a")])
    drain()
    assert states(workflow) == {"a": "failed", "b": "succeeded", "c": "cancelled"}
    assert ended(workflow) == "failed"


def test_the_failure_of_a_last_step_is_never_excused() -> None:
    _broken.add("b")
    workflow = submit_workflow("c", [step("a"), step("b", "a", on_failure="continue")])
    drain()
    assert ended(workflow) == "failed"


def test_a_task_outside_that_goes_on_without_a_step_excuses_nothing() -> None:
    _broken.add("a")
    workflow = submit_workflow("c", [step("a")])
    outside = services.submit(
        "tests.noop", depends_on=[Task.objects.get(workflow=workflow).pk], on_parent_failure="continue"
    ).id
    drain()
    assert ended(workflow) == "failed"
    assert Task.objects.get(pk=outside).state == "succeeded"


def test_a_batch_is_a_workflow_whose_steps_wait_for_nothing() -> None:
    workflow = submit_workflow("batch", [{"name": "tests.noop"}] * 3, callbacks=CALLBACKS)
    assert sorted(states(workflow)) == ["0", "1", "2"]
    drain()
    assert (ended(workflow), fired(workflow)) == ("succeeded", ["success", "complete"])


def test_an_expired_step_fails_the_workflow() -> None:
    workflow = submit_workflow("e", [step("a"), step("b", "a")])
    Task.objects.filter(step="a").update(expires_at=timezone.now() - datetime.timedelta(hours=1))
    lifecycle.expire(10)
    services.settle()
    assert states(workflow) == {"a": "expired", "b": "cancelled"}
    assert ended(workflow) == "failed"


# --- results


def test_results_of_earlier_steps_are_in_later_payloads() -> None:
    uses = {"all": {"$result": "a"}, "in": [{"$result": "a.list.1.deep"}], "nothing": {"$result": "none"}}
    steps = [
        step("a"),
        {"key": "none", "name": "tests.noop"},
        step("between", "a", "none"),
        {"key": "z", "name": "tests.see", "payload": uses, "depends_on": ["between"]},
    ]
    workflow = submit_workflow("r", steps, callbacks={"success": {"name": "tests.see", "payload": {"x": uses["all"]}}})
    drain()
    result = {"mark": "a", "list": [1, {"deep": 2}]}
    assert _seen == [{"all": result, "in": [2], "nothing": None}, {"x": result}]
    kept = Task.objects.get(workflow=workflow, step="z")
    assert kept.payload == uses
    services.replay([kept.pk])
    drain()
    assert _seen[2] == _seen[0]
    assert ended(workflow) == "succeeded"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("a.nothing", "The result of step a has no a.nothing: there is no 'nothing' in a."),
        ("a.list.5", "The result of step a has no a.list.5: there is no '5' in a.list."),
    ],
)
def test_a_result_that_is_not_there_fails_the_step_at_once(reference: str, said: str) -> None:
    workflow = submit_workflow("r", [step("a"), step("b", "a", payload={"mark": {"$result": reference}})])
    drain()
    row = Task.objects.get(workflow=workflow, step="b")
    assert (row.state, row.attempt, row.error) == ("failed", 1, said)
    assert DeadLetter.objects.get().reason == "discarded"


def test_a_failed_step_has_no_result() -> None:
    _broken.add("a")
    uses = step("b", "a", on_failure="continue", payload={"mark": {"$result": "a.mark"}})
    workflow = submit_workflow("r", [step("a"), uses])
    drain()
    said = Task.objects.get(workflow=workflow, step="b").error
    assert said == "This task uses the result of step a, which is failed."


def test_a_payload_outside_of_workflows_is_left_as_it_is() -> None:
    services.submit("tests.noop", {"$result": 1, "x": {"$result": "a", "b": 2}})
    (done,) = drain()
    assert done.state == "succeeded"


# --- what is refused


def refused(steps: Any, **values: Any) -> dict[str, list[str]]:
    with pytest.raises(InvalidWorkflow) as error:
        submit_workflow(values.pop("name", "w"), steps, **values)
    assert not Task.objects.exists()
    assert not Workflow.objects.exists()
    return error.value.errors


def test_a_cycle_is_refused_by_name() -> None:
    assert refused([step("a", "c"), step("b", "a"), step("c", "b"), step("d", "c")]) == {
        "steps": ["wait for each other in a cycle: a → b → c → a. Take one of these dependencies out"]
    }
    assert "a → a." in refused([step("a", "a")])["steps"][0]


def test_a_long_cycle_is_named_in_short() -> None:
    ring = [step(f"s{n:04}", f"s{(n - 1) % 3000:04}") for n in range(3000)]
    (said,) = refused(ring)["steps"]
    assert "s0000 → s0001 → " in said
    assert "more) … → s0000." in said
    assert len(said) < 400


def test_everything_that_is_wrong_is_said_at_once() -> None:
    errors = refused(
        [
            step("a", on_failure="ignore"),
            step("b.c"),
            step("d", "nobody"),
            step("e", {"key": "d", "if": 1}),
            step("f", name="tests.unknown"),
            step("g", queue="nowhere"),
            step("h", payload=[1]),
            step("i", priority=1000),
            step("j", unique_key="k"),
            step("k", colour="red"),
            step("l", payload={"x": {"$result": "a", "and": 1}}),
            step("m", name={}),
            step("n", 7),
            "step",
            step("d"),
        ],
        name="",
        callbacks={
            "success": {"name": "tests.unknown"},
            "never": {},
            "failure": 3,
            "complete": {"name": "tests.noop", "x": 1},
        },
    )
    assert sorted(errors) == [
        *("callbacks.complete", "callbacks.failure", "callbacks.never", "callbacks.success.name", "name"),
        *("steps.0.on_failure", "steps.1.key", "steps.10.payload", "steps.11.name", "steps.12.depends_on", "steps.13"),
        *("steps.14.key", "steps.2.depends_on", "steps.3.depends_on", "steps.4.name", "steps.5.queue"),
        *("steps.6.payload", "steps.7.priority", "steps.8.unique_key", "steps.9.colour"),
    ]
    assert errors["steps.2.depends_on"] == ["there is no step 'nobody'"]
    assert errors["steps.14.key"] == ["step 2 has the key 'd' already; keys must differ"]


@pytest.mark.parametrize("steps", [[], None, "abc", {"a": 1}, 7, [{}] * 10_001])
def test_what_is_no_list_of_steps_is_refused(steps: Any) -> None:
    assert refused(steps) == {"steps": ["must be a list of 1 to 10000 steps"]}


@pytest.mark.parametrize("key", ["", "a.b", "x" * 201, "nul\x00", "\ud800", None, 1, [], {}])
def test_what_cannot_be_a_key_is_refused(key: Any) -> None:
    assert refused([{"key": key, "name": "tests.noop"}]) == {
        "steps.0.key": ["must be a text of 1 to 200 characters without a dot"]
    }


def test_too_many_dependencies_are_refused(settings: Any) -> None:
    settings.QUEUE_WORKFLOW_EDGES_MAX = 3
    assert refused(diamond()) == {"steps": ["have 4 dependencies; 3 are allowed. Let a step in between gather some"]}


@pytest.mark.parametrize("reference", ["b", "nobody.x", "a.x", ""])
def test_the_result_of_a_step_that_is_not_before_is_refused(reference: str) -> None:
    uses = [step("a", payload={"mark": {"$result": reference}}), step("b", "a")]
    key = reference.partition(".")[0]
    assert refused(uses) == {
        "steps.0.payload": [f"uses the result of {key!r}, which is no step before this one; let it depend on that"]
    }


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"x": {"$result": "b"}}, "uses the result of 'b', which is no step"),
        ({"x": {"$workflow": "owner"}}, "$workflow is one of: id, name, state; not 'owner'"),
        ({"x": {"$workflow": 1}}, 'write {"$workflow": "…"}, with a text and nothing beside it'),
    ],
)
def test_a_callback_that_could_never_be_submitted_is_refused(payload: Any, said: str) -> None:
    errors = refused([step("a")], callbacks={"complete": {"name": "tests.noop", "payload": payload}})
    assert errors == {"callbacks.complete.payload": [said]}


# --- verbs


def test_a_retry_runs_again_what_did_not_succeed_in_its_order() -> None:
    _broken.add("left")
    workflow = submit_workflow("d", diamond(), callbacks=CALLBACKS)
    drain()
    before = Task.objects.get(workflow=workflow, step="start").finished_at
    _broken.clear()
    outcome = services.retry_workflow(workflow)
    assert (outcome.changed, states(workflow)) == (
        2,
        {"end": "blocked", "left": "queued", "right": "succeeded", "start": "succeeded"},
    )
    assert Task.objects.get(workflow=workflow, step="end").error == ""
    workflow.refresh_from_db()
    assert (workflow.state, workflow.done, workflow.finished_at) == ("running", 2, None)
    assert not DeadLetter.objects.filter(resolution="").exists()
    drain()
    assert ended(workflow) == "succeeded"
    assert fired(workflow) == ["failure", "complete", "success", "complete"]
    assert Task.objects.get(workflow=workflow, step="start").finished_at == before


def test_a_retried_step_that_fails_again_takes_its_children_along_again() -> None:
    _broken.add("a")
    workflow = submit_workflow("d", [step("a"), step("b", "a"), step("c", "b")])
    for _ in range(3):
        drain()
        assert states(workflow) == {"a": "failed", "b": "cancelled", "c": "cancelled"}
        assert ended(workflow) == "failed"
        services.retry_workflow(workflow)
        assert states(workflow) == {"a": "queued", "b": "blocked", "c": "blocked"}


def test_a_retry_brings_back_what_expired() -> None:
    workflow = submit_workflow("e", [step("a"), step("b", "a")])
    Task.objects.filter(step="a").update(expires_at=timezone.now() - datetime.timedelta(hours=1))
    lifecycle.expire(10)
    services.settle()
    services.retry_workflow(workflow)
    drain()
    assert ended(workflow) == "succeeded"


def test_a_retry_before_the_failure_was_settled_counts_right() -> None:
    _broken.add("a")
    workflow = submit_workflow("e", [step("a"), step("b", "a"), step("c")])
    row = Task.objects.get(workflow=workflow, step="a")
    services.cancel([row.pk])
    services.retry_workflow(workflow)
    _broken.clear()
    drain()
    assert ended(workflow) == "succeeded"


def test_one_step_retried_by_itself_opens_its_workflow_again() -> None:
    _broken.add("left")
    workflow = submit_workflow("d", diamond())
    drain()
    _broken.clear()
    services.retry([Task.objects.get(workflow=workflow, step="left").pk])
    workflow.refresh_from_db()
    assert (workflow.state, workflow.done) == ("running", 3)
    drain()
    assert states(workflow)["end"] == "cancelled"
    assert ended(workflow) == "failed"
    services.retry([Task.objects.get(workflow=workflow, step="end").pk])
    drain()
    assert ended(workflow) == "succeeded"


def test_a_workflow_that_succeeded_or_is_being_cancelled_is_not_retried(worker_id: int) -> None:
    workflow = submit_workflow("d", [step("a")])
    with pytest.raises(WorkflowUnmoved, match="is running and has no step to retry; nothing was changed"):
        services.retry_workflow(workflow)
    lifecycle.claim(["default"], worker_id, 1)
    services.cancel_workflow([workflow.pk])
    with pytest.raises(WorkflowUnmoved, match="is being cancelled"):
        services.retry_workflow(workflow)
    done = submit_workflow("d", [step("a")])
    drain()
    with pytest.raises(WorkflowUnmoved, match="is succeeded"):
        services.retry_workflow(done)


def test_cancel_ends_all_that_is_not_over(worker_id: int) -> None:
    workflow = submit_workflow("d", [*diamond(), step("free")], callbacks=CALLBACKS)
    (running,) = lifecycle.claim(["default"], worker_id, 1)
    outcome = services.cancel_workflow([workflow.pk])
    assert (outcome.changed, outcome.asked, outcome.skipped) == (1, 1, 0)
    services.settle()
    workflow.refresh_from_db()
    assert (workflow.state, workflow.done) == ("running", 4)
    lifecycle.release([running])
    services.settle()
    assert ended(workflow) == "cancelled"
    assert set(states(workflow).values()) == {"cancelled"}
    assert fired(workflow) == ["complete"]
    assert services.cancel_workflow([workflow.pk, 10**9]).skipped == 2
    services.retry_workflow(workflow)
    drain()
    assert ended(workflow) == "succeeded"


def test_a_workflow_cancelled_too_late_has_succeeded(worker_id: int) -> None:
    workflow = submit_workflow("d", [step("a")])
    (running,) = lifecycle.claim(["default"], worker_id, 1)
    services.cancel_workflow([workflow.pk])
    lifecycle.finish([lifecycle.Ended(running, "succeeded", "succeeded", 0.0, 0.1)])
    services.settle()
    assert ended(workflow) == "succeeded"


def test_the_replay_of_a_step_is_no_step() -> None:
    _broken.add("a")
    workflow = submit_workflow("d", [step("a"), step("b", "a")])
    drain()
    _broken.clear()
    services.replay([Task.objects.get(workflow=workflow, step="a").pk])
    drain()
    assert states(workflow) == {"a": "failed", "b": "cancelled"}
    assert ended(workflow) == "failed"


def test_pruning_spares_running_workflows_and_forgets_them_with_their_last_step() -> None:
    workflow = submit_workflow("d", [step("a"), step("b", "a")])
    long_ago = timezone.now() - datetime.timedelta(days=99)
    lifecycle_keep = {("*", "succeeded"): 86_400.0}
    batch = drain()
    assert len(batch) == 2
    Task.objects.update(created_at=long_ago, finished_at=long_ago)
    Workflow.objects.update(state="running")
    assert lifecycle.prune(0, 10, lifecycle_keep)[0] == 0
    Workflow.objects.update(state="succeeded")
    assert lifecycle.prune(0, 1, lifecycle_keep)[0] == 1
    assert Workflow.objects.filter(pk=workflow.pk).exists()
    assert lifecycle.prune(0, 10, lifecycle_keep)[0] == 1
    assert not Workflow.objects.exists()
    assert not Dependency.objects.exists()


@pytest.mark.parametrize("value", [{"$workflow": "id"}, {"$workflow": 7}, {"deep": [{"$workflow": "id", "x": 1}]}])
def test_facts_of_a_workflow_are_for_its_callbacks(value: Any) -> None:
    with pytest.raises(InvalidWorkflow, match="is for callbacks") as refused:
        submit_workflow("f", [{"key": "a", "name": "tests.see", "payload": {"x": value}}])
    assert list(refused.value.errors) == ["steps.0.payload"]
    assert submit_workflow("f", [{"key": "a", "name": "tests.see", "payload": {"x": "$workflow"}}]).pk
