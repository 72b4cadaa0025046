"""Campaigns and imports whose tasks somebody took out of the queue."""

import datetime
import importlib
import io
import uuid
from collections.abc import Callable

import pytest
from django.apps import apps
from django.utils import timezone

from campaigns import lifecycle, services
from campaigns.models import Campaign, CampaignTask, Recipient, RecipientImport
from campaigns.services.oversee import OVERSEE, oversee
from campaigns.services.run_import import give_up_import
from queue_core import services as queue
from queue_core.models import Schedule, Task
from queue_core.services.fire_schedules import fire_schedules
from tests.campaigns.smtp_server import SmtpServer
from tests.factories import CampaignFactory, add_recipients

pytestmark = pytest.mark.django_db(transaction=True)
NOTHING = {"conducted": 0, "scheduled": 0, "imports_failed": 0, "checks_ended": 0}
FILE = b"email,name\nann@example.com,Ann\nbob@example.com,Bob\n"


def cancel_all() -> None:
    queue.cancel(list(Task.objects.live().values_list("pk", flat=True)))


def test_a_campaign_whose_tasks_were_cancelled_goes_on(work: Callable[..., None], smtp: SmtpServer) -> None:
    campaign = CampaignFactory()
    add_recipients(campaign, 3)
    services.launch(campaign)
    assert oversee() == NOTHING
    cancel_all()
    assert oversee() == {**NOTHING, "conducted": 1}
    assert oversee() == NOTHING
    work()
    work(wait=False)
    assert set(Recipient.objects.values_list("state", flat=True)) == {"sent"}
    assert Campaign.objects.get().state == "completed"
    assert len(smtp.bodies) == 3
    assert oversee() == NOTHING


def test_a_paused_one_can_be_resumed(work: Callable[..., None]) -> None:
    campaign = CampaignFactory()
    add_recipients(campaign, 1)
    services.launch(campaign)
    services.pause(campaign)
    cancel_all()
    assert oversee()["conducted"] == 1
    services.cancel(campaign)
    cancel_all()
    assert oversee() == NOTHING


def test_one_that_is_cancelled_settles_those_whose_sender_was_lost(work: Callable[..., None]) -> None:
    campaign = CampaignFactory()
    add_recipients(campaign, 3)
    services.launch(campaign)
    task, lease = CampaignTask.objects.get().task_id, uuid.uuid4()
    Task.objects.filter(pk=task).update(state="running", lease=lease)
    lifecycle.settle_and_lease(lease, [], lifecycle.Wish(campaign.pk, 0, 2**62, task, 1))
    services.cancel(campaign)
    Task.objects.filter(pk=task).update(state="queued", lease=None)
    cancel_all()
    assert oversee() == {**NOTHING, "conducted": 1}
    work()
    assert lifecycle.counts(campaign.pk)["sending"] == 0
    assert sorted(Recipient.objects.values_list("state", flat=True)) == ["pending", "pending", "unconfirmed"]
    assert oversee() == NOTHING


@pytest.mark.parametrize(("minutes", "state"), [(10, "scheduled"), (-10, "sending"), (-100, "draft")])
def test_a_scheduled_one_is_launched_as_if_its_task_had_been_late(
    work: Callable[..., None], minutes: int, state: str
) -> None:
    campaign = CampaignFactory()
    add_recipients(campaign, 1)
    services.schedule(campaign, timezone.now() + datetime.timedelta(hours=1), late_minutes=60)
    cancel_all()
    assert "gets another one" in services.status(Campaign.objects.get())["trouble"]
    at = timezone.now() + datetime.timedelta(minutes=minutes)
    Campaign.objects.update(scheduled_at=at)
    assert oversee() == {**NOTHING, "scheduled": 1}
    assert oversee() == NOTHING
    task = Task.objects.get(name="campaigns.launch_due", state="queued")
    assert abs((task.run_at - at).total_seconds()) < 1
    services.launch_due(campaign.pk, at) if minutes < 0 else None
    assert Campaign.objects.get().state == state


def test_an_import_fails_and_can_be_begun_again(work: Callable[..., None]) -> None:
    campaign = CampaignFactory()
    services.start_import(campaign, io.BytesIO(FILE), filename="a.csv")
    assert oversee() == NOTHING
    cancel_all()
    assert oversee() == {**NOTHING, "imports_failed": 1}
    job = RecipientImport.objects.get()
    assert job.state == "failed"
    assert "Begin it again" in job.error
    services.begin_import(job)
    work()
    job.refresh_from_db()
    assert (job.state, campaign.recipients.count()) == ("done", 2)


def test_a_check_ends() -> None:
    job = services.upload_import(CampaignFactory(), io.BytesIO(FILE), filename="a.csv")
    services.check_import(job)
    cancel_all()
    assert oversee() == {**NOTHING, "checks_ended": 1}
    job.refresh_from_db()
    assert (job.state, "Check it again" in job.error) == ("uploaded", True)


def test_a_purge_leaves_what_campaigns_need() -> None:
    campaign = CampaignFactory()
    add_recipients(campaign, 1)
    services.launch(campaign)
    queue.submit("queue_core.prune", {}, queue="mail")
    assert queue.purge_queue("mail").changed == 1
    assert oversee() == NOTHING


def test_it_is_shipped_as_a_schedule_that_can_run() -> None:
    migration = importlib.import_module("campaigns.migrations.0016_oversee_schedule")
    for _ in range(2):
        migration.add_schedule(apps, None)
    Schedule.objects.update(next_fire_at=timezone.now())
    assert fire_schedules(10) == 1
    assert Task.objects.get().name == OVERSEE


def almost_over() -> None:
    """The work of all live tasks is done, and their outcomes are on the way."""
    Task.objects.live().update(state="running", lease=uuid.uuid4())


def test_a_check_asked_for_while_the_last_one_is_not_quite_over_is_made() -> None:
    job = services.upload_import(CampaignFactory(), io.BytesIO(FILE), filename="a.csv")
    services.check_import(job)
    services.run_check(job.pk)
    almost_over()
    services.check_import(job)
    assert Task.objects.live().filter(name="campaigns.check_import_file", state="queued").count() == 1
    Task.objects.filter(state="running").update(state="succeeded", lease=None)
    assert oversee() == NOTHING
    cancel_all()
    assert oversee() == {**NOTHING, "checks_ended": 1}


def test_an_import_begun_again_while_its_failed_task_is_not_quite_over_is_made() -> None:
    job = services.start_import(CampaignFactory(), io.BytesIO(FILE), filename="a.csv")
    give_up_import(job.pk, "no")
    almost_over()
    job.refresh_from_db()
    services.begin_import(job)
    assert Task.objects.live().filter(name="campaigns.import_file", state="queued").count() == 1
    Task.objects.filter(state="running").update(state="failed", lease=None)
    assert oversee() == NOTHING
    cancel_all()
    assert oversee() == {**NOTHING, "imports_failed": 1}
