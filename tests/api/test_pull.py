"""The pull protocol, call by call."""

import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.db.models.functions import Now
from django.test import Client as Browser
from pytest_django import Settings
from rest_framework.test import APIClient

from queue_core import broker, conf, registry, services
from queue_core.errors import InvalidSubmission
from queue_core.models import DeadLetter, Execution, Progress, Result, Task, Worker
from queue_core.services.register_worker import register_worker
from queue_core.ticker import tick
from tests import tasks as _tasks  # noqa: F401 - registers tests.*
from tests.api.conftest import client_of
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/"
TYPES = {
    "image.resize": {"queue": "images", "max_attempts": 2, "timeout": 60, "backoff": {"base": 5, "cap": 50}},
    "image.crop": {"queue": "images", "schema": {"type": "object", "required": ["width"]}},
}


@pytest.fixture(autouse=True)
def images(settings: Settings) -> None:
    settings.QUEUES = [*settings.QUEUES, "images"]
    settings.QUEUE_EXTERNAL_TASKS = TYPES


class Client:
    """One worker elsewhere."""

    def __init__(self, api: APIClient, **values: Any) -> None:
        self.api = api
        body = {"name": "go-1", "hostname": "far", "queues": ["images"], "capacity": 2, **values}
        answer = api.post(f"{ROOT}workers/", body)
        assert answer.status_code == 201, answer.content
        self.id, self.lease_seconds = answer.data["id"], answer.data["lease_seconds"]

    def post(self, verb: str, **body: Any) -> Any:
        return self.api.post(f"{ROOT}workers/{self.id}/{verb}/", body)

    def claim(self, limit: int = 1, **body: Any) -> list[dict[str, Any]]:
        answer = self.post("claim", limit=limit, **body)
        assert answer.status_code == 200, answer.content
        return answer.json()["tasks"]

    def tell(self, task: dict[str, Any], verb: str, **body: Any) -> Any:
        return self.api.post(f"{ROOT}tasks/{task['id']}/{verb}/", {"lease": task["lease"], **body})


@pytest.fixture
def worker(api: APIClient) -> Client:
    return Client(api)


def add(number: int = 1, **options: Any) -> list[int]:
    return [services.submit("image.resize", {"photo": n}, **options).id for n in range(number)]


def state(pk: int) -> str:
    return Task.objects.get(pk=pk).state


def test_a_worker_registers_claims_completes_and_goes(worker: Client) -> None:
    assert worker.lease_seconds == 60
    (pk,) = add()
    (task,) = worker.claim()
    assert (task["id"], task["name"], task["queue"], task["payload"]) == (pk, "image.resize", "images", {"photo": 0})
    assert (task["attempt"], task["max_attempts"], task["timeout"]) == (1, 2, 60.0)
    assert Worker.objects.get(pk=worker.id).current_task == pk
    assert worker.tell(task, "complete", result={"bytes": 7}).json() == {"id": pk, "state": "succeeded"}
    assert Result.objects.get(task_id=pk).value == {"bytes": 7}
    assert Execution.objects.get(task_id=pk).outcome == "succeeded"
    row = Worker.objects.get(pk=worker.id)
    assert (row.kind, row.finished_tasks, row.succeeded_tasks, row.failed_tasks) == ("pull", 1, 1, 0)
    assert worker.api.delete(f"{ROOT}workers/{worker.id}/").status_code == 204
    assert Worker.objects.get(pk=worker.id).state == "stopped"


def test_how_far_a_task_is_shows_as_of_every_other(worker: Client) -> None:
    (pk,) = add()
    (task,) = worker.claim()
    assert worker.tell(task, "progress", done=1).status_code == 204
    assert worker.tell(task, "progress", done=30, total=40.0, note="page\u2028" + "x" * 300).status_code == 204
    row = Progress.objects.get(pk=pk)
    assert (row.attempt, row.first_done, row.done, row.total, row.percent, len(row.note)) == (1, 1, 30, 40, 75.0, 200)
    assert worker.api.get(f"{ROOT}tasks/{pk}/").json()["progress"]["percent"] == 75.0


