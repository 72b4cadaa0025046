from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Without holding up senders: the table may have millions of rows by now."""

    atomic = False

    dependencies = [("campaigns", "0011_scheduled_campaigns")]

    operations = [
        AddIndexConcurrently(
            model_name="recipient",
            index=models.Index(fields=["campaign", "id"], name="email_recipients_list"),
        ),
    ]
