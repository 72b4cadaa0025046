from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from queue_core import graph

STEPS = [f"s{n}" for n in range(8)]
GRAPHS = st.dictionaries(st.sampled_from(STEPS), st.sets(st.sampled_from(STEPS), max_size=4), max_size=8).map(
    lambda edges: {step: sorted(above & edges.keys()) for step, above in edges.items()}
)


def reachable(parents: graph.Graph, start: str) -> set[str]:
    """Everything above a step, found by looking."""
    found: set[str] = set()
    open_ends = list(parents[start])
    while open_ends:
        step = open_ends.pop()
        if step not in found:
            found.add(step)
            open_ends += parents[step]
    return found


@given(GRAPHS)
def test_a_cycle_is_found_where_there_is_one_and_its_arrows_exist(parents: graph.Graph) -> None:
    found = graph.cycle(parents)
    assert bool(found) == any(step in reachable(parents, step) for step in parents)
    if found:
        assert found[0] == found[-1]
        assert len(set(found)) == len(found) - 1
        assert all(before in parents[after] for before, after in pairwise(found))


@given(GRAPHS)
def test_the_order_has_every_step_behind_those_it_waits_for(parents: graph.Graph) -> None:
    order = graph.in_order(parents)
    on_cycles = {step for step in parents if step in reachable(parents, step)}
    free = [step for step in parents if not on_cycles & {step, *reachable(parents, step)}]
    assert sorted(order) == sorted(free)
    assert all(order.index(parent) < order.index(step) for step in order for parent in parents[step])


@given(GRAPHS)
def test_ancestors_and_layers_agree_with_what_a_walk_finds(parents: graph.Graph) -> None:
    if graph.cycle(parents):
        return
    above, depth = graph.ancestors(parents), graph.layers(parents)
    for step in parents:
        names = {other for index, other in enumerate(parents) if above[step] & 1 << index}
        assert names == reachable(parents, step)
        assert depth[step] == max((depth[parent] + 1 for parent in parents[step]), default=0)


def test_a_chain_of_ten_thousand_is_no_trouble() -> None:
    chain = {"0": [], **{str(n): [str(n - 1)] for n in range(1, 10_000)}}
    assert graph.cycle(chain) == []
    assert graph.layers(chain)["9999"] == 9_999
    assert graph.ancestors(chain)["9999"].bit_count() == 9_999
    chain["0"] = ["9999"]
    assert len(graph.cycle(chain)) == 10_001


def test_a_step_that_waits_for_itself_is_a_cycle() -> None:
    assert graph.cycle({"a": ["a"]}) == ["a", "a"]
    assert graph.cycle({"a": ["c"], "b": ["a"], "c": ["b"]}) == ["a", "b", "c", "a"]