@pytest.mark.parametrize("field", ["done", "total"])
@pytest.mark.parametrize("value", [-1, True, "3", [1], {}, "x"])
def test_what_is_no_amount_is_refused_by_its_field(worker: Client, field: str, value: Any) -> None:
    add()
    (task,) = worker.claim()
    answer = worker.tell(task, "progress", **{"done": 1, field: value})
    assert answer.status_code == 400
    assert "must be a number from 0 up" in str(answer.json()["errors"][field])
    assert not Progress.objects.exists()


def test_progress_under_a_lost_lease_is_a_conflict_and_changes_nothing(worker: Client) -> None:
    (pk,) = add()
    (task,) = worker.claim()
    for lease in (str(uuid.uuid4()), task["lease"]):
        stale = worker.tell({**task, "lease": lease}, "progress", done=1)
        assert stale.status_code == (204 if lease == task["lease"] else 409)
    worker.tell(task, "complete")
    late = worker.tell(task, "progress", done=9)
    assert (late.status_code, late.json()["state"]) == (409, "succeeded")
    assert Progress.objects.get(pk=pk).done == 1


def test_a_worker_that_goes_gives_back_what_it_holds(worker: Client) -> None:
    pks = add(2)
    (held, _) = worker.claim(2)
    assert worker.api.delete(f"{ROOT}workers/{worker.id}/").status_code == 204
    assert [(state(pk), Task.objects.get(pk=pk).attempt) for pk in pks] == [("queued", 0)] * 2
    stale = worker.tell(held, "complete")
    assert stale.status_code == 409
    assert held["lease"] in stale.json()["detail"]
    assert stale.json()["state"] == "queued"
    for verb in ("claim", "heartbeat"):
        assert worker.post(verb).status_code == 409
    assert worker.api.delete(f"{ROOT}workers/{worker.id}/").status_code == 409


def test_no_more_is_claimed_than_the_capacity(worker: Client) -> None:
    add(5)
    assert len(worker.claim(1)) == 1
    assert len(worker.claim(1000)) == 1
    assert worker.claim(1) == []


def test_a_failure_goes_back_in_line_until_the_attempts_are_used_up(worker: Client) -> None:
    (pk,) = add()
    (task,) = worker.claim()
    answer = worker.tell(task, "fail", error="no disk 17", error_class="IOError", traceback="at line 3\n")
    assert answer.json() == {"id": pk, "state": "queued"}
    row = Task.objects.get(pk=pk)
    assert row.parked
    assert row.error == "no disk 17"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks SET parked = false, run_at = now() WHERE id = %s", [pk])
    (task,) = worker.claim()
    assert task["attempt"] == 2
    assert worker.tell(task, "fail", error="no disk 18", error_class="IOError").json()["state"] == "failed"
    letter = DeadLetter.objects.get(task_id=pk)
    assert (letter.reason, letter.error) == ("attempts", "no disk 18")
    assert Execution.objects.filter(task_id=pk, outcome="failed").count() == 2
    assert Execution.objects.get(task_id=pk, attempt=1).traceback == "at line 3\n"


def test_a_worker_may_say_when_or_that_it_never_works(worker: Client) -> None:
    later, never = add(2)
    first, second = worker.claim(2)
    worker.tell(first, "fail", error="busy", delay=500)
    task = Task.objects.get(pk=later)
    assert 490 < (task.run_at - task.started_at).total_seconds() < 520
    assert worker.tell(second, "fail", error="never", retry=False).json()["state"] == "failed"
    assert DeadLetter.objects.get(task_id=never).reason == "discarded"


def test_a_task_is_neither_tried_again_nor_handed_out_after_its_time(worker: Client, settings: Settings) -> None:
    settings.QUEUE_EXTERNAL_TASKS = {"image.resize": {"queue": "images", "retry_until": 60}}
    failing, waiting = add(2)
    (task,) = worker.claim()
    assert worker.tell(task, "fail", error="busy", delay=61).json() == {"id": failing, "state": "failed"}
    Task.objects.filter(pk=waiting).update(
        created_at=Now() - timedelta(seconds=61), run_at=Now() - timedelta(seconds=9)
    )
    assert worker.claim() == []
    late = "(not tried again: over 60 s after its creation, see retry_until)"
    letters = DeadLetter.objects.order_by("task_id").values_list("task_id", "reason", "error")
    assert list(letters) == [(failing, "late", f"busy {late}"), (waiting, "late", f"not started {late}")]


