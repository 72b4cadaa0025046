"""A list imported by real worker processes that are killed while they do it."""

import io
import os
import signal

import pytest
from django.core.files.storage import default_storage

from campaigns import lifecycle, services
from campaigns.models import Recipient, RecipientImport
from tests.e2e.conftest import Manage, wait_until
from tests.factories import CampaignFactory, counts_by_scan

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
ROWS = 100_000


def test_kill_9_of_workers_in_mid_import_counts_every_row_once(manage: Manage) -> None:
    campaign = CampaignFactory.create()
    # Every tenth address stands there a second time, far away, and every twentieth is none.
    lines = [f"p{n % (ROWS * 9 // 10)}@example.com" if n % 20 else f"nobody{n}" for n in range(ROWS)]
    good = [line for line in lines if "@" in line]
    job = services.start_import(campaign, io.BytesIO("\n".join(["email", *lines]).encode()), filename="p.csv")

    def position() -> int:
        return RecipientImport.objects.values_list("position", flat=True).get(pk=job.pk)

    def is_done() -> bool:
        return RecipientImport.objects.filter(pk=job.pk, state="done").exists()

    manage.start("scheduler", QUICK_LEASE="1")
    pool, killed, reached = manage.start("worker", "--queues", "default", QUICK_LEASE="1"), 0, -1
    while killed < 2:
        assert wait_until(lambda: position() > reached or is_done(), 60, every=0.01)  # noqa: B023 - used at once
        if is_done():
            break
        reached = position()
        for pid in [pool.pid, *manage.children(pool)]:
            os.kill(pid, signal.SIGKILL)
        pool.wait(5)
        killed += 1
        pool = manage.start("worker", "--queues", "default", QUICK_LEASE="1")
    assert wait_until(is_done, 90)
    assert killed == 2
    job.refresh_from_db()
    assert (job.records, job.created, job.invalid) == (ROWS, len(set(good)), ROWS - len(good))
    assert (job.duplicates, job.existing) == (len(good) - len(set(good)), 0)
    assert Recipient.objects.count() == len(set(good))
    assert lifecycle.counts(campaign.pk) == counts_by_scan(campaign)
    default_storage.delete(job.file)
