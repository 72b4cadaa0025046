"""A campaign is launched once, whoever launches it: real processes, held back until all are at the lock."""

import datetime

import pytest
from django.db import connection, transaction

from campaigns import services
from campaigns.models import Campaign, CampaignTask
from queue_core.models import Task
from queue_core.services.clock import database_time
from tests.e2e.conftest import Manage, wait_until
from tests.factories import CampaignFactory, add_recipients

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
SOON = datetime.timedelta(seconds=1)
# Of pg_stat_activity a transaction sees one and the same picture all along.
_WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


def waiting() -> int:
    """How many other connections wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING)
        return int(cursor.fetchone()[0])


def test_of_two_processes_that_launch_at_once_one_does(manage: Manage) -> None:
    campaign = CampaignFactory.create()
    add_recipients(campaign, 3)
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)
        racing = [manage.start("launch_campaign", str(campaign.pk)) for _ in range(2)]
        assert wait_until(lambda: waiting() == 2, 30)
    assert sorted(process.wait(30) for process in racing) == [0, 1]
    assert "is sending; it cannot be launched" in manage.log.read_text()
    assert CampaignTask.objects.count() == 1
    assert Task.objects.filter(name="campaigns.conduct").count() == 1


def test_with_two_schedulers_a_scheduled_campaign_is_launched_once(manage: Manage) -> None:
    campaign = CampaignFactory.create()
    add_recipients(campaign, 3)
    services.schedule(campaign, database_time() + SOON)
    for _ in range(2):
        manage.start("scheduler")
    manage.start("worker", "--processes", "2")
    assert wait_until(lambda: Campaign.objects.filter(pk=campaign.pk, launched_at__isnull=False).exists(), 30)
    assert CampaignTask.objects.count() == 1
    assert Task.objects.filter(name="campaigns.conduct").count() == 1