def test_what_is_not_handed_out_again_tells_what_it_failed_of(worker: Client, settings: Settings) -> None:
    settings.QUEUE_EXTERNAL_TASKS = {"image.resize": {"queue": "images", "retry_until": 60}}
    (pk,) = add(1)
    (task,) = worker.claim()
    worker.tell(task, "fail", error="busy", error_class="Busy", delay=0)
    times = {"created_at": Now() - timedelta(seconds=61), "run_at": Now() - timedelta(seconds=9)}
    Task.objects.filter(pk=pk).update(**times)
    assert worker.claim() == []
    letter = DeadLetter.objects.get(task_id=pk)
    assert (letter.reason, letter.error[:24]) == ("late", "busy (not tried again: o")
    assert set(Execution.objects.filter(task_id=pk).values_list("error_class", flat=True)) == {"Busy"}


def test_what_is_told_twice_or_with_another_lease_is_a_conflict_and_changes_nothing(worker: Client) -> None:
    other = Client(worker.api, name="go-2")
    add(2)
    (mine,), (theirs,) = worker.claim(), other.claim()
    for verb, body in (("complete", {"result": 1}), ("fail", {"error": "x"}), ("heartbeat", {})):
        for lease in (theirs["lease"], str(uuid.uuid4())):
            answer = worker.tell(mine, verb, **{**body, "lease": lease})
            assert answer.status_code == 409, verb
            assert lease in answer.json()["detail"]
    assert worker.tell(mine, "complete", result=1).status_code == 200
    for verb, body in (("complete", {"result": 2}), ("fail", {"error": "x"}), ("heartbeat", {})):
        answer = worker.tell(mine, verb, **body)
        assert (answer.status_code, answer.json()["state"]) == (409, "succeeded")
    assert Result.objects.get(task_id=mine["id"]).value == 1
    assert state(theirs["id"]) == "running"


def test_a_task_of_a_worker_process_is_not_finished_by_anybody_else(api: APIClient) -> None:
    from queue_core import lifecycle

    pk = services.submit("tests.noop").id
    process = register_worker(["default"])
    (held,) = lifecycle.claim(["default"], process, 1)
    assert api.post(f"{ROOT}tasks/{pk}/complete/", {"lease": str(held.lease)}).status_code == 409
    for call in (api.delete(f"{ROOT}workers/{process}/"), api.post(f"{ROOT}workers/{process}/claim/", {})):
        assert call.status_code == 409
        assert "manage.py worker" in call.json()["detail"]
    assert state(pk) == "running"


def test_a_worker_hears_that_a_task_is_to_end(worker: Client) -> None:
    done, obeyed = add(2)
    first, second = worker.claim(2)
    services.cancel([done, obeyed])
    heard = worker.post("heartbeat").json()
    assert (heard["cancel"], heard["desired"]) == ([done, obeyed], "run")
    assert worker.tell(first, "heartbeat").json()["cancel"] == [done, obeyed]
    assert worker.tell(first, "complete").json()["state"] == "succeeded"
    assert worker.tell(second, "fail", error="stopped as asked").json()["state"] == "cancelled"
    assert state(done) == "succeeded"
    assert worker.post("heartbeat").json()["cancel"] == []


def test_a_heartbeat_gives_back_what_the_worker_never_heard_of(worker: Client) -> None:
    known, unknown = add(2)
    worker.claim(2)
    Task.objects.filter(pk__in=[known, unknown]).update(started_at="2020-01-01T00:00Z")
    assert worker.post("heartbeat").status_code == 200
    assert state(unknown) == "running"
    worker.post("heartbeat", holds=[known])
    assert (state(known), state(unknown)) == ("running", "queued")


