from django.db import migrations
from django.utils import timezone

NAME = "Forget finished tasks"


def add_schedule(apps, schema_editor):
    """Pruning is a schedule like any other: seen, paused and changed in the admin."""
    now = timezone.now()
    apps.get_model("queue_core", "Schedule").objects.get_or_create(
        name=NAME,
        defaults={
            "task": "queue_core.prune",
            "kind": "cron",
            "expression": "17 * * * *",
            "missed": "skip",
            "starts_at": now,
            # The first look; from then on the rhythm says.
            "next_fire_at": now.replace(minute=17, second=0, microsecond=0) + timezone.timedelta(hours=1),
        },
    )


class Migration(migrations.Migration):
    dependencies = [("queue_core", "0006_open_dead_letters")]

    operations = [migrations.RunPython(add_schedule, migrations.RunPython.noop)]
