"""When a failed attempt is tried again: pure decisions, no database."""

import random
from dataclasses import dataclass


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