@pytest.mark.parametrize("verb", ["pause", "drain", "stop"])
def test_a_worker_that_is_held_gets_nothing_and_acknowledges_by_beating(worker: Client, verb: str) -> None:
    add(2)
    (task,) = worker.claim()
    assert worker.post(verb).json()["acknowledged"] == "run"
    answer = worker.post("claim", limit=1).json()
    assert (answer["tasks"], answer["desired"]) == ([], verb)
    assert Worker.objects.get(pk=worker.id).acknowledged == verb
    assert worker.tell(task, "complete").status_code == 200
    if verb == "pause":
        worker.post("resume")
        assert len(worker.claim()) == 1


def test_pauses_and_limits_of_the_queue_hold_for_pulling_workers(worker: Client) -> None:
    add(4)
    services.pause_queue("images")
    assert worker.claim(2) == []
    services.resume_queue("images")
    services.limit_queue("images", max_running=1)
    assert len(worker.claim(2)) == 1
    assert worker.claim(2) == []


def test_a_silent_worker_loses_its_tasks_like_any_other(worker: Client) -> None:
    (pk,) = add()
    (task,) = worker.claim()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE workers SET lease_until = now() - interval '1s' WHERE id = %s", [worker.id])
    tick(if_older_than=0)
    assert (state(pk), Worker.objects.get(pk=worker.id).state) == ("queued", "lost")
    assert Execution.objects.get(task_id=pk).outcome == "lost"
    assert worker.tell(task, "complete").status_code == 409
    assert "register again" in worker.post("heartbeat").json()["detail"]


def test_a_task_held_beyond_its_timeout_has_failed(worker: Client) -> None:
    late, early = add(2)
    first, _ = worker.claim(2)
    Task.objects.filter(pk=late).update(started_at="2020-01-01T00:00Z")
    tick(if_older_than=0)
    assert (state(late), state(early)) == ("queued", "running")
    assert "timeout of 60 s" in Execution.objects.get(task_id=late).error
    assert worker.tell(first, "complete").status_code == 409


@pytest.mark.parametrize(
    ("result", "status"),
    [("x" * 2_000_000, 400), ({"a": [1, None, True, "é"]}, 200), (None, 200), (0, 200), ([[[]]] * 9, 200)],
)
def test_a_result_is_kept_or_refused_and_then_still_held(worker: Client, result: Any, status: int) -> None:
    (pk,) = add()
    (task,) = worker.claim()
    answer = worker.tell(task, "complete", result=result)
    assert answer.status_code == status, answer.content
    if status == 400:
        assert "limit" in answer.json()["errors"]["result"][0]
        assert state(pk) == "running"
    elif result is not None:
        assert Result.objects.get(task_id=pk).value == result


def test_long_errors_are_cut_not_refused(worker: Client) -> None:
    (pk,) = add()
    (task,) = worker.claim()
    assert worker.tell(task, "fail", error="x" * 100_000, traceback="y" * 100_000).status_code == 200
    kept = Execution.objects.get(task_id=pk)
    assert (len(kept.error), len(kept.traceback)) == (500, 20_000)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"queues": []}, "queues"),
        ({"queues": ["default"]}, "queues"),
        ({"queues": ["nowhere"]}, "queues"),
        ({"queues": "images"}, "queues"),
        ({"queues": None}, "queues"),
        ({"capacity": 0}, "capacity"),
        ({"capacity": 1001}, "capacity"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x00b"}, None),
        ({"hostname": None}, "hostname"),
        ({"pid": 7}, "pid"),
    ],
)
def test_a_registration_that_cannot_be_says_which_field(api: APIClient, values: dict[str, Any], field: str) -> None:
    body = {"name": "n", "hostname": "h", "queues": ["images"], **values}
    answer = api.post(f"{ROOT}workers/", body)
    assert answer.status_code == 400
    assert field is None or field in answer.json()["errors"]
    assert not Worker.objects.exists()


