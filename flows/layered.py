"""Where the boxes of a graph go: in layers from top to bottom, what was read above what read it, edges between the boxes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 184, 66  # of a box, in pixels
BETWEEN, BELOW = 22, 46  # boxes of a layer, and layers
PASSAGE = 12  # the width that an edge takes that passes a layer


@dataclass(frozen=True)
class Layout:
    """A drawn graph, in pixels from the upper left corner."""

    width: float
    height: float
    boxes: tuple[tuple[float, float], ...]  # the upper left corner of each
    edges: tuple[tuple[tuple[float, float], ...], ...]  # points that each passes, from the reader up


def layout(inputs: Sequence[Sequence[int]]) -> Layout:
    """Lay out a graph of which node n was made from `inputs[n]`, all of which come later.

    An edge that passes layers has a place of its own in each, so it crosses no box. Nodes stand as near as they can to those that read
    them.
    """
    depth = [0] * len(inputs)
    for node, some in enumerate(inputs):
        for one in some:
            depth[one] = max(depth[one], depth[node] + 1)
    layer, readers, chains = _with_passages(inputs, depth)
    rows: dict[int, list[int]] = defaultdict(list)
    for node, row in enumerate(layer):
        rows[row].append(node)
    widths = [WIDTH if node < len(inputs) else PASSAGE for node in range(len(layer))]
    centres: dict[int, float] = {}
    for row in sorted(rows):
        _place(rows[row], widths, {node: readers[node] for node in rows[row]}, centres)
    left = min((centres[node] - widths[node] / 2 for node in centres), default=0.0)
    right = max((centres[node] + widths[node] / 2 for node in centres), default=0.0)
    top = [(max(rows) - layer[node]) * (HEIGHT + BELOW) for node in range(len(layer))]
    edges = []
    for chain in chains:
        reader, *passed, source = chain
        points = [(centres[reader] - left, float(top[reader]))]
        for node in passed:
            points += [(centres[node] - left, float(top[node] + HEIGHT)), (centres[node] - left, float(top[node]))]
        edges.append((*points, (centres[source] - left, float(top[source] + HEIGHT))))
    boxes = tuple((centres[node] - left - WIDTH / 2, float(top[node])) for node in range(len(inputs)))
    return Layout(right - left, max(rows, default=0) * (HEIGHT + BELOW) + HEIGHT, boxes, tuple(edges))


def _with_passages(inputs: Sequence[Sequence[int]], depth: Sequence[int]) -> tuple[list[int], dict[int, list[int]], list[list[int]]]:
    """The layer of each node, who stands below each, and every edge as a chain of nodes: with one for each layer that it passes."""
    layer, below, chains = list(depth), defaultdict[int, list[int]](list), []
    for node, some in enumerate(inputs):
        for one in dict.fromkeys(some):
            chain = [node]
            for passed in range(depth[node] + 1, depth[one]):
                layer.append(passed)
                below[len(layer) - 1].append(chain[-1])
                chain.append(len(layer) - 1)
            below[one].append(chain[-1])
            chains.append([*chain, one])
    return layer, below, chains


def _place(row: list[int], widths: Sequence[int], below: dict[int, list[int]], centres: dict[int, float]) -> None:
    """Place a layer over those below it: in the order of where each would like to stand, without overlaps, and in the middle of that."""
    wanted = {node: sum(centres[one] for one in below[node]) / len(below[node]) if below[node] else 0.0 for node in row}
    ordered = sorted(row, key=lambda node: (wanted[node], node))
    edge = float("-inf")
    for node in ordered:
        centres[node] = max(wanted[node], edge + widths[node] / 2)
        edge = centres[node] + widths[node] / 2 + BETWEEN
    shift = sum(wanted[node] - centres[node] for node in ordered) / len(ordered)
    for node in ordered:
        centres[node] += shift
