import importlib

import pytest
from django.apps import apps

from queue_core import registry
from queue_core.cron import Cron, zone_of
from queue_core.models import Schedule


@pytest.mark.django_db
def test_pruning_is_shipped_as_a_schedule_that_can_run() -> None:
    migration = importlib.import_module("queue_core.migrations.0007_prune_schedule")
    for _ in range(2):
        migration.add_schedule(apps, None)
    schedule = Schedule.objects.get()
    assert registry.get(schedule.task).name == "queue_core.prune"
    cron = Cron.parse(schedule.expression, zone_of(schedule.timezone))
    assert next(iter(cron.after(schedule.starts_at))) <= schedule.next_fire_at