def test_a_hostile_name_is_only_text(api: APIClient) -> None:
    name = "'; DROP TABLE workers; -- <script>alert(1)</script> ‮%s {0}"
    worker = Client(api, name=name)
    assert api.get(f"{ROOT}workers/{worker.id}/").json()["name"] == name
    client = Browser()
    client.force_login(UserFactory(is_superuser=True))
    page = client.get("/admin/queue_core/worker/").content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("claim", {"limit": 0}, "limit"),
        ("claim", {"limit": 1001}, "limit"),
        ("claim", {"wait": 31}, "wait"),
        ("claim", {"wait": -1}, "wait"),
        ("claim", {"limits": 1}, "limits"),
        ("heartbeat", {"holds": ["x"]}, "holds.0"),
        ("heartbeat", {"holds": [0]}, "holds.0"),
        ("heartbeat", {"holds": [1] * 1001}, "holds"),
    ],
)
def test_what_a_worker_asks_wrongly_is_a_400(worker: Client, verb: str, body: dict[str, Any], field: str) -> None:
    answer = worker.post(verb, **body)
    assert answer.status_code == 400
    assert field in answer.json()["errors"]


@pytest.mark.parametrize("lease", [None, "", "x", -1, [], "0" * 31])
def test_a_lease_that_is_none_is_a_400(worker: Client, lease: Any) -> None:
    add()
    (task,) = worker.claim()
    for verb in ("complete", "heartbeat", "fail"):
        answer = worker.tell(task, verb, lease=lease, **({"error": "e"} if verb == "fail" else {}))
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["lease"])


def test_external_and_own_tasks_keep_to_their_queues() -> None:
    for name, queue in (("tests.noop", "images"), ("image.resize", "default")):
        with pytest.raises(InvalidSubmission, match="cannot run"):
            services.submit(name, queue=queue)
    for name, queue in (("tests.noop", "images"), ("image.resize", "default")):
        with pytest.raises(InvalidSubmission, match="cannot run"):
            services.edit_task([services.submit(name).id], queue=queue)
    with pytest.raises(InvalidSubmission, match="width"):
        services.submit("image.crop", {})
    assert conf.own_queues() == ["high", "default", "mail", "low"]
    assert {"image.resize", "tests.noop"} <= set(registry.names())
    with pytest.raises(CommandError, match="Only workers of the pull protocol"):
        call_command("worker", "--queues=low,images")


@pytest.mark.django_db(transaction=True)
def test_limits_of_external_tasks_hold_over_all_workers(settings: Settings, api: Browser) -> None:
    workers = [Client(api, capacity=50), Client(api, capacity=50)]
    settings.QUEUE_EXTERNAL_TASKS = {
        "image.one": {"queue": "images", "max_running": 1},
        "image.slow": {"queue": "images", "rate": "2/h"},
        "image.shop": {"queue": "images", "key": "shop", "key_max_running": 1},
    }
    assert not run_checks(tags=["queue_core"])
    for name in ("image.one", "image.slow"):
        services.submit_many([services.build(name, {})] * 4)
    for shop in ("a", "a", "b"):
        services.submit("image.shop", {"shop": shop})
    claimed = [task for _ in range(4) for worker in workers for task in worker.claim(limit=10)]
    assert sorted(task["name"] for task in claimed) == [
        *("image.one", "image.shop", "image.shop"),
        "image.slow",  # the next is due in half an hour
    ]


@pytest.mark.parametrize(
    "tasks",
    [
        [],
        {"a": {}},
        {"a": {"queue": "images", "max_running": 0}},
        {"a": {"queue": "images", "rate": "fast"}},
        {"a": {"queue": "images", "rate": None}},
        {"a": {"queue": "images", "key": ""}},
        {"a": {"queue": "images", "key_max_running": "1"}},
        {"a": {"queue": "images", "key_rate": 5}},
        {"a": {"queue": "nowhere"}},
        {"a": {"queue": ["images"]}},
        {"a": {"queue": "default"}},
        {"tests.noop": {"queue": "images"}},
        {"a/b": {"queue": "images"}},
        {"a:b": {"queue": "images"}},
        {7: {"queue": "images"}},
        {"a": {"queue": "images", "timeout": 0}},
        {"a": {"queue": "images", "timeout": "60"}},
        {"a": {"queue": "images", "max_attempts": True}},
        {"a": {"queue": "images", "backoff": {"bas": 1}}},
        {"a": {"queue": "images", "schema": {"type": "nothing"}}},
        {"a": {"queue": "images", "priority": 101}},
        {"a": {"queue": "images", "label": "x"}},
    ],
)
def test_wrong_external_tasks_are_said_at_the_start(settings: Settings, tasks: Any) -> None:
    settings.QUEUE_EXTERNAL_TASKS = tasks
    assert "queue_core.E009" in {message.id for message in run_checks(tags=["queue_core"])}


