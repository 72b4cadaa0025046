import datetime

from django.db import migrations
from django.utils import timezone

NAME = "Look after campaigns and imports"


def add_schedule(apps, schema_editor):
    now = timezone.now()
    apps.get_model("queue_core", "Schedule").objects.get_or_create(
        name=NAME,
        defaults={
            "task": "campaigns.oversee",
            "kind": "interval",
            "interval_seconds": 300,
            "missed": "skip",
            "starts_at": now,
            "next_fire_at": now + datetime.timedelta(minutes=5),
        },
    )


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0015_domain_limits"), ("queue_core", "0007_prune_schedule")]

    operations = [migrations.RunPython(add_schedule, migrations.RunPython.noop)]
