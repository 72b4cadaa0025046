"""Open connections that wait for their next message."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from campaigns.smtp import Envelope, Outcome

K = TypeVar("K", bound=Hashable)
# Servers close idle connections after minutes; a fresh one costs a few round trips, so an old one is not tried.
_IDLE_SECONDS = 20.0


class Sender(Protocol):
    """One line to a transport, for one thread at a time. See `smtp.Session.deliver` for what it promises."""

    def deliver(
        self, envelopes: Iterable[Envelope], should_stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Outcome]]: ...

    def close(self) -> None: ...


class Pool(Generic[K]):
    """Senders by transport, shared by all threads of the process. `make` opens nothing yet.

    One that nobody has used for a while is closed, by the next who borrows or, in a quiet process, by a timer.
    """

    def __init__(self, make: Callable[[K], Sender]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._idle: dict[K, list[tuple[float, Sender]]] = defaultdict(list)
        self._timer: threading.Timer | None = None

    def borrow(self, transport: K) -> Sender:
        """The sender used last, so that those not needed grow old and are closed."""
        with self._lock:
            old = self._take_old()
            idle = self._idle[transport]
            sender = idle.pop()[1] if idle else None
        for entry in old:
            entry.close()
        return sender or self._make(transport)

    def give_back(self, transport: K, sender: Sender) -> None:
        with self._lock:
            self._idle[transport].append((time.monotonic(), sender))
            if self._timer is None:
                self._look_later()

    def close(self) -> None:
        """Hang up all that are idle."""
        with self._lock:
            idle = [sender for senders in self._idle.values() for _, sender in senders]
            self._idle.clear()
        for sender in idle:
            sender.close()

    def _take_old(self) -> list[Sender]:
        since = time.monotonic() - _IDLE_SECONDS
        old = [sender for idle in self._idle.values() for used_at, sender in idle if used_at <= since]
        for transport, idle in self._idle.items():
            self._idle[transport] = [entry for entry in idle if entry[0] > since]
        return old

    def _look_later(self) -> None:
        self._timer = threading.Timer(_IDLE_SECONDS, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        with self._lock:
            self._timer = None
            old = self._take_old()
            if any(self._idle.values()):
                self._look_later()
        for sender in old:
            sender.close()
