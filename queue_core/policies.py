"""When, and whether, a failed attempt is tried again, how many may run and start: pure decisions, no database."""

import math
import random
import re
from dataclasses import dataclass
from typing import Any

from queue_core.errors import shown

_RATE = re.compile(r"(\d{1,9})/(\d{0,6})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
ROOM_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with full jitter: the n-th failure waits between 0 and min(cap, base * factor**(n-1)) seconds.

    Full jitter spreads a burst of failures best:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    base: float = 2.0
    factor: float = 2.0
    cap: float = 3600.0

    def ceiling(self, failures: int) -> float:
        """Longest wait in seconds after that many failures (1 = the first)."""
        # The exponent is bounded because factor**n overflows a float long before `cap` is reached again.
        return min(self.cap, self.base * self.factor ** min(failures - 1, 64))

    def delay(self, failures: int) -> float:
        return random.uniform(0, self.ceiling(failures))  # noqa: S311 - spreads load, guards nothing


@dataclass(frozen=True, slots=True)
class RetryRules:
    """Which failures are tried again, and until when: `until` is in seconds since the task was created.

    Raises ValueError, in words that follow the name of the wrong option.
    """

    retry_on: tuple[type[BaseException], ...] | None = None
    discard_on: tuple[type[BaseException], ...] = ()
    until: float | None = None

    def __post_init__(self) -> None:
        for option, classes in (("retry_on", self.retry_on), ("discard_on", self.discard_on)):
            if not (_are_errors(classes) or (option == "retry_on" and classes is None)):
                raise ValueError(f"{option} must be a tuple of exception classes such as (OSError,), not {classes!r}")
        if never := [each.__name__ for each in self.retry_on or () if issubclass(each, self.discard_on)]:
            raise ValueError(f"retry_on holds {never[0]}, which discard_on never lets be tried again")
        until = self.until
        if until is not None and not (_is_number(until) and 0 < until < math.inf):
            raise ValueError(f"retry_until must be a number of seconds above 0, not {until!r}")

    def allow(self, error: BaseException) -> bool:
        """Whether a task that failed by this may be tried again."""
        if isinstance(error, self.discard_on):
            return False
        return self.retry_on is None or isinstance(error, self.retry_on)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_errors(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(e, type) and issubclass(e, BaseException) for e in value)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many starts in so many seconds, over all workers."""

    count: int
    seconds: int

    @classmethod
    def parse(cls, text: Any) -> "Rate":
        """`100/m`, `5/10s`, `2000/h`, `1/d`; ValueError says what is wrong."""
        match = _RATE.fullmatch(text.strip()) if isinstance(text, str) else None
        if match:
            count, seconds = int(match[1]), int(match[2] or 1) * _SECONDS[match[3]]
            if count and 0 < seconds <= 366 * 86_400:
                return cls(count, seconds)
        raise ValueError(f"must look like 100/m, 5/10s, 2000/h or 1/d, not {shown(text)}")

    def __str__(self) -> str:
        unit = next((unit for unit, seconds in _SECONDS.items() if seconds == self.seconds), f"{self.seconds}s")
        return f"{self.count}/{unit}"

    @property
    def bucket(self) -> float:
        """What may start at one moment: a second's share, at least one. Starts are spread, not bunched."""
        return max(1.0, self.count / self.seconds)

    def tokens(self, left: float, age: float) -> float:
        """What a bucket holds that held `left` tokens `age` seconds ago."""
        return min(self.bucket, left + age * self.count / self.seconds)


def checked_room(value: Any) -> int | None:
    """A limit of what runs at once; ValueError says what is wrong."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= ROOM_MAX:
        return value
    raise ValueError("must be a whole number from 1 to 1 000 000, or nothing")


@dataclass(frozen=True, slots=True)
class Limit:
    """What may run at once and start in a time; None is no limit."""

    max_running: int | None = None
    rate: Rate | None = None

    @classmethod
    def of(cls, max_running: int | None, rate_count: int | None, rate_seconds: int | None) -> "Limit":
        return cls(max_running, Rate(rate_count, rate_seconds) if rate_count and rate_seconds else None)

    def __bool__(self) -> bool:
        return self.max_running is not None or self.rate is not None

    def over(self, other: "Limit") -> "Limit":
        """This one where it says something, else the other."""
        return Limit(other.max_running if self.max_running is None else self.max_running, self.rate or other.rate)
