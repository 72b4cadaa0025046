"""What running tasks log, report and pass on."""

import logging
import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from queue_core import conf, lifecycle, origin, services
from queue_core.drain import Station
from queue_core.execution import Notes
from queue_core.execution.notes import log
from queue_core.hand import Hand
from queue_core.lifecycle import Ended
from queue_core.models import LogLine, Progress, Task
from queue_core.services.register_worker import register_worker
from queue_core.states import Outcome, TaskState
from tests import telling  # noqa: F401 - registers tests.telling.*
from tests.factories import UserFactory

Starter = Callable[[Callable[[], object]], threading.Thread]
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def run(station: Station, name: str, **payload: object) -> int:
    pk = services.submit(f"tests.telling.{name}", payload).id
    station.serve(10, burst=True)
    return pk


def messages(pk: int) -> list[str]:
    return list(LogLine.objects.filter(task=pk).order_by("pk").values_list("message", flat=True))


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_what_a_task_logs_is_kept_with_its_level_and_logger(station: Station) -> None:
    logging.getLogger("photos").setLevel(logging.DEBUG)
    pk = run(station, "say", words=["one", "two"])
    lines = LogLine.objects.filter(task=pk).order_by("pk")
    found = [(line.message, line.level, line.logger, line.attempt) for line in lines]
    assert found == [("one", 20, "photos", 1), ("two", 20, "photos", 1), ("by hand", 10, "context", 1)]
    assert lines[0].at <= lines[1].at <= Task.objects.get(pk=pk).finished_at


def test_nothing_logged_outside_of_a_task_is_kept(station: Station) -> None:
    logging.getLogger("photos").warning("outside")
    run(station, "say", words=[])
    assert not LogLine.objects.filter(message="outside").exists()


def test_the_level_setting_decides_what_is_kept(transactional_db: None, settings: Settings) -> None:
    settings.QUEUE_LOG_LEVEL = "ERROR"
    station = Station(conf.queues())
    station.open()
    pk = run(station, "say", words=["quiet"])
    station.close()
    assert messages(pk) == ["by hand"]


def test_ten_megabytes_are_cut_at_the_limit(station: Station, settings: Settings) -> None:
    settings.QUEUE_LOG_MAX_BYTES = 4096
    many, one = run(station, "flood", lines=10_000, length=1000), run(station, "flood", lines=1, length=10_000_000)
    for pk in (many, one):
        kept = messages(pk)
        assert sum(len(text.encode()) for text in kept[:-1]) == 4096
        assert kept[-1] == "log cut at 4 KiB"
        assert Task.objects.get(pk=pk).state == "succeeded"


