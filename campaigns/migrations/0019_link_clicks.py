import django.db.models.deletion
from django.db import migrations, models

# Clicks on tracked links that are on record already; of each recipient there is the first on each link.
_KNOWN = """
UPDATE campaign_events e SET link_id = l.id FROM tracked_links l
WHERE e.kind = 'clicked' AND l.campaign_id = e.campaign_id AND l.digest = encode(sha256(convert_to(e.detail, 'UTF8')), 'hex')
"""
_COUNTED = """
INSERT INTO tracked_link_counts (link_id, shard, clicks, people)
SELECT link_id, 0, count(*), count(DISTINCT recipient_id) FROM campaign_events
WHERE link_id IS NOT NULL GROUP BY link_id
"""


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0018_campaign_timezone'),
    ]

    operations = [
        migrations.CreateModel(
            name='LinkCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('shard', models.SmallIntegerField()),
                ('clicks', models.BigIntegerField()),
                ('people', models.BigIntegerField()),
                ('link', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='counts', to='campaigns.trackedlink')),
            ],
            options={
                'db_table': 'tracked_link_counts',
                'constraints': [models.UniqueConstraint(fields=('link', 'shard'), name='tracked_link_counts_shard')],
            },
        ),
        migrations.AddField(
            model_name='campaignevent',
            name='link',
            field=models.ForeignKey(db_constraint=False, db_index=False, help_text='what was clicked', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='campaigns.trackedlink'),
        ),
        migrations.RunSQL(_KNOWN, migrations.RunSQL.noop),
        migrations.RunSQL(_COUNTED, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name='campaignevent',
            index=models.Index(condition=models.Q(('link__isnull', False)), fields=['link', 'id'], name='campaign_events_link'),
        ),
    ]
