"""The pages of a task that change what is there, and the export of the list."""

import datetime
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from queue_core import services
from queue_core.models import Execution, Task
from queue_core.testing import drain
from tests.factories import UserFactory, make_dead_letters

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(client: Client) -> Client:
    client.force_login(UserFactory(is_superuser=True))
    return client


def url(page: str, *args: Any) -> str:
    return reverse(f"admin:queue_core_{page}", args=args)


def waiting(**options: Any) -> int:
    return services.submit("tests.typed", {"photo": 1}, delay=60, **options).id


def over() -> int:
    pk = services.submit("tests.typed", {"photo": 1}).id
    drain()
    return pk


def filled(task: Task, **changes: str) -> dict[str, str]:
    return {
        "queue": task.queue,
        "priority": str(task.priority),
        "max_attempts": str(task.max_attempts),
        "run_at": task.run_at.strftime("%Y-%m-%dT%H:%M:%S"),
        "tags": ", ".join(task.tags),
        "payload": json.dumps(task.payload),
        **changes,
    }


def test_a_waiting_task_is_edited_in_what_was_changed(owner: Client) -> None:
    pk = waiting(tags=["a"])
    task = Task.objects.get(pk=pk)
    assert owner.get(url("task_edit", pk)).status_code == 200
    answer = owner.post(
        url("task_edit", pk), filled(task, priority="7", tags="a, b", payload='{"photo": 2}'), follow=True
    )
    assert "Changed payload, priority, tags" in answer.content.decode()
    edited = Task.objects.get(pk=pk)
    assert (edited.priority, edited.tags, edited.payload, edited.run_at) == (7, ["a", "b"], {"photo": 2}, task.run_at)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", "101"),
        ("priority", ""),
        ("queue", "nowhere"),
        ("run_at", "soon"),
        ("payload", '{"photo": "x"}'),
        ("payload", "["),
        ("tags", "x" * 65),
        ("max_attempts", "0"),
    ],
)
def test_a_mistake_in_an_edit_changes_nothing(owner: Client, field: str, value: str) -> None:
    pk = waiting()
    before = Task.objects.values().get(pk=pk)
    answer = owner.post(url("task_edit", pk), filled(Task.objects.get(pk=pk), **{field: value}))
    assert list(answer.context["form"].errors) == [field]
    assert Task.objects.values().get(pk=pk) == before


def test_a_task_that_is_over_is_not_edited(owner: Client) -> None:
    pk = over()
    answer = owner.post(url("task_edit", pk), filled(Task.objects.get(pk=pk), priority="7"), follow=True)
    assert "not waiting any more" in answer.content.decode()
    assert Task.objects.get(pk=pk).priority == 0


def test_a_task_is_replayed_with_another_payload(owner: Client) -> None:
    pk = over()
    refused = owner.post(url("task_replay", pk), {"payload": '{"photo": null}'})
    assert "payload" in refused.context["form"].errors
    owner.post(url("task_replay", pk), {"payload": '{"photo": 8}'})
    assert Task.objects.get(replay_of=pk).payload == {"photo": 8}
    waits = waiting()
    answer = owner.post(url("task_replay", waits), {"payload": '{"photo": 1}'}, follow=True)
    assert "is not over yet" in answer.content.decode()
    assert not Task.objects.filter(replay_of=waits).exists()


def test_a_task_that_is_over_is_deleted_after_a_question(owner: Client) -> None:
    pk, waits = over(), waiting()
    assert "cannot be undone" in owner.get(url("task_forget", pk)).content.decode()
    services.pin([pk])
    assert "unpin it first" in owner.post(url("task_forget", pk), follow=True).content.decode()
    services.unpin([pk])
    owner.post(url("task_forget", pk))
    assert "cancel it first" in owner.post(url("task_forget", waits), follow=True).content.decode()
    assert list(Task.objects.values_list("pk", flat=True)) == [waits]


def test_a_task_is_pinned_and_unpinned(owner: Client) -> None:
    pk = over()
    assert owner.get(url("task_pin", pk)).status_code == 405
    for page, pinned in (("task_pin", True), ("task_unpin", False)):
        owner.post(url(page, pk))
        assert Task.objects.get(pk=pk).pinned is pinned


