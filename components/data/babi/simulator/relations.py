"""Tasks 4, 17, 18 and 19: places and shapes beside each other, and things that fit into others."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..story import Story
from .lexicon import names, verbs
from .parameters import SimulatorParameters
from .world import Narrator, draw_cast, pick

_COMPASS = ("north", "east", "south", "west")
_SIDES = ("above", "to the right of", "below", "to the left of")
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Displacement of each direction; direction `(d + 2) % 4` is the opposite of `d`."""


class _Link(NamedTuple):
    """`node` lies in `direction` of `anchor`."""

    node: int
    direction: int
    anchor: int


class _Layout:
    """Nodes on a grid, of which linked ones are neighbors; the links make a tree.

    Node 0 lies at (0, 0). A layout may fold back on itself, so two nodes may share a cell.
    """

    def __init__(self):
        self.cells = [(0, 0)]
        self.neighbors: list[dict[int, int]] = [{}]

    def grow(self, anchor: int, direction: int) -> int:
        """Adds a node in a direction of another and returns its index."""
        node = len(self.cells)
        step = _STEPS[direction]
        self.cells.append((self.cells[anchor][0] + step[0], self.cells[anchor][1] + step[1]))
        self.neighbors.append({(direction + 2) % 4: anchor})
        self.neighbors[anchor][direction] = node
        return node

    def free_slots(self, nodes: Sequence[int]) -> list[tuple[int, int]]:
        """Returns the pairs (node, direction) where the node has no neighbor yet."""
        return [(n, d) for n in nodes for d in range(4) if d not in self.neighbors[n]]

    def statements(self, rng: random.Random, node_first: bool) -> Iterator[_Link]:
        """Yields each link once: a random node and a random neighbor of it, until all are told.

        So nodes with many neighbors are told about later, and less often as the first of the two.

        Args:
            rng: the source of chance.
            node_first: whether the random node is the one whose direction is told, or the anchor.
        """
        untold = len(self.cells) - 1
        stated = set()
        options = [list(around.items()) for around in self.neighbors]
        while untold:
            first = int(rng.random() * len(options))
            direction, second = pick(rng, options[first])
            link = (first, second) if first < second else (second, first)
            if link in stated:
                continue
            stated.add(link)
            untold -= 1
            if node_first:
                yield _Link(first, (direction + 2) % 4, second)
            else:
                yield _Link(second, direction, first)

    def path(self, start: int, end: int) -> list[int]:
        """Returns the nodes from start to end."""
        come_from = {start: start}
        reached = [start]
        for node in reached:
            for neighbor in self.neighbors[node].values():
                if neighbor not in come_from:
                    come_from[neighbor] = node
                    reached.append(neighbor)
        nodes = [end]
        while nodes[-1] != start:
            nodes.append(come_from[nodes[-1]])
        return nodes[::-1]


def _draw_nodes(
    rng: random.Random, kind: str, count: int, parameters: SimulatorParameters
) -> list[str]:
    nodes = draw_cast(rng, kind, count, parameters)
    rng.shuffle(nodes)
    return nodes


def _write_directions(rng: random.Random, parameters: SimulatorParameters) -> Narrator:
    """Writes a story of task 4: places in a row; the question turns one of the facts around."""
    count = parameters.scaled(2) + 1 + parameters.entities
    places = _draw_nodes(rng, "places", count, parameters)
    narrator = Narrator(rng, parameters.distractors, places, acts=False)
    lie = verbs("lie", parameters.synonyms)
    layout = _Layout()
    direction = int(rng.random() * 4)
    for index in range(count - 1):
        layout.grow(index, direction)
    facts = []
    for link in layout.statements(rng, node_first=True):
        node, anchor = places[link.node], places[link.anchor]
        text = f"The {node} {pick(rng, lie)} {_COMPASS[link.direction]} of the {anchor}."
        facts.append((link, narrator.tell(text)))
    link, line = pick(rng, facts)
    node, anchor = places[link.node], places[link.anchor]
    if rng.random() < 0.5:
        question = f"What is {_COMPASS[link.direction]} of the {anchor}?"
    else:
        question = f"What is the {anchor} {_COMPASS[(link.direction + 2) % 4]} of?"
    narrator.ask(question, node, (line,))
    return narrator


