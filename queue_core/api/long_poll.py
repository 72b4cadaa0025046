"""A claim that waits for work, and holds a thread of the web server meanwhile: so only some may."""

import threading
import time

from queue_core import broker, conf, services
from queue_core.services import Pulled
from queue_core.states import Desire

# Between two looks, so that pauses and limits are heard about as soon as by our own workers.
_LOOK_SECONDS = 0.8
_guard = threading.Lock()
_waiting = 0


def claim(worker_id: int, limit: int, wait: float) -> tuple[Pulled, bool]:
    """(what was got, whether it was waited for). Too many that wait already in this process: answered at once."""
    pulled = services.pull_claim(worker_id, limit=limit)
    if pulled.tasks or wait <= 0 or _is_leaving(pulled):
        return pulled, True
    if not _enter():
        return pulled, False
    try:
        deadline = time.monotonic() + wait
        while not pulled.tasks and not _is_leaving(pulled) and (left := deadline - time.monotonic()) > 0:
            _linger(pulled, min(left, _LOOK_SECONDS))
            pulled = services.pull_claim(worker_id, limit=limit)
    finally:
        _leave()
    return pulled, True


def _is_leaving(pulled: Pulled) -> bool:
    return pulled.desired in (Desire.DRAIN, Desire.STOP)


def _linger(pulled: Pulled, seconds: float) -> None:
    if pulled.desired == Desire.PAUSE:
        time.sleep(seconds)
        return
    try:
        broker.wait(pulled.queues, max(seconds, 0.05))
    except broker.BrokerDown:
        time.sleep(seconds)


def _enter() -> bool:
    global _waiting
    with _guard:
        if _waiting >= conf.get("PULL_WAITERS"):
            return False
        _waiting += 1
    return True


def _leave() -> None:
    global _waiting
    with _guard:
        _waiting -= 1
