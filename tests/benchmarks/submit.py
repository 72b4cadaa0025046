"""Acts on one contestant's queue from a process of its own and prints one number: `… submit celery_app fill 3000 0`."""

import random
import sys
import time
from collections.abc import Iterator
from importlib import import_module

WARMUP = 5
_rand = random.Random(20)  # the same pauses for every contestant


def spaced(n: int) -> Iterator[int]:
    """Numbers 50-150 ms apart; the first few, below zero, only warm the worker up."""
    for number in range(-WARMUP, n):
        time.sleep(_rand.uniform(0.05, 0.15))
        yield number


def main() -> None:
    name, action, n, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    peer = import_module(f"tests.benchmarks.peers.{name}")
    actions = {
        "reset": lambda: peer.reset(),
        "fill": lambda: peer.fill(n, seconds),
        "each": lambda: peer.submit_each(range(n)),
        "spaced": lambda: peer.submit_each(spaced(n)),
        "send": lambda: peer.send(n),
        "check": lambda: peer.check(n),
        "settled": lambda: peer.settled(n),
        "history": lambda: peer.history(n),
        "line": lambda: peer.line(n),
        "claims": lambda: peer.claims(n),
        "memory": lambda: peer.memory(),
    }
    started = time.perf_counter()
    answer = actions[action]()
    sys.stdout.write(f"{time.perf_counter() - started if answer is None else answer!r}\n")


if __name__ == "__main__":
    main()
