import logging

from django.db import connection, transaction

from queue_core import lifecycle

logger = logging.getLogger(__name__)
# Before the tasks, as everywhere; one that speaks at this moment is alive.
_MARK_LOST = """
UPDATE workers SET state = 'lost', current_task = NULL WHERE id = ANY(ARRAY(
    SELECT id FROM workers WHERE state = 'online' AND lease_until < now() ORDER BY id FOR UPDATE SKIP LOCKED))
"""


def rescue(limit: int = 1000) -> set[str]:
    """Give back what lost workers held. running -> queued (failed after `max_crashes`). Answers the queues to ring."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_MARK_LOST)
            lost = cursor.rowcount
        moved = lifecycle.rescue(limit)
    if moved or lost:
        logger.warning("rescued %d tasks from %d lost workers", len(moved), lost)
    return {queue for _, queue, state in moved if state == "queued"}
