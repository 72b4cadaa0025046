"""Chunks: ranges of recipient ids, each worked off by one queue task."""

import math
from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from campaigns import conf, mailer
from campaigns.models import Campaign, CampaignTask
from campaigns.states import CampaignState
from queue_core import services as queue
from queue_core.services.clock import database_time
from queue_core.states import LIVE, TaskState

DELIVER = "campaigns.deliver_chunk"
CONDUCT = "campaigns.conduct"

# The mail server may refuse us for days; a chunk is tried again until it works, the campaign is paused or cancelled.
_CHUNK_ATTEMPTS = 1_000

# At its end a chunk has too little work for all connections: with more of them it must be longer.
_CONNECTIONS_PER_SIZE = 5

_RANGES = """
SELECT min(id), max(id), count(*) FROM (
    SELECT id, (row_number() OVER (ORDER BY id) - 1) / %(size)s AS chunk
    FROM email_recipients WHERE campaign_id = %(campaign)s AND state = 'pending'
) numbered GROUP BY chunk ORDER BY chunk
"""
# Those that no waiting chunk covers, which takes three times as long: none of the new ones reaches over one of these.
_RANGES_BETWEEN = """
WITH covered AS (
    SELECT coalesce(range_agg(int8range(c.first_id, c.last_id, '[]')), '{}') AS spans
    FROM campaign_tasks c JOIN tasks t ON t.id = c.task_id
    WHERE c.campaign_id = %(campaign)s AND t.state = 'queued'
), marked AS (
    SELECT r.id, r.id <@ spans AS is_covered, count(*) FILTER (WHERE r.id <@ spans) OVER (ORDER BY r.id) AS before
    FROM email_recipients r, covered WHERE r.campaign_id = %(campaign)s AND r.state = 'pending'
)
SELECT min(id), max(id), count(*) FROM (
    SELECT id, before, (row_number() OVER (PARTITION BY before ORDER BY id) - 1) / %(size)s AS chunk
    FROM marked WHERE NOT is_covered
) numbered GROUP BY before, chunk ORDER BY 1
"""


# A chunk is a range, so these are kept narrow: else one would take in all that lies between two of them.
_NEIGHBOURS = """
SELECT min(id), max(id), count(*) FROM unnest(%s::bigint[]) AS id GROUP BY id / %s ORDER BY 1
"""


def submit_chunks(campaign_id: int, ids: Sequence[int] | None = None) -> int:
    """Put pending recipients, those of `ids` or all without a chunk, into chunks, and these in line: how many chunks.

    A recipient may be in two chunks after a resume; its row lets only one of them have it.
    """
    chosen = Campaign.objects.values_list("transport_id", flat=True).get(pk=campaign_id)
    connections = max((route.connections for route in mailer.routes(chosen)), default=1)
    size = conf.get("CHUNK_SIZE") * math.ceil(connections / _CONNECTIONS_PER_SIZE)
    with transaction.atomic():
        with connection.cursor() as cursor:
            if ids is None:
                sql = _RANGES_BETWEEN if _waiting_chunks(pk=campaign_id).exists() else _RANGES
                cursor.execute(sql, {"campaign": campaign_id, "size": size})
            else:
                cursor.execute(_NEIGHBOURS, [list(ids), size])
            ranges = cursor.fetchall()
        chunks = CampaignTask.objects.bulk_create(
            [CampaignTask(campaign_id=campaign_id, first_id=first, last_id=last, size=n) for first, last, n in ranges],
            batch_size=5_000,
        )
        rows = [queue.build(DELIVER, {"chunk": chunk.pk}, max_attempts=_CHUNK_ATTEMPTS) for chunk in chunks]
        for chunk, task_id in zip(chunks, queue.submit_many(rows), strict=True):
            chunk.task_id = task_id
        CampaignTask.objects.bulk_update(chunks, ["task"], batch_size=5_000)
    return len(chunks)


def submit_conductor(campaign_id: int, *, delay: float = 0.0) -> None:
    """The task that watches over a campaign under way; at most one is live."""
    queue.submit(CONDUCT, {"campaign": campaign_id}, unique_key=str(campaign_id), delay=delay)


def _live_chunks(campaign_id: int) -> QuerySet[CampaignTask]:
    return CampaignTask.objects.filter(campaign_id=campaign_id, task__state__in=sorted(LIVE))


def has_live_chunks(campaign_id: int) -> bool:
    return _live_chunks(campaign_id).exists()


def count_live_chunks(campaign_id: int, *, at_most: int) -> int:
    return _live_chunks(campaign_id)[:at_most].count()


def wake_chunks(**campaigns: Any) -> None:
    """Chunks that sleep look again now, whatever they wait for: of the campaigns under way that these filters find.

    Until the transaction ends none of those in line is taken.
    """
    waiting = _waiting_chunks(state=CampaignState.SENDING, **campaigns)
    queue.edit_task(list(waiting.values_list("task_id", flat=True)), run_at=database_time())


def _waiting_chunks(**campaigns: Any) -> QuerySet[CampaignTask]:
    found = Campaign.objects.filter(**campaigns)
    return CampaignTask.objects.filter(campaign__in=found, task__state=TaskState.QUEUED)


def chunk_error(campaign_id: int) -> str:
    """Why a chunk that is still in line failed the last time; "" when none did."""
    return _live_chunks(campaign_id).exclude(task__error="").values_list("task__error", flat=True).first() or ""
