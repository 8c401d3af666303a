"""Tasks 1 to 3 and 5 to 8: actors go, get, drop and give, and questions about where things are.

A question looks back on the last five actions: one of those that can be asked about is drawn, and
if there is none the story continues. Counts over the published files show the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from ..story import Story
from .lexicon import names, verbs
from .parameters import SimulatorParameters
from .world import Action, Narrator, World, draw_cast, pick

WINDOW = 5
BLOCK = 2
QUESTIONS = 5

_NUMBER_WORDS = (
    *("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen", "twenty"),
)

Asked = tuple[str, "str | Sequence[str]", Sequence[int]]
"""Question, answer, supporting line ids."""


class Memory:
    """What a reader knows from the sentences so far, with the lines that say it.

    Args:
        window: number of last actions that a question may look back on.
    """

    def __init__(self, window: int):
        self.window = window
        self.actions: list[Action] = []
        self.moves: dict[str, list[tuple[int, str]]] = {}
        self.last_handling: dict[str, Action] = {}
        self.last_get: dict[str, int] = {}
        self.last_gift: dict[str, Action] = {}
        self.handled: dict[str, dict[str, list[int]]] = {}
        self.handlings: dict[str, list[int]] = {}
        self.held: dict[str, list[str]] = {}

    def add(self, action: Action) -> None:
        """Learns what a sentence tells."""
        kind, actor, target, receiver, line = action
        self.actions.append(action)
        if kind == "go":
            self.moves.setdefault(actor, []).append((line, target))
            return
        self.last_handling[target] = action
        self._handle(actor, target, line)
        if kind == "get":
            self.last_get[target] = line
            self.held.setdefault(actor, []).append(target)
            return
        self.held[actor].remove(target)
        if kind == "give":
            self.last_gift[target] = action
            self._handle(receiver, target, line)
            self.held.setdefault(receiver, []).append(target)

    def _handle(self, actor: str, thing: str, line: int) -> None:
        self.handled.setdefault(actor, {}).setdefault(thing, []).append(line)
        self.handlings.setdefault(actor, []).append(line)

    def recent(self, *kinds: str) -> list[Action]:
        """Returns those of the last actions that are of these kinds."""
        return [action for action in self.actions[-self.window :] if action.kind in kinds]

    def journey(self, thing: str) -> list[tuple[int, str]]:
        """Returns the moves of the actor who last took the thing, while holding it."""
        handling = self.last_handling[thing]
        end = handling.line if handling.kind == "drop" else len(self.actions) ** 9
        start = self.last_get[thing]
        return [move for move in self.moves.get(handling.actor, ()) if start < move[0] < end]

    def last_move(self, actor: str, line: float = float("inf")) -> tuple[int, str] | None:
        """Returns line and place of the actor's last move before a line."""
        for move in reversed(self.moves.get(actor, ())):
            if move[0] < line:
                return move
        return None


def _recent_actor(rng: random.Random, memory: Memory, *kinds: str) -> str | None:
    recent = memory.recent(*kinds)
    return pick(rng, recent).actor if recent else None


def _ask_place_of_actor(rng: random.Random, memory: Memory, world: World) -> Asked | None:
    actor = _recent_actor(rng, memory, "go")
    if actor is None:
        return None
    line, place = memory.moves[actor][-1]
    return f"Where is {actor}?", place, (line,)


def _ask_whether_at_place(rng: random.Random, memory: Memory, world: World) -> Asked | None:
    actor = _recent_actor(rng, memory, "go")
    if actor is None:
        return None
    line, place = memory.moves[actor][-1]
    asked, answer = yes_or_no(rng, place, world.places)
    return f"Is {actor} in the {asked}?", answer, (line,)


def yes_or_no(rng: random.Random, place: str, places: Sequence[str]) -> tuple[str, str]:
    """Returns a place to ask about, as often the true one as another, and the answer."""
    if rng.random() < 0.5:
        return place, "yes"
    wrong_place = pick(rng, places)
    while wrong_place == place:
        wrong_place = pick(rng, places)
    return wrong_place, "no"


def _ask_place_of_object(rng: random.Random, memory: Memory, world: World) -> Asked | None:
    known = []
    for action in memory.recent("get", "drop"):
        handling = memory.last_handling[action.target]
        if handling.kind == "drop":
            move = memory.last_move(handling.actor, handling.line)
        else:
            # The story does not say where it was taken, only where it was carried afterwards.
            move = memory.last_move(handling.actor)
            if move is not None and move[0] < handling.line:
                move = None
        if move is not None:
            known.append((action.target, move, handling.line))
    if not known:
        return None
    thing, (line, place), handling_line = pick(rng, known)
    return f"Where is the {thing}?", place, (handling_line, line)


