"""Tasks 9 to 14: actors move, alone or in pairs, and sentences tell it in different ways.

Negation (9), indefinite knowledge (10), coreference (11), conjunction (12), both (13), times of the
day (14). Questions look back on the last five sentences, as in `tasks_actions`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ..story import Story
from .actions import BLOCK, QUESTIONS, WINDOW, yes_or_no
from .lexicon import names, pronoun, verbs
from .parameters import SimulatorParameters
from .world import Narrator, World, draw_cast, pick

_CONNECTIVES = ("Then", "Afterwards", "After that", "Following that")
_TIMES = ("yesterday", "this morning", "this afternoon", "this evening")


def _open_scene(
    rng: random.Random, parameters: SimulatorParameters, town: bool, actors_needed: int = 0
) -> tuple[World, Narrator, tuple[str, ...]]:
    kinds = ("townspeople", "town places") if town else ("actors", "places")
    actor_count, place_count = (len(names(kind)) + parameters.entities for kind in kinds)
    actor_count = max(actor_count, actors_needed)
    actors = draw_cast(rng, kinds[0], actor_count, parameters)
    places = draw_cast(rng, kinds[1], place_count, parameters)
    narrator = Narrator(rng, parameters.distractors, actors)
    return World(rng, actors, places), narrator, verbs("go", parameters.synonyms)


class _Fact(NamedTuple):
    actor: str
    way: str
    place: str
    second_place: str
    line: int


def _write_locations(
    rng: random.Random,
    parameters: SimulatorParameters,
    town: bool,
    vague_way: str,
    vague: Callable[..., tuple[str, str, str]],
) -> Narrator:
    """Writes a story of task 9 or 10: half of the moves are told as moves, a quarter as states.

    The last quarter is told by `vague`, which returns the sentence, the place named, and another
    place named.
    """
    world, narrator, go = _open_scene(rng, parameters, town)
    facts: list[_Fact] = []
    latest: dict[str, _Fact] = {}
    block, window = parameters.scaled(BLOCK), parameters.scaled(WINDOW)
    while narrator.questions < QUESTIONS:
        for _ in range(block):
            actor = pick(rng, world.actors)
            left = world.place_of[actor]
            place = world.leave(actor)
            second_place = ""
            draw = rng.random()
            if draw < 0.5:
                way, text = "move", f"{actor} {pick(rng, go)} the {place}."
            elif draw < 0.75:
                way, text = "state", f"{actor} is in the {place}."
            else:
                way = vague_way
                text, place, second_place = vague(rng, actor, left, place, world.places)
            latest[actor] = _Fact(actor, way, place, second_place, narrator.tell(text))
            facts.append(latest[actor])
        fact = latest[pick(rng, facts[-window:]).actor]
        if fact.way == "left":
            asked, answer = fact.place, "no"
        else:
            asked, answer = yes_or_no(rng, fact.place, world.places)
            if fact.way == "either" and asked in (fact.place, fact.second_place):
                answer = "maybe"
        narrator.ask(f"Is {fact.actor} in the {asked}?", answer, (fact.line,))
    return narrator


def _tell_negation(rng, actor, left, place, places):
    negation = "no longer" if rng.random() < 0.5 else "not"
    return f"{actor} is {negation} in the {left}.", left, ""


def _tell_alternatives(rng, actor, left, place, places):
    # The other place may be the same one: the published files hold such sentences.
    second_place = pick(rng, places)
    first, second = (place, second_place) if rng.random() < 0.5 else (second_place, place)
    return f"{actor} is either in the {first} or the {second}.", place, second_place


def _write_groups(
    rng: random.Random, parameters: SimulatorParameters, size: int, coreference: bool
) -> Narrator:
    """Writes a story of task 11, 12 or 13: groups of one or two actors, who may move once more."""
    world, narrator, go = _open_scene(rng, parameters, town=False)
    # A sentence about two actors counts as two, of which a question may reach the second alone.
    mentioned: list[str] = []
    latest: dict[str, tuple[str, tuple[int, ...]]] = {}
    moves = 2 if coreference else 1
    block = max(1, parameters.scaled(BLOCK) // moves)
    window = parameters.scaled(WINDOW)
    while narrator.questions < QUESTIONS:
        for _ in range(block):
            group = [pick(rng, world.actors)]
            while len(group) < size:
                actor = pick(rng, world.actors)
                if actor not in group:
                    group.append(actor)
            place = world.leave(*group)
            lines = [narrator.tell(f"{' and '.join(group)} {pick(rng, go)} the {place}.")]
            mentioned += group
            if coreference:
                place = world.leave(*group)
                subject = "they" if size > 1 else pronoun(group[0])
                text = f"{pick(rng, _CONNECTIVES)} {subject} {pick(rng, go)} the {place}."
                lines.append(narrator.tell(text, continued=True))
                mentioned += group
            for actor in group:
                latest[actor] = place, tuple(lines)
        actor = pick(rng, mentioned[-window:])
        narrator.ask(f"Where is {actor}?", *latest[actor])
    return narrator


def displace(rng: random.Random, items: list) -> None:
    """Shuffles so that no item keeps its place: a random cyclic permutation (Sattolo 1986)."""
    for index in range(len(items) - 1, 0, -1):
        target = int(rng.random() * index)
        items[index], items[target] = items[target], items[index]


class _Visit:
    """A move of task 14; `time` counts the actor's moves."""

    __slots__ = ("actor", "line", "place", "time")

    def __init__(self, actor: str, time: int, place: str):
        self.actor, self.time, self.place, self.line = actor, time, place, 0


