"""Graphs of named steps, as {step: [the steps it waits for]}. No recursion: a chain may be 10 000 long."""

from collections.abc import Mapping, Sequence

Graph = Mapping[str, Sequence[str]]


def in_order(parents: Graph) -> list[str]:
    """Every step behind those it waits for, as far as there is such an order: what is missing waits for a cycle."""
    waits = {step: len(above) for step, above in parents.items()}
    below: dict[str, list[str]] = {step: [] for step in parents}
    for step, above in parents.items():
        for parent in above:
            below[parent].append(step)
    order = [step for step, count in waits.items() if count == 0]
    for step in order:
        for child in below[step]:
            waits[child] -= 1
            if waits[child] == 0:
                order.append(child)
    return order


def cycle(parents: Graph) -> list[str]:
    """A cycle of the graph, in the order of its arrows and with its first step again at the end; [] without one."""
    stuck = parents.keys() - in_order(parents)
    if not stuck:
        return []
    # Each stuck step waits for a stuck one: walking up must come back to where it was.
    seen: dict[str, int] = {}
    step = min(stuck)
    path: list[str] = []
    while step not in seen:
        seen[step] = len(path)
        path.append(step)
        step = next(parent for parent in parents[step] if parent in stuck)
    return [step, *reversed(path[seen[step] :])]


def ancestors(parents: Graph) -> dict[str, int]:
    """For each step of a graph without cycles, a set of all it waits for: bit n is the nth step of `parents`."""
    bit = {step: 1 << index for index, step in enumerate(parents)}
    above: dict[str, int] = {}
    for step in in_order(parents):
        mask = 0
        for parent in parents[step]:
            mask |= above[parent] | bit[parent]
        above[step] = mask
    return above


def layers(parents: Graph) -> dict[str, int]:
    """How many arrows at most lead to each step of a graph without cycles."""
    depth: dict[str, int] = {}
    for step in in_order(parents):
        depth[step] = 1 + max((depth[parent] for parent in parents[step]), default=-1)
    return depth
