"""What a worker takes next: queue after queue, lanes in turns, nothing that is paused or at its limit."""

import math
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from queue_core import lifecycle
from queue_core.lanes import PLAIN, after, key_in, type_in, type_scope
from queue_core.lifecycle import Claimed, QueueGate, Spot, Taker, TypeGate
from queue_core.policies import Limit

# A pause or a limit is heard within this time.
_LOOK_SECONDS = 0.8
# Lanes looked at by one statement, lanes served by one claim, and how long a claim looks for lanes that may be served.
_LANES_LOOKED_AT = 200
_LANES_SERVED = 50
_CHOOSING_SECONDS = 0.2
# Claims that come back empty from lanes that others are just taking are tried again, so often.
_TRIES = 5
# How far a lane is looked at for tasks of held types; further when many were found.
_SET_ASIDE = 1_000
_SET_ASIDE_MORE = 20_000


@dataclass(slots=True)
class Choice:
    """Lanes of a queue to be served now."""

    lanes: list[str] = field(default_factory=list)
    # False when there are more lanes than there was time to look at.
    saw_all: bool = True


def _never() -> bool:
    return False


class Claims:
    """One worker's view of its queues, as looked up a moment ago, and where it stands in the lanes of each."""

    def __init__(self, queues: list[str], stopping: Callable[[], bool] = _never) -> None:
        self.queues = queues
        self._stopping = stopping
        self._looked_at = -math.inf
        self._gates: dict[str, QueueGate] = {}
        self._types: dict[str, TypeGate] = {}
        # The first lane to look at, per queue: behind the one served last.
        self._cursors: dict[str, str] = {}
        # Where tasks of held types may lie in the way: not in lanes of their own.
        self._asked: list[Spot] = []

    def look(self) -> bool:
        """Look up what is held back and where there are lanes; answers whether that has changed."""
        before = self._gates, self._types
        self._gates, self._types = lifecycle.queue_gates(self.queues), lifecycle.type_gates()
        self._looked_at = time.monotonic()
        return before != (self._gates, self._types)

    def batch(self, worker_id: int, size: int) -> list[Claimed]:
        """Up to `size` tasks, all under one lease; looks again before it says that there are none."""
        has_looked = time.monotonic() - self._looked_at >= _LOOK_SECONDS
        if has_looked:
            self.look()
        lease = uuid.uuid4()
        batch = self._sweep(size, Taker(worker_id, lease, list(self._types)))
        if has_looked and batch:
            self._clear_the_way()
        while not batch and not self._stopping():
            moved, changed = self._clear_the_way(), self.look()
            if not moved and not changed:
                break
            batch = self._sweep(size, Taker(worker_id, lease, list(self._types)))
        return batch

    def waiting(self) -> list[str]:
        """The queues in which something may be started now, or in which it takes too long to say."""
        self.look()
        choices = {queue: self._choose(queue, 1) for queue in self._open_queues()}
        return [queue for queue, choice in choices.items() if choice.lanes or not choice.saw_all]

    def _open_queues(self) -> list[str]:
        return [queue for queue in self.queues if not self._gates[queue].paused]

    def _has_turns(self, queue: str) -> bool:
        return self._gates[queue].limited or self._gates[queue].laned

    def _sweep(self, size: int, taker: Taker) -> list[Claimed]:
        """A batch from the open queues, in their order."""
        self._asked = []
        batch: list[Claimed] = []
        for has_turns, names in groupby(self._open_queues(), self._has_turns):
            left = size - len(batch)
            if has_turns:
                for queue in names:
                    batch += self._turns(queue, size - len(batch), taker)
            elif left:
                spots = [Spot(queue, PLAIN, left) for queue in names]
                self._asked += spots
                batch += lifecycle.take(spots, left, taker)
        return batch

    def _clear_the_way(self) -> int:
        """Move tasks of held types into lanes of their own; answers how many."""
        if not self._types or not self._asked:
            return 0
        moved = lifecycle.set_aside(self._asked, self._types, _SET_ASIDE)
        return moved + (
            lifecycle.set_aside(self._asked, self._types, _SET_ASIDE_MORE) if moved >= _SET_ASIDE / 2 else 0
        )

    def _turns(self, queue: str, size: int, taker: Taker) -> list[Claimed]:
        """The same number from each lane whose turn it is; what some do not use goes to the others, once."""
        for _ in range(_TRIES if size else 0):
            choice = self._choose(queue, min(size, _LANES_SERVED))
            if not choice.lanes:
                break
            batch = self._serve(queue, choice, size, taker)
            left, share, got = size - len(batch), math.ceil(size / len(choice.lanes)), Counter(t.lane for t in batch)
            choice.lanes = [lane for lane in choice.lanes if got[lane] == share]
            if left and choice.lanes:
                batch += self._serve(queue, choice, left, taker)
            if batch:
                return batch
        return []

    def _serve(self, queue: str, choice: Choice, size: int, taker: Taker) -> list[Claimed]:
        spots = [Spot(queue, lane, math.ceil(size / len(choice.lanes))) for lane in choice.lanes]
        self._asked += [spot for spot in spots if not type_in(spot.lane)]
        limited = self._gates[queue].limited
        limits = {scope: limit for lane in choice.lanes for scope, limit in self._limits(lane).items()}
        if limited or limits:
            return lifecycle.claim_limited(spots, limits, size, taker, queue_is_limited=limited)
        return lifecycle.take(spots, size, taker)

    def _limits(self, lane: str) -> dict[str, Limit]:
        """What a lane is under, by scope."""
        gate = self._types.get(type_in(lane))
        found = {}
        if gate and gate.limit:
            found[type_scope(type_in(lane))] = gate.limit
        if gate and gate.key_limit and key_in(lane):
            found[lane] = gate.key_limit
        return found

    def _choose(self, queue: str, most: int) -> Choice:
        """Up to `most` lanes of which something may start, beyond the one served last, once round at most."""
        choice = Choice()
        shut = {name for name, gate in self._types.items() if gate.paused}
        left: dict[str, int] = {}
        deadline = time.monotonic() + _CHOOSING_SECONDS
        for line in self._lines(queue, shut):
            unknown = {
                scope: limit for lane in line for scope, limit in self._limits(lane).items() if scope not in left
            }
            left |= {scope: room.left for scope, room in lifecycle.rooms(unknown).items()} if unknown else {}
            for lane in line:
                self._cursors[queue] = after(lane)
                if type_in(lane) not in shut and self._enter(lane, left, shut):
                    choice.lanes.append(lane)
                    if len(choice.lanes) == most:
                        return choice
            if time.monotonic() >= deadline:
                choice.saw_all = False
                break
        return choice

    def _enter(self, lane: str, left: dict[str, int], shut: set[str]) -> bool:
        """Whether there is room for one more of this lane; a type without room is shut."""
        scopes = self._limits(lane)
        if any(left[scope] <= 0 for scope in scopes):
            if left.get(type_scope(type_in(lane)), 1) <= 0:
                shut.add(type_in(lane))
            return False
        for scope in scopes:
            left[scope] -= 1
        return True

    def _lines(self, queue: str, shut: set[str]) -> Iterator[list[str]]:
        """The lanes that have work, some at a time, from the cursor on and round to it."""
        origin = self._cursors.get(queue, "")
        start, has_turned = origin, False
        while True:
            found = lifecycle.lanes(queue, start, _LANES_LOOKED_AT, shut)
            line = [lane for lane in found if not has_turned or lane < origin]
            yield line
            if len(line) == _LANES_LOOKED_AT:
                start = after(line[-1])
            elif has_turned or not origin:
                return
            else:
                start, has_turned = "", True
