"""The doorbell in Valkey/Redis, and RQ's processes: the only place that knows rq, django_rq, rq_scheduler and redis.

Nothing here decides anything about a task, and nothing in Valkey is missed when it is emptied: the next tick rings
again.
"""

from queue_core.broker.bell import BrokerDown, ping, ring, wait

__all__ = ["BrokerDown", "ping", "ring", "wait"]
