"""Schedules whose task or queue is gone are told by the checks of the database."""

from typing import Any

import pytest
from django.core.checks import Tags, run_checks

from queue_core import services
from queue_core.models import Schedule

pytestmark = pytest.mark.django_db


def told() -> str:
    found = run_checks(tags=[Tags.database], databases=["default"])
    return " ".join(message.msg for message in found if message.id == "queue_core.W001")


def test_nothing_is_said_while_all_can_fire() -> None:
    services.save_schedule(name="fine", task="tests.noop", expression="@daily")
    assert told() == ""


def test_a_task_or_a_queue_that_is_gone_is_named(settings: Any) -> None:
    for number in range(7):
        services.save_schedule(name=f"s{number}", task="tests.noop", expression="@daily")
    Schedule.objects.filter(name="s0").update(task="gone.task")
    Schedule.objects.filter(name="s1").update(queue="gone-queue")
    Schedule.objects.filter(name="s2").update(task="gone.task", paused=True)
    assert told() == (
        "Schedules that cannot fire: “s0” fires the task gone.task, which no code registers; "
        "“s1” fires into the queue gone-queue, which QUEUES does not have."
    )
    Schedule.objects.filter(paused=False).update(task="gone.task")
    assert "and 1 more" in told()
    assert run_checks(tags=[Tags.database]) == [
        message for message in run_checks(tags=[Tags.database]) if message.id != "queue_core.W001"
    ]