def test_the_list_is_exported_as_it_is_filtered(owner: Client) -> None:
    over()
    pk = waiting(queue="low")
    shown = owner.get(url("task_changelist"), {"queue": "low"}).content.decode()
    assert f"{url('task_export')}?queue=low" in shown
    lines = b"".join(owner.get(url("task_export"), {"queue": "low"}).streaming_content).decode().splitlines()
    assert [line.split(",")[0] for line in lines] == ["id", str(pk)]


def test_a_queue_is_purged_after_a_question(owner: Client) -> None:
    pk = waiting(queue="low")
    assert "Cancel everything" in owner.get(url("queue_purge", "low")).content.decode()
    assert Task.objects.get(pk=pk).state == "queued"
    answer = owner.post(url("queue_purge", "low"), follow=True)
    assert "Cancelled 1 task of the queue low." in answer.content.decode()
    assert Task.objects.get(pk=pk).state == "cancelled"
    assert owner.post(url("queue_purge", "nowhere")).status_code == 404


@pytest.mark.parametrize("page", ["task_edit", "task_replay", "task_forget", "task_pin", "task_unpin", "queue_purge"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_who_may_only_look_changes_nothing(client: Client, page: str, method: str) -> None:
    client.force_login(UserFactory(permissions=["view_task", "view_queue"]))
    target = "low" if page == "queue_purge" else over()
    assert getattr(client, method)(url(page, target)).status_code == 403
    assert getattr(Client(), method)(url(page, target)).status_code == 302


def test_the_export_is_for_who_may_look(client: Client) -> None:
    client.force_login(UserFactory(permissions=["view_queue"]))
    assert client.get(url("task_export")).status_code == 403


def test_the_queues_page_links_to_the_tasks_of_each(owner: Client) -> None:
    pk = waiting(queue="low")
    services.submit("tests.noop", queue="high")
    link = f"{url('task_changelist')}?queue=low"
    assert link in owner.get(url("queue_changelist")).content.decode()
    assert [task.pk for task in owner.get(link).context["cl"].result_list] == [pk]


def test_a_page_leads_to_what_repeats_it_and_to_its_dead_letter(owner: Client) -> None:
    (letter,) = make_dead_letters(1)
    made = services.replay([letter.task_id])[letter.task_id]
    page = owner.get(url("task_change", letter.task_id)).content.decode()
    for link in (
        url("task_change", made),
        url("deadletter_change", letter.pk),
        url("deadlettergroup_change", letter.fingerprint),
    ):
        assert f'href="{link}"' in page
    assert "Replayed as" in page
    assert "(replayed), of the group" in page
    back = owner.get(url("task_change", made)).content.decode()
    assert "Replay of" in back
    assert f'href="{url("task_change", letter.task_id)}"' in back
    assert "Dead letter<" not in back
    first = letter.task_id
    for _ in range(12):
        services.replay([first])
    many = owner.get(url("task_change", first)).content.decode()
    assert "and more" in many


def test_a_duration_is_that_of_the_attempt_not_of_its_wait_for_a_free_thread(owner: Client) -> None:
    pk = over()
    task = Task.objects.get(pk=pk)
    start = task.started_at + datetime.timedelta(seconds=60)
    Execution.objects.filter(task=pk).update(started_at=start, finished_at=start + datetime.timedelta(seconds=7))
    Task.objects.filter(pk=pk).update(finished_at=start + datetime.timedelta(seconds=70))
    never = services.submit("tests.noop").id
    services.cancel([never])
    shown = {row.pk: row for row in owner.get(url("task_changelist")).context["cl"].result_list}
    assert (shown[pk].took.total_seconds(), shown[never].took) == (7, None)
    assert dict(owner.get(url("task_change", pk)).context["facts"])["Duration"] == "7.0 s"
    assert dict(owner.get(url("task_change", never)).context["facts"])["Duration"] == "–"


def test_a_name_in_the_path_above_a_page_is_not_capitalised(owner: Client) -> None:
    page = owner.get(url("task_change", over())).content.decode()
    assert re.search(r">\s*tests\.typed #\d+\s*</a", page)
    assert not re.search(r">\s*Tests\.typed", page)