def test_right_external_tasks_pass_the_checks() -> None:
    assert not run_checks(tags=["queue_core"])


# --- workflows


def steps(reference: str) -> tuple[int, int]:
    """A workflow of two steps, the second of which takes a result of the first; their tasks."""
    second = {"width": {"$result": reference}}
    workflow = services.submit_workflow(
        name="pictures",
        steps=[
            {"key": "small", "name": "image.resize", "payload": {}},
            {"key": "cut", "name": "image.crop", "payload": second, "depends_on": ["small"]},
        ],
    )
    first, last = Task.objects.filter(workflow=workflow).order_by("pk").values_list("pk", flat=True)
    return first, last


@pytest.mark.django_db(transaction=True)
def test_a_step_is_released_by_the_one_before_and_handed_its_result() -> None:
    worker = Client(client_of(UserFactory(is_superuser=True)))
    steps("small.width")
    (task,) = worker.claim(2)
    worker.tell(task, "complete", result={"width": 7})
    (task,) = worker.claim(2)
    assert (task["name"], task["payload"]) == ("image.crop", {"width": 7})


@pytest.mark.django_db(transaction=True)
def test_a_step_whose_result_is_not_there_has_failed_and_is_not_handed_out() -> None:
    worker = Client(client_of(UserFactory(is_superuser=True)))
    _, last = steps("small.height")
    (task,) = worker.claim(2)
    worker.tell(task, "complete", result={"width": 7})
    assert worker.claim(2) == []
    assert state(last) == "failed"
    assert "height" in Task.objects.get(pk=last).error


# --- waiting


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.fixture
def bell(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """In place of Valkey's."""
    rung = threading.Event()

    def wait(queues: list[str], seconds: float) -> bool:
        assert queues == ["images"]
        return rung.wait(seconds)

    monkeypatch.setattr(broker, "wait", wait)
    return rung


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_waits_is_woken_by_a_task(bell: threading.Event) -> None:
    worker = Client(client_of(UserFactory(is_superuser=True)))
    got: list[Any] = []
    started = time.monotonic()
    thread = in_thread(lambda: got.extend(worker.claim(2, wait=20)))
    time.sleep(0.4)
    (pk,) = add()
    bell.set()
    thread.join(10)
    assert [task["id"] for task in got] == [pk]
    assert time.monotonic() - started < 5


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_up", [True, False])
def test_a_claim_waits_as_long_as_asked_and_beats_meanwhile(
    bell: threading.Event, monkeypatch: pytest.MonkeyPatch, is_up: bool
) -> None:
    def down(queues: list[str], seconds: float) -> bool:
        raise broker.BrokerDown("away")

    if not is_up:
        monkeypatch.setattr(broker, "wait", down)
    worker = Client(client_of(UserFactory(is_superuser=True)))
    before = Worker.objects.get(pk=worker.id).heartbeat_at
    started = time.monotonic()
    assert worker.claim(wait=1.2) == []
    assert 1.1 < time.monotonic() - started < 4
    assert Worker.objects.get(pk=worker.id).heartbeat_at > before


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_waits_hears_of_pause_resume_and_drain(bell: threading.Event) -> None:
    worker = Client(client_of(UserFactory(is_superuser=True)))
    add()
    services.pause_worker([worker.id])
    got: list[Any] = []
    thread = in_thread(lambda: got.extend(worker.claim(wait=20)))
    time.sleep(0.5)
    services.resume_worker([worker.id])
    thread.join(5)
    assert len(got) == 1
    threading.Timer(0.3, lambda: (services.drain_worker([worker.id]), connections.close_all())).start()
    started = time.monotonic()
    assert worker.post("claim", wait=20).json()["desired"] == "drain"
    assert time.monotonic() - started < 5


def test_no_more_claims_wait_than_the_web_process_can_spare(worker: Client, settings: Settings) -> None:
    settings.QUEUE_PULL_WAITERS = 0
    started = time.monotonic()
    assert worker.post("claim", wait=10).json()["waited"] is False
    assert time.monotonic() - started < 3