def test_odd_things_in_a_log_harm_nobody(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest's own handler raises what every other one prints, and cannot send half a character between processes.
    monkeypatch.setattr("_pytest.logging.LogCaptureHandler.emit", lambda *_: None)
    pk = run(station, "odd")
    assert Task.objects.get(pk=pk).state == "succeeded"
    kept = messages(pk)
    assert kept[0] == "a\\x00b \\udc80"
    assert kept[1] == "{'not': 'a string'}"
    assert "while formatting a message" in kept[2]
    assert kept[3].startswith("caught\nTraceback")
    assert kept[4] == "Unreadable whose text could not be read: ZeroDivisionError"
    assert kept[5] == "None"


def test_coroutines_and_threads_beside_each_other_keep_their_lines_apart(transactional_db: None) -> None:
    station = Station(conf.queues(), threads=3)
    station.open()
    pks = {services.submit("tests.telling.murmur", {"word": f"w{n}"}).id: f"w{n}" for n in range(8)}
    pks |= {services.submit("tests.telling.slow_say", {"word": f"s{n}"}).id: f"s{n}" for n in range(6)}
    station.serve(10, burst=True)
    station.close()
    for pk, word in pks.items():
        assert messages(pk) == [f"{word} begins", f"{word} ends"]


def test_the_log_of_a_running_task_can_be_followed(station: Station, in_thread: Starter) -> None:
    pk = services.submit("tests.telling.slow_say", {"word": "x", "seconds": 2.0}).id
    seen: list[tuple[list[str], str]] = []

    def look() -> None:
        if wait_until(lambda: bool(messages(pk)), 1.8):
            seen.append((messages(pk), Task.objects.get(pk=pk).state))

    thread = in_thread(look)
    station.serve(10, burst=True)
    thread.join()
    assert seen == [(["x begins"], "running")]


def test_progress_is_written_while_the_task_runs_with_the_time_left(station: Station, in_thread: Starter) -> None:
    pk = services.submit("tests.telling.count", {"steps": 30, "pause": 0.08}).id
    seen: list[Progress] = []

    def look() -> None:
        def halfway() -> bool:
            row = Progress.objects.filter(pk=pk).first()
            if row and row.seconds_left is not None and (not seen or row.updated_at != seen[-1].updated_at):
                seen.append(row)
            return bool(row and row.done >= 22)

        wait_until(halfway, 4)

    thread = in_thread(look)
    station.serve(10, burst=True)
    thread.join()
    assert 2 <= len(seen) <= 6  # at most about twice a second
    assert 0 < (seen[0].seconds_left or 0) < 5
    last = Progress.objects.get(pk=pk)
    assert (last.done, last.total, last.percent, last.note, last.attempt) == (30, 30, 100.0, "step 30", 1)


@pytest.mark.parametrize("done", ["NaN", "-1", "Infinity", '"many"', "true", "null", "1" + "0" * 400])
def test_progress_that_is_no_amount_fails_the_task_with_a_reason(station: Station, done: str) -> None:
    pk = run(station, "report", done=done)
    assert "progress: done must be a number from 0 up, not" in Task.objects.get(pk=pk).error


@pytest.mark.parametrize(
    ("done", "total", "percent"), [(0, 0, 100.0), (5, 2, 100.0), (1e308, None, None), (1, 3, 33.3)]
)
def test_progress_takes_every_amount_there_is(
    station: Station, done: float, total: float | None, percent: float | None
) -> None:
    pk = run(station, "report", done=str(done), total=total)
    assert Progress.objects.get(pk=pk).percent == percent


def test_an_attempt_that_lost_its_lease_says_nothing_any_more(worker_id: int, lose: Callable[[int], None]) -> None:
    pk = services.submit("tests.noop").id
    (first,) = lifecycle.claim(["default"], worker_id, 1)
    lose(worker_id)
    lifecycle.rescue(10)
    (second,) = lifecycle.claim(["default"], register_worker(["default"]), 1)
    for attempt, done in ((second, 5.0), (first, 9.0)):
        lifecycle.report([lifecycle.Report(pk, attempt.attempt, attempt.lease, done, None, "")])
        lifecycle.log([lifecycle.Line(pk, attempt.attempt, attempt.lease, 0.0, 20, "x", f"said {done:g}")])
    assert Progress.objects.get().done == 5
    assert messages(pk) == ["said 5"]


def test_what_a_task_says_last_is_kept_whoever_writes_meanwhile(
    worker_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pk = services.submit("tests.telling.say", {"words": []}).id
    hand, write = Hand(), Notes.write
    hand.take(lifecycle.claim(["default"], worker_id, 1))

    def end_meanwhile(notes: Notes) -> None:
        write(notes)
        run = hand.next()
        if run:
            log(run, "the last word", logging.INFO, "x")
            hand.done(run, Ended(run.task, TaskState.SUCCEEDED, Outcome.SUCCEEDED, 0.0, 0.1))

    monkeypatch.setattr(Notes, "write", end_meanwhile)
    hand.flush()
    hand.flush()
    assert (messages(pk), Task.objects.get(pk=pk).state) == (["the last word"], "succeeded")


def test_retry_clears_progress_and_prune_takes_all(station: Station, settings: Settings) -> None:
    settings.QUEUE_KEEP_DAYS = {"succeeded": 0, "failed": 0}
    failed, done = run(station, "fail_halfway"), run(station, "report", done="1")
    assert Progress.objects.count() == 2
    services.retry([failed])
    assert list(Progress.objects.values_list("pk", flat=True)) == [done]
    station.serve(10, burst=True)
    time.sleep(0.01)
    services.prune()
    assert not Progress.objects.exists()
    assert not LogLine.objects.exists()


def test_a_submission_knows_its_request_and_its_children_know_them_too(station: Station) -> None:
    user = UserFactory(is_superuser=True)
    client = APIClient()
    client.force_login(user)
    headers = {"X-Request-ID": "req-1", "traceparent": TRACE}
    answer = client.post("/api/v1/tasks/", {"name": "tests.telling.parent"}, headers=headers)
    parent = answer.json()["id"]
    told = {"request_id": "req-1", "traceparent": TRACE, "user_id": user.pk}
    assert Task.objects.get(pk=parent).context == {**told, "door": "api"}
    station.serve(10, burst=True)
    child = Task.objects.exclude(pk=parent).get()
    assert child.context == {**told, "parent_task": parent}
    detail = client.get(f"/api/v1/tasks/{child.pk}/").json()
    assert detail["origin"] == {**told, "parent_task": parent, "door": None}
    page = client.get(f"/admin/queue_core/task/{child.pk}/change/").content.decode()
    assert f"task {parent}</a>, for {user.get_username()}" in page
    assert "req-1" in page


@pytest.mark.parametrize(
    "bad", ["", "x", TRACE.upper(), TRACE + "-x", f"ff{TRACE[2:]}", f"00-{'0' * 32}-{'1' * 16}-01"]
)
def test_a_trace_that_is_none_is_not_passed_on(bad: str) -> None:
    assert origin.valid_traceparent(bad) == ""


@pytest.mark.django_db
def test_what_nobody_asked_for_has_no_origin(admin_client: Client) -> None:
    pk = services.submit("tests.noop").id
    assert Task.objects.get(pk=pk).context is None
    assert admin_client.get(f"/admin/queue_core/task/{pk}/change/").status_code == 200
    assert admin_client.get(f"/api/v1/tasks/{pk}/").json()["origin"] is None


def test_records_of_the_process_carry_the_task(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(origin.LogFields())
    pk = run(station, "say", words=["hello"])
    (record,) = [record for record in caplog.records if record.getMessage() == "hello"]
    assert (record.task_id, record.task, record.attempt) == (pk, "tests.telling.say", 1)  # type: ignore[attr-defined]
    assert record.about == f" [task {pk} tests.telling.say attempt 1]"  # type: ignore[attr-defined]


@pytest.mark.django_db
def test_the_api_follows_a_log_by_its_last_id(admin_client: Client, worker_id: int) -> None:
    pk = services.submit("tests.noop").id
    (task,) = lifecycle.claim(["default"], worker_id, 1)
    lifecycle.log([lifecycle.Line(pk, 1, task.lease, 0.0, 20, "x", f"line {n}") for n in range(1002)])
    first = admin_client.get(f"/api/v1/tasks/{pk}/logs/").json()
    assert [line["message"] for line in first["results"]] == [f"line {n}" for n in range(1000)]
    rest = admin_client.get(first["next"]).json()
    assert [line["message"] for line in rest["results"]] == ["line 1000", "line 1001"]
    assert rest["next"] is None
    last = rest["results"][-1]["id"]
    assert admin_client.get(f"/api/v1/tasks/{pk}/logs/?after={last}").json()["results"] == []
    few = admin_client.get(f"/api/v1/tasks/{pk}/logs/?page_size=2").json()
    assert [line["message"] for line in few["results"]] == ["line 0", "line 1"]
    assert [line["message"] for line in admin_client.get(few["next"]).json()["results"]] == ["line 2", "line 3"]
    for bad in ("x", "-1", "9" * 40, "%00", "٣"):
        assert admin_client.get(f"/api/v1/tasks/{pk}/logs/?after={bad}").status_code == 400
    for bad in ("0", "1001", "x"):
        assert admin_client.get(f"/api/v1/tasks/{pk}/logs/?page_size={bad}").status_code == 400


@pytest.mark.django_db
def test_the_tasks_page_shows_progress_and_logs_as_text(admin_client: Client, worker_id: int) -> None:
    pk = services.submit("tests.noop").id
    (task,) = lifecycle.claim(["default"], worker_id, 1)
    lifecycle.report([lifecycle.Report(pk, 1, task.lease, 10, 40, "<b>rows</b>")])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE task_progress SET started_at = now() - interval '1 min', first_done = 0")
    lifecycle.log([lifecycle.Line(pk, 1, task.lease, 0.0, 40, "x", "<script>alert(1)</script>")])
    page = admin_client.get(f"/admin/queue_core/task/{pk}/change/").content.decode()
    assert "25 %" in page
    assert "10 of 40 · &lt;b&gt;rows&lt;/b&gt; · about 3 min left" in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
