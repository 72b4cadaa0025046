"""A bulk operation whose worker is killed in the middle of it."""

import os
import signal

import pytest
from django.db import connection

from queue_core import services
from queue_core.models import Task
from tests.e2e.conftest import Manage, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
ROWS = 60_000


def test_a_killed_worker_repeats_and_leaves_out_nothing(manage: Manage) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tasks (name, queue, state, payload) SELECT 'tests.noop', 'default', 'cancelled', '{}'"
            " FROM generate_series(1, %s)",
            [ROWS],
        )
    made = services.start_bulk("pin", query="state:cancelled")

    def seen() -> int:
        made.refresh_from_db()
        return made.seen

    worker = manage.start("worker", "--processes", "1")
    assert wait_until(lambda: seen() > 0, every=0.01)
    for pid in manage.children(worker):
        os.kill(pid, signal.SIGKILL)
    assert not made.is_over
    assert wait_until(lambda: seen() == ROWS and made.is_over, 60)
    assert (made.state, made.changed, made.skipped) == ("done", ROWS, 0)
    assert Task.objects.filter(pinned=True).count() == ROWS
    assert Task.objects.get(name="queue_core.bulk").crashes == 1