_POSITION_QUESTIONS = 8


def _write_positions(rng: random.Random, parameters: SimulatorParameters) -> Narrator:
    """Writes a story of task 17: shapes side by side; questions about two that are not linked."""
    count = parameters.scaled(2) + 1 + parameters.entities
    count = max(count, 3)
    shapes = _draw_nodes(rng, "shapes", count, parameters)
    narrator = Narrator(rng, parameters.distractors, shapes, acts=False)
    lie = verbs("lie", parameters.synonyms)
    layout = _Layout()
    while len(layout.cells) < count:
        anchor = int(rng.random() * len(layout.cells))
        direction = int(rng.random() * 4)
        x, y = layout.cells[anchor]
        if (x + _STEPS[direction][0], y + _STEPS[direction][1]) not in layout.cells:
            layout.grow(anchor, direction)
    lines = {}
    for link in layout.statements(rng, node_first=False):
        text = f"The {shapes[link.node]} {pick(rng, lie)} {_SIDES[link.direction]} the "
        line = narrator.tell(f"{text}{shapes[link.anchor]}.")
        lines[link.node, link.anchor] = lines[link.anchor, link.node] = line
    while narrator.questions < _POSITION_QUESTIONS:
        first, second = int(rng.random() * count), int(rng.random() * count)
        if first == second or (first, second) in lines:
            continue
        answer = "yes" if rng.random() < 0.5 else "no"
        dx = layout.cells[first][0] - layout.cells[second][0]
        dy = layout.cells[first][1] - layout.cells[second][1]
        holds = [dx * x + dy * y > 0 for x, y in _STEPS]
        side = pick(rng, [_SIDES[d] for d in range(4) if holds[d] == (answer == "yes")])
        path = layout.path(first, second)
        supporting = [lines[link] for link in itertools.pairwise(path)]
        question = f"Is the {shapes[first]} {side} the {shapes[second]}?"
        narrator.ask(question, answer, supporting)
    return narrator


class _SizeFact(NamedTuple):
    """Thing `small` fits into thing `large`, both numbered by size; `line` tells it."""

    small: int
    large: int
    line: int


_SIZE_FACTS = 5
_SIZE_QUESTIONS = 5


def _write_sizes(rng: random.Random, parameters: SimulatorParameters) -> Narrator:
    """Writes a story of task 18: pairs of things by size; questions join two facts.

    The chocolate fits into the box of chocolates, and both into each container; which container
    fits into which is drawn for the story. Facts may repeat.
    """
    count = len(names("containers")) + parameters.entities
    things = ["chocolate", "box of chocolates"]
    things += _draw_nodes(rng, "containers", count, parameters)
    narrator = Narrator(rng, parameters.distractors, things, acts=False)
    fit, exceed = (verbs(action, parameters.synonyms) for action in ("fit", "exceed"))
    block = parameters.scaled(_SIZE_FACTS)
    facts: list[_SizeFact] = []
    known: list[tuple[_SizeFact, list[tuple[int, int, int]]]] = []
    while not known:
        for _ in range(block):
            small, large = int(rng.random() * len(things)), int(rng.random() * len(things))
            while small == large:
                large = int(rng.random() * len(things))
            small, large = min(small, large), max(small, large)
            if rng.random() < 0.5:
                text = f"The {things[small]} {pick(rng, fit)} the {things[large]}."
            else:
                text = f"The {things[large]} {pick(rng, exceed)} the {things[small]}."
            facts.append(_SizeFact(small, large, narrator.tell(text)))
        known = _size_conclusions(facts, block)
    while narrator.questions < _SIZE_QUESTIONS:
        fact, conclusions = pick(rng, known)
        small, middle, large = pick(rng, conclusions)
        low_line, high_line = _size_proof(facts, fact, small, middle, large)
        fits, yes = rng.random() < 0.5, rng.random() < 0.5
        # The facts are found from the outer thing on. From the older fact that fails where a
        # newer one tells of the thing in the middle on the same side.
        if low_line < high_line:
            yes |= any(f.large == middle and low_line < f.line < high_line for f in facts)
        else:
            yes &= not any(f.small == middle and high_line < f.line < low_line for f in facts)
        inner, outer = (small, large) if yes else (large, small)
        if fits:
            question = f"Does the {things[inner]} fit in the {things[outer]}?"
        else:
            question = f"Is the {things[outer]} bigger than the {things[inner]}?"
        supporting = (high_line, low_line) if yes else (low_line, high_line)
        narrator.ask(question, "yes" if yes else "no", supporting)
    return narrator


