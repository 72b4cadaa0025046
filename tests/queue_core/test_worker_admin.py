"""The pages of workers and pools, and what people ask of them there."""

import datetime
import re
import uuid
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from queue_core.models import Task, Worker, WorkerPool
from queue_core.services.worker_pool import close_pool, open_pool
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
SECOND = datetime.timedelta(seconds=1)


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(UserFactory(permissions=["view_worker", "steer_worker"]))
    return client


@pytest.fixture
def viewer(client: Client) -> Client:
    client.force_login(UserFactory(permissions=["view_worker"]))
    return client


def url(page: str, *args: Any) -> str:
    return reverse(f"admin:queue_core_worker_{page}", args=args)


def running(seconds: int = 0) -> Task:
    started = timezone.now() - seconds * SECOND
    return Task.objects.create(name="tests.noop", queue="mail", state="running", lease=uuid.uuid4(), started_at=started)


def worker(name: str = "w", seconds: int = 60, **values: Any) -> Worker:
    until = timezone.now() + seconds * SECOND
    return Worker.objects.create(name=name, hostname="h", pid=1, queues=["mail"], lease_until=until, **values)


def text_of(answer: Any) -> str:
    assert answer.status_code == 200
    return unescape(answer.content.decode())


def steer(client: Client, verb: str, *workers: Worker, **more: Any) -> Any:
    return client.post(url("steer"), {"verb": verb, "worker": [one.pk for one in workers], **more}, follow=True)


def desired() -> list[str]:
    return list(Worker.objects.order_by("pk").values_list("desired", flat=True))


def test_the_page_shows_pools_and_what_each_worker_runs(operator: Client) -> None:
    open_pool(["mail", "low"], 3)
    task = running(90)
    worker(current_task=task.pk, memory_mib=61, cpu_percent=43.5, succeeded_tasks=8120, failed_tasks=7)
    worker("<b>idle</b>")
    page = text_of(operator.get(url("changelist")))
    assert WorkerPool.objects.get().name in page
    assert "mail, low" in page
    assert reverse("admin:queue_core_task_change", args=[task.pk]) in page
    for part in (f"tests.noop #{task.pk}", "for 1 min 3", "61 MiB", "44 %", "8120", "just now", "idle"):
        assert part in page
    assert b"<b>idle" not in operator.get(url("changelist")).content


@pytest.mark.parametrize("state", ["", "?state=lost", "?state=stopped"])
def test_each_list_of_workers_has_tabs_to_the_others(state: str, viewer: Client) -> None:
    page = text_of(viewer.get(url("changelist") + state))
    for link in ("?", "?state=lost", "?state=stopped"):
        assert f'href="{url("changelist")}{link}"' in page


def test_a_page_says_whether_what_was_asked_was_heard(viewer: Client) -> None:
    asked = timezone.now() - 12 * SECOND
    heard = {"desired_at": asked, "desired": "pause"}
    pages = [
        worker(**heard, acknowledged="pause", acknowledged_at=asked + 0.4 * SECOND),
        worker(**heard),
        worker(**heard, state="lost"),
        worker(desired_at=asked, desired="run", acknowledged="pause"),
    ]
    said = [text_of(viewer.get(url("change", one.pk))) for one in pages]
    assert "paused, acknowledged after 400 ms" in said[0]
    assert re.search(r"asked to pause 1\d s ago, not heard yet", said[1])
    assert re.search(r"asked to pause 1\d s ago, never heard", said[2])
    assert re.search(r"asked to resume 1\d s ago, not heard yet", said[3])


def test_an_empty_fleet_says_what_to_do(operator: Client) -> None:
    close_pool(open_pool(["mail"], 1))
    worker(seconds=-60)
    page = text_of(operator.get(url("changelist")))
    assert "manage.py worker" in page
    assert "No worker is alive" in page


def test_ended_workers_are_behind_tabs(viewer: Client) -> None:
    worker("living"), worker("silent", -60), worker("dead", state="lost"), worker("gone", state="stopped")
    assert "living" in text_of(viewer.get(url("changelist")))
    for state, names in {"lost": {"silent", "dead"}, "stopped": {"gone"}}.items():
        found = viewer.get(url("changelist"), {"state": state}).context["cl"].result_list
        assert {one.name for one in found} == names