def _ask_earlier_place_of_object(rng: random.Random, memory: Memory, world: World) -> Asked | None:
    known = []
    for action in memory.recent("get", "drop"):
        journey = memory.journey(action.target)
        if len(journey) >= 2:
            known.append((action.target, journey))
    if not known:
        return None
    thing, journey = pick(rng, known)
    last_visit = {place: index for index, (_, place) in enumerate(journey)}
    index = 0
    while index == 0:
        index = last_visit[pick(rng, journey)[1]]
    line, place = journey[index]
    earlier_line, earlier = journey[index - 1]
    handling_line = memory.last_handling[thing].line
    question = f"Where was the {thing} before the {place}?"
    return question, earlier, (handling_line, line, earlier_line)


def _ask_gift(rng: random.Random, memory: Memory, world: World) -> Asked | None:
    recent = memory.recent("give")
    if not recent:
        return None
    _, giver, thing, receiver, line = memory.last_gift[pick(rng, recent).target]
    form = int(rng.random() * 6)
    if form < 2:
        return f"What did {giver} give to {receiver}?", thing, (line,)
    if form == 2:
        return f"Who gave the {thing} to {receiver}?", giver, (line,)
    if form == 3:
        return f"Who gave the {thing}?", giver, (line,)
    if form == 4:
        return f"Who did {giver} give the {thing} to?", receiver, (line,)
    return f"Who received the {thing}?", receiver, (line,)


def _ask_count(rng: random.Random, memory: Memory, world: World) -> Asked | None:
    actor = _recent_actor(rng, memory, "get", "drop", "give")
    if actor is None:
        return None
    count = len(memory.held[actor])
    answer = _NUMBER_WORDS[count] if count < len(_NUMBER_WORDS) else str(count)
    return f"How many objects is {actor} carrying?", answer, memory.handlings[actor]


def _ask_list(rng: random.Random, memory: Memory, world: World) -> Asked | None:
    actor = _recent_actor(rng, memory, "get", "drop", "give")
    if actor is None:
        return None
    # Objects in the order in which the actor first had them, each with all its events.
    handled = memory.handled[actor]
    answer = [thing for thing in handled if thing in memory.held[actor]] or ["nothing"]
    supporting = [line for lines in handled.values() for line in lines]
    return f"What is {actor} carrying?", answer, supporting


Asker = Callable[[random.Random, Memory, World], "Asked | None"]

_TASKS: dict[int, tuple[tuple[str, ...], str, Asker]] = {
    1: (("go",), "actors", _ask_place_of_actor),
    2: (("go", "get", "drop"), "actors", _ask_place_of_object),
    3: (("go", "get", "drop"), "actors", _ask_earlier_place_of_object),
    5: (("go", "get", "drop", "give"), "givers", _ask_gift),
    6: (("go", "get", "drop"), "actors", _ask_whether_at_place),
    7: (("go", "get", "drop", "give"), "actors", _ask_count),
    8: (("go", "get", "drop"), "actors", _ask_list),
}

_THERE = 0.2
"""How often a sentence about an object ends in "there", where it does not always."""


def write_actions(task: int, rng: random.Random, parameters: SimulatorParameters) -> Story:
    """Writes a story of task 1, 2, 3, 5, 6, 7 or 8."""
    kinds, actor_kind, ask = _TASKS[task]
    cast = [
        draw_cast(rng, kind, len(names(kind)) + parameters.entities, parameters)
        for kind in (actor_kind, "places", "objects")
    ]
    world = World(rng, *cast)
    memory = Memory(parameters.scaled(WINDOW))
    narrator = Narrator(rng, parameters.distractors, cast[0])
    wordings = {kind: verbs(kind, parameters.synonyms) for kind in kinds}
    block = parameters.scaled(BLOCK)
    while narrator.questions < QUESTIONS:
        for _ in range(block):
            action = world.draw(kinds)
            verb = pick(rng, wordings[action.kind])
            text = f"{action.actor} {verb} the {action.target}"
            if action.kind == "give":
                text += f" to {action.receiver}"
            elif (action.kind == "get" and task != 3) or (
                action.kind != "go" and rng.random() < _THERE
            ):
                text += " there"
            memory.add(action._replace(line=narrator.tell(text + ".")))
        asked = ask(rng, memory, world)
        if asked is not None:
            narrator.ask(*asked)
    return narrator.story(task)