def _size_conclusions(
    facts: list[_SizeFact], window: int
) -> list[tuple[_SizeFact, list[tuple[int, int, int]]]]:
    """Returns, for each of the last facts and each side of it, the chains of three things."""
    conclusions = []
    for fact in facts[-window:]:
        above = {other.large for other in facts if other.small == fact.large}
        below = {other.small for other in facts if other.large == fact.small}
        if above:
            conclusions.append((fact, [(fact.small, fact.large, large) for large in sorted(above)]))
        if below:
            conclusions.append((fact, [(small, fact.small, fact.large) for small in sorted(below)]))
    return conclusions


def _size_proof(
    facts: list[_SizeFact], fact: _SizeFact, small: int, middle: int, large: int
) -> tuple[int, int]:
    """Returns the lines of the two facts that join three things, the lower one first.

    One is the first that was told of either; the other is `fact`, or else the last one told.
    """
    low = [other.line for other in facts if other[:2] == (small, middle)]
    high = [other.line for other in facts if other[:2] == (middle, large)]
    if low[0] < high[0]:
        return low[0], fact.line if fact.line in high else high[-1]
    return fact.line if fact.line in low else low[-1], high[0]


def _write_paths(rng: random.Random, parameters: SimulatorParameters) -> Narrator:
    """Writes a story of task 19: a path of two steps, and places on sides where it does not go."""
    count = max(3, parameters.scaled(5) + 1 + parameters.entities)
    places = _draw_nodes(rng, "places", count, parameters)
    narrator = Narrator(rng, parameters.distractors, places, acts=False)
    lie = verbs("lie", parameters.synonyms)
    layout = _Layout()
    steps = [int(rng.random() * 4)]
    steps.append((steps[0] + 3 + int(rng.random() * 3)) % 4)
    middle = layout.grow(0, steps[0])
    end = layout.grow(middle, steps[1])
    free = layout.free_slots((0, middle, end))
    rest = count - 3
    for anchor, direction in rng.sample(free, min(rest, len(free))):
        layout.grow(anchor, direction)
    while len(layout.cells) < count:
        anchor, direction = int(rng.random() * len(layout.cells)), int(rng.random() * 4)
        if direction not in layout.neighbors[anchor]:
            layout.grow(anchor, direction)
    lines = {}
    for link in layout.statements(rng, node_first=True):
        text = f"The {places[link.node]} {pick(rng, lie)} {_COMPASS[link.direction]} of the "
        line = narrator.tell(f"{text}{places[link.anchor]}.")
        lines[link.node, link.anchor] = lines[link.anchor, link.node] = line
    question = f"How do you go from the {places[0]} to the {places[end]}?"
    answer = [_COMPASS[step][0] for step in steps]
    narrator.ask(question, answer, (lines[0, middle], lines[middle, end]))
    return narrator


_WRITERS = {4: _write_directions, 17: _write_positions, 18: _write_sizes, 19: _write_paths}


def write_relations(task: int, rng: random.Random, parameters: SimulatorParameters) -> Story:
    """Writes a story of task 4, 17, 18 or 19."""
    return _WRITERS[task](rng, parameters).story(task)
