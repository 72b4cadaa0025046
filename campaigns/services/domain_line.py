"""Who of a chunk is next, where the domains of recipients have limits."""

from collections import Counter
from collections.abc import Collection, Mapping

from campaigns import buckets, lifecycle
from campaigns.buckets import DomainRate


class DomainLine:
    """The pending recipients of a range, in order; who has to wait lets the others pass and keeps their place."""

    def __init__(self, campaign_id: int, *, after: int, last: int, rates: Mapping[str, DomainRate]) -> None:
        self.rates = rates
        self._line = lifecycle.line(campaign_id, after=after, last=last)
        self._granted: dict[int, str] = {}

    @property
    def before(self) -> int | None:
        """The id before the first of them; None when nobody is left."""
        return self._line[0][0] - 1 if self._line else None

    def pick(self, limit: int) -> tuple[list[int], float]:
        """Up to `limit` ids that may be mailed now, out of the line; without any, the seconds until one may be."""
        waiting = Counter(domain for _, domain in self._line if domain in self.rates)
        tokens, wait = buckets.take_for_domains(self.rates, {domain: min(limit, n) for domain, n in waiting.items()})
        picked: list[int] = []
        kept = []
        for place in self._line:
            number, domain = place
            if len(picked) == limit or tokens.get(domain, 1) < 1:
                kept.append(place)
                continue
            picked.append(number)
            if domain in tokens:
                tokens[domain] -= 1
                self._granted[number] = domain
        buckets.give_back_for_domains(self.rates, tokens)
        self._line = kept
        return picked, wait

    def give_back(self, leased: Collection[int]) -> None:
        """What was granted to those of the last pick who are not `leased`: suppressed meanwhile."""
        left = Counter(domain for number, domain in self._granted.items() if number not in leased)
        self._granted = {}
        buckets.give_back_for_domains(self.rates, left)
