"""The graph of a workflow as a drawing: boxes in columns, from left to right, and the curves between them."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.text import Truncator

from queue_core import graph
from queue_core.services.workflow_graph import Arrow, Node

BOX_WIDTH, BOX_HEIGHT = 176, 42
_GAP_ACROSS, _GAP_DOWN, _MARGIN = 64, 14, 8
_SHOWN_CHARS = 22
# Short columns stand in the middle of tall ones, but never so low that one has to look for them.
_CENTRED = 12


@dataclass(frozen=True, slots=True)
class Box:
    """A step at the place of its upper left corner, in pixels; `label` is its key, shortened."""

    node: Node
    label: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Curve:
    """`path` is what SVG calls `d`."""

    arrow: Arrow
    path: str


@dataclass(frozen=True, slots=True)
class Drawing:
    width: int
    height: int
    boxes: list[Box]
    curves: list[Curve]
    box_width: int = BOX_WIDTH
    box_height: int = BOX_HEIGHT


def draw(nodes: Sequence[Node], arrows: Sequence[Arrow]) -> Drawing:
    """Each step stands one column right of the last it waits for, and about as high as those it waits for."""
    parents: dict[str, list[str]] = {node.key: [] for node in nodes}
    for arrow in arrows:
        parents[arrow.child].append(arrow.parent)
    columns = _columns(parents)
    tallest = max(map(len, columns), default=0)
    by_key = {node.key: node for node in nodes}
    boxes: dict[str, Box] = {}
    for across, column in enumerate(columns):
        above = max(0, min(tallest, _CENTRED) - len(column)) * (BOX_HEIGHT + _GAP_DOWN) // 2
        for down, key in enumerate(column):
            x = _MARGIN + across * (BOX_WIDTH + _GAP_ACROSS)
            y = _MARGIN + above + down * (BOX_HEIGHT + _GAP_DOWN)
            boxes[key] = Box(by_key[key], Truncator(key).chars(_SHOWN_CHARS), x, y)
    return Drawing(
        width=2 * _MARGIN + len(columns) * (BOX_WIDTH + _GAP_ACROSS) - _GAP_ACROSS,
        height=2 * _MARGIN + tallest * (BOX_HEIGHT + _GAP_DOWN) - _GAP_DOWN,
        boxes=list(boxes.values()),
        curves=[Curve(arrow, _path(boxes[arrow.parent], boxes[arrow.child])) for arrow in arrows],
    )


def _columns(parents: graph.Graph) -> list[list[str]]:
    """The steps by layer; in each, those whose parents stand high come first, so that few curves cross."""
    layers: dict[int, list[str]] = {}
    for key, layer in graph.layers(parents).items():
        layers.setdefault(layer, []).append(key)
    height: dict[str, float] = {}
    columns = []
    for layer in sorted(layers):
        keys = layers[layer]
        if layer:
            mean = {key: sum(height[above] for above in parents[key]) / len(parents[key]) for key in keys}
            keys.sort(key=mean.__getitem__)
        height |= {key: (place + 0.5) / len(keys) for place, key in enumerate(keys)}
        columns.append(keys)
    return columns


def _path(parent: Box, child: Box) -> str:
    x1, y1 = parent.x + BOX_WIDTH, parent.y + BOX_HEIGHT // 2
    x2, y2 = child.x, child.y + BOX_HEIGHT // 2
    bend = _GAP_ACROSS // 2
    return f"M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