def test_the_page_asks_as_much_for_500_workers_as_for_three(operator: Client) -> None:
    counts = []
    for number in (3, 497, 1):
        for _ in range(number):
            task = running()
            worker(current_task=task.pk)
        operator.get(url("changelist"))
        with CaptureQueriesContext(
            connection,
        ) as queries:
            page = text_of(operator.get(url("changelist")))
        counts.append(len(queries))
    assert len(set(counts)) == 1
    assert "The first 500 are shown" in page


def test_ticked_workers_are_paused_and_resumed(operator: Client) -> None:
    one, two, _ = worker(), worker(), worker()
    assert "Paused 2 workers." in text_of(steer(operator, "pause", one, two))
    assert desired() == ["pause", "pause", "run"]
    assert "Resumed 1 worker." in text_of(steer(operator, "resume", one))
    assert LogEntry.objects.filter(change_message__contains="Paused 2 workers. (admin)").exists()
    assert "Paused 0 workers; 1 was not at work." in text_of(steer(operator, "pause", two))


@pytest.mark.parametrize("verb", ["drain", "stop"])
def test_what_ends_workers_asks_first(operator: Client, verb: str) -> None:
    one, two = worker(), worker()
    assert f"{verb.capitalize()} 2 workers?" in text_of(steer(operator, verb, one, two))
    assert desired() == ["run", "run"]
    steer(operator, verb, one, two, sure="1")
    assert desired() == [verb, verb]


def test_the_buttons_of_a_worker_are_those_that_fit_and_lead_back_to_it(operator: Client) -> None:
    one = worker(desired="pause")
    offered = [button["verb"] for button in operator.get(url("change", one.pk)).context["verbs"]]
    assert offered == ["resume", "drain", "stop"]
    answer = steer(operator, "resume", one, alone="1")
    assert answer.redirect_chain[-1][0] == url("change", one.pk)
    gone = worker(state="stopped")
    assert operator.get(url("change", gone.pk)).context["verbs"] == []


@pytest.mark.parametrize(
    "body",
    [{}, {"verb": "pause"}, {"verb": "kill", "worker": 1}, {"verb": "stop", "worker": "x"}]
    + [{"verb": "pause", "worker": value} for value in (["1", "²"], "9" * 19, "0", "-1", [""])],
)
def test_what_is_no_choice_changes_nothing(operator: Client, body: dict[str, Any]) -> None:
    worker()
    assert "Tick the workers" in text_of(operator.post(url("steer"), body, follow=True))
    assert desired() == ["run"]


def test_a_pool_is_scaled(operator: Client) -> None:
    pool = open_pool(["mail"], 1)
    assert "is to have 5 workers" in text_of(operator.post(url("scale", pool), {"wanted": 5}, follow=True))
    for wanted in ("", "0", "257", "x", "1e3", "9" * 500):
        page = text_of(operator.post(url("scale", pool), {"wanted": wanted}, follow=True))
        assert "1 to 256 processes" in page
    assert WorkerPool.objects.get().wanted == 5
    assert "There is no pool" in text_of(operator.post(url("scale", pool + 1), {"wanted": 2}, follow=True))
    assert operator.post(url("scale", 2**70), {"wanted": 2}, follow=True).status_code == 200


def test_who_may_only_look_sees_no_buttons_and_is_refused(viewer: Client) -> None:
    pool, one = open_pool(["mail"], 1), worker()
    for page in (url("changelist"), url("change", one.pk)):
        content = text_of(viewer.get(page))
        assert url("scale", pool) not in content
        assert 'name="verb"' not in content
    for verb in ("pause", "resume", "drain", "stop"):
        assert steer(viewer, verb, one, sure="1").status_code == 403
    assert viewer.post(url("scale", pool), {"wanted": 9}).status_code == 403
    assert (desired(), WorkerPool.objects.get().wanted) == (["run"], 1)


def test_verbs_are_not_for_links(operator: Client) -> None:
    assert [operator.get(page).status_code for page in (url("steer"), url("scale", 1))] == [405, 405]


def test_strangers_see_nothing(client: Client) -> None:
    client.force_login(UserFactory(permissions=["steer_worker"]))
    assert client.get(url("changelist")).status_code == 403
    assert steer(client, "pause", worker()).status_code == 403
