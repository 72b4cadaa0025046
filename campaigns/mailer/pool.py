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
    """Senders by transport, shared by all threads of the process. `make` opens nothing yet."""

    def __init__(self, make: Callable[[K], Sender]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._idle: dict[K, list[tuple[float, Sender]]] = defaultdict(list)

    def borrow(self, transport: K) -> Sender:
        """The sender used last, so that those not needed grow old and are closed."""
        sender, old = None, []
        with self._lock:
            since = time.monotonic() - _IDLE_SECONDS
            for kept, idle in self._idle.items():
                old += [entry for used_at, entry in idle if used_at <= since]
                self._idle[kept] = [entry for entry in idle if entry[0] > since]
            if self._idle[transport]:
                sender = self._idle[transport].pop()[1]
        for entry in old:
            entry.close()
        return sender or self._make(transport)

    def give_back(self, transport: K, sender: Sender) -> None:
        with self._lock:
            self._idle[transport].append((time.monotonic(), sender))

    def close(self) -> None:
        """Hang up all that are idle."""
        with self._lock:
            idle = [sender for senders in self._idle.values() for _, sender in senders]
            self._idle.clear()
        for sender in idle:
            sender.close()