def _write_times(rng: random.Random, parameters: SimulatorParameters) -> Narrator:
    """Writes a story of task 14: visits in order of time, told out of order between questions.

    An actor makes four moves at most. A story of n sentences between questions needs room for
    those it takes until a question is possible, hence the number of actors.
    """
    block, window = parameters.scaled(BLOCK), parameters.scaled(WINDOW)
    needed = -(-(QUESTIONS + 2) * block // len(_TIMES)) if block > BLOCK else 0
    world, narrator, go = _open_scene(rng, parameters, town=True, actors_needed=needed)
    visits: dict[str, list[_Visit]] = {actor: [] for actor in world.actors}
    made: list[_Visit] = []
    untold: list[_Visit] = []
    while narrator.questions < QUESTIONS:
        moving = [actor for actor in world.actors if len(visits[actor]) < len(_TIMES)]
        for _ in range(block):
            if not moving:
                break
            actor = pick(rng, moving)
            visit = _Visit(actor, len(visits[actor]), world.leave(actor))
            visits[actor].append(visit)
            made.append(visit)
            untold.append(visit)
            if len(visits[actor]) == len(_TIMES):
                moving.remove(actor)
        known = []
        for visit in made[-window:]:
            # "Before the park" means before the last visit to the park.
            last = max(v.time for v in visits[visit.actor] if v.place == visit.place)
            if last:
                known.append((visit.actor, last))
        if not known:
            continue
        displace(rng, untold)
        for visit in untold:
            visit.line = narrator.tell(_tell_visit(rng, visit, pick(rng, go)))
        untold.clear()
        actor, time = pick(rng, known)
        earlier, visit = visits[actor][time - 1 : time + 1]
        question = f"Where was {actor} before the {visit.place}?"
        narrator.ask(question, earlier.place, (visit.line, earlier.line))
    return narrator


def _tell_visit(rng: random.Random, visit: _Visit, verb: str) -> str:
    time = _TIMES[visit.time]
    if rng.random() < 0.5:
        return f"{time.capitalize()} {visit.actor} {verb} the {visit.place}."
    return f"{visit.actor} {verb} the {visit.place} {time}."


_WRITERS: dict[int, Callable[[random.Random, SimulatorParameters], Narrator]] = {
    9: partial(_write_locations, town=False, vague_way="left", vague=_tell_negation),
    10: partial(_write_locations, town=True, vague_way="either", vague=_tell_alternatives),
    11: partial(_write_groups, size=1, coreference=True),
    12: partial(_write_groups, size=2, coreference=False),
    13: partial(_write_groups, size=2, coreference=True),
    14: _write_times,
}


def write_moves(task: int, rng: random.Random, parameters: SimulatorParameters) -> Story:
    """Writes a story of task 9 to 14."""
    return _WRITERS[task](rng, parameters).story(task)
