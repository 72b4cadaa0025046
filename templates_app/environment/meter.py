"""How much work one rendering may do.

Work is counted (characters made, items walked, expressions evaluated), so that the same mail always passes or always
fails. The clock is only the backstop, and it is the thread's own: a busy machine does not fail a mail.
"""

import time
from contextvars import ContextVar
from typing import Any

from jinja2.exceptions import SecurityError

WORK = 4_000_000
SECONDS = 1.0
_LOOK_EVERY = 2_000


class TooMuchWork(SecurityError):
    """Raised inside a template that has used up its allowance."""


class Meter:
    """The allowance of one part of one mail, and the names it asked for in vain (in order, once each).

    `shown` are the texts of what it has printed, by path.
    """

    __slots__ = ("_deadline", "_left", "_look_at", "missing", "shown")

    def __init__(self) -> None:
        self.missing: dict[str, None] = {}
        self.shown: dict[tuple[str, ...], str] = {}
        self._left = WORK
        self._look_at = WORK - _LOOK_EVERY
        # Read at the first look: asking for a thread's time is a call of the system, and most mails never look.
        self._deadline: float | None = None

    def spend(self, units: int) -> None:
        """Take `units` off the allowance; raises TooMuchWork when it, or the time, is used up."""
        self._left -= units
        if self._left <= self._look_at:
            self._look()

    def weigh(self, value: Any) -> None:
        """Spend what it costs to walk through `value` once, as deep as it goes."""
        if isinstance(value, str):
            self.spend(len(value))
        elif isinstance(value, dict):
            self.spend(1)
            for key, item in value.items():
                self.weigh(key)
                self.weigh(item)
        elif isinstance(value, list | tuple):
            self.spend(1)
            for item in value:
                self.weigh(item)
        else:
            self.spend(len(value) if isinstance(value, range) else 1)

    def _look(self) -> None:
        now = time.thread_time()
        if self._deadline is None:
            self._deadline = now + SECONDS
        if self._left < 0 or now > self._deadline:
            raise TooMuchWork("the template does too much work; shorten its loops or its texts")
        self._look_at = self._left - _LOOK_EVERY


_current: ContextVar[Meter] = ContextVar("meter")


def meter() -> Meter:
    """The meter of the rendering under way; LookupError outside of one."""
    return _current.get()


class metering:
    """The block in which `running` is the meter."""

    __slots__ = ("_before", "_running")

    def __init__(self, running: Meter) -> None:
        self._running = running

    def __enter__(self) -> None:
        self._before = _current.set(self._running)

    def __exit__(self, *_error: object) -> None:
        _current.reset(self._before)
