"""The thread that writes outcomes while the next tasks run."""

import logging
import os
import signal
import threading

from django.db import Error, connection

from queue_core import conf
from queue_core.hand import Hand
from queue_core.lifecycle import Ended

logger = logging.getLogger(__name__)

_PATIENCE = 0.2
_NOTES_SECONDS = 0.5


class Writer(threading.Thread):
    def __init__(self, hand: Hand, stopping: threading.Event) -> None:
        super().__init__(name="writer", daemon=True)
        self.hand = hand
        self.stopping = stopping
        self._kicked = threading.Event()
        self._closed = threading.Event()
        self._written = threading.Condition()
        self._next_notes = 0.0

    def kick(self) -> None:
        """Write soon."""
        if not self._kicked.is_set():
            self._kicked.set()

    def wait_for(self, ended: Ended) -> None:
        """Until this outcome is written; without end while PostgreSQL is away, unless this process is to end."""
        with self._written:
            while self.hand.holds(ended) and not self.stopping.is_set():
                self.kick()
                self._written.wait(_PATIENCE)

    def _has_notes(self) -> bool:
        """Whether tasks that go on said something a while ago."""
        now = self.hand.clock()
        if now < self._next_notes or self.hand.notes.is_empty():
            return False
        self._next_notes = now + _NOTES_SECONDS
        return True

    def close(self) -> None:
        self._closed.set()
        self._kicked.set()
        self.join()

    def run(self) -> None:
        while not self._closed.is_set():
            kicked = self._kicked.wait(conf.get("FLUSH_SECONDS"))
            self._kicked.clear()
            try:
                if kicked or self.hand.is_due() or self._has_notes():
                    self.hand.flush()
                    with self._written:
                        self._written.notify_all()
            except Error as exc:
                # They stay in hand; whoever runs tasks waits for them.
                logger.warning("outcomes could not be written yet: %s", str(exc).strip().partition("\n")[0])
                connection.close()
                self._closed.wait(0.5)
            except Exception:
                logger.exception("the writer failed; this process ends")
                os.kill(os.getpid(), signal.SIGTERM)
                break
        connection.close()
