"""Tasks 15, 16 and 20: what kinds of animals fear and look like, and what people need."""

from __future__ import annotations

import random

from ..story import Story
from .lexicon import names, plural, verbs
from .parameters import SimulatorParameters
from .world import Narrator, draw_cast, pick

_DEDUCTION_QUESTIONS = 4


def _write_deduction(rng: random.Random, parameters: SimulatorParameters) -> Narrator:
    """Writes a story of task 15: an animal is named after the fear of its species is told."""
    animals_kind, species_kind = "fearful animals", "feared species"
    count = parameters.scaled(len(names(animals_kind))) + parameters.entities
    animals = draw_cast(rng, animals_kind, count, parameters)
    species_count = len(names(species_kind)) + parameters.entities
    species = draw_cast(rng, species_kind, species_count, parameters)
    narrator = Narrator(rng, parameters.distractors, animals)
    fear = verbs("fear", parameters.synonyms)
    feared: dict[str, tuple[str, int]] = {}
    species_of: dict[str, tuple[str, int]] = {}
    while len(feared) < len(species) or len(species_of) < len(animals):
        kind = pick(rng, species)
        if rng.random() < 0.5:
            if kind in feared:
                continue
            predator = pick(rng, species)
            while predator == kind:
                predator = pick(rng, species)
            text = f"{plural(kind).capitalize()} {pick(rng, fear)} {plural(predator)}."
            feared[kind] = predator, narrator.tell(text)
        else:
            animal = pick(rng, animals)
            if kind in feared and animal not in species_of:
                species_of[animal] = kind, narrator.tell(f"{animal} is a {kind}.")
    for _ in range(_DEDUCTION_QUESTIONS):
        animal = pick(rng, animals)
        kind, line = species_of[animal]
        predator, fear_line = feared[kind]
        narrator.ask(f"What is {animal.lower()} afraid of?", predator, (line, fear_line))
    return narrator


def _write_induction(rng: random.Random, parameters: SimulatorParameters) -> Narrator:
    """Writes a story of task 16, again until its question can be asked.

    The animal without a color has that of the one of its species that was named last. Published
    stories never have just two such others.
    """
    animals_kind, species_kind = "colored animals", "colored species"
    count = max(2, parameters.scaled(len(names(animals_kind))) + parameters.entities)
    animals = draw_cast(rng, animals_kind, count, parameters)
    species = draw_cast(
        rng, species_kind, len(names(species_kind)) + parameters.entities, parameters
    )
    colors = draw_cast(rng, "colors", len(names("colors")) + parameters.entities, parameters)
    have_color = verbs("have color", parameters.synonyms)
    while True:
        narrator = Narrator(rng, parameters.distractors, animals)
        species_of: dict[str, tuple[str, int]] = {}
        color_of: dict[str, tuple[str, int]] = {}
        # The color that a species shows; another animal of the species may bring another one.
        shown: dict[str, str | None] = {}
        while len(species_of) < count or len(color_of) < count - 1:
            animal = pick(rng, animals)
            if rng.random() < 0.5:
                if animal not in species_of:
                    kind = pick(rng, species)
                    species_of[animal] = kind, narrator.tell(f"{animal} is a {kind}.")
                    shown[kind] = None
            elif animal in species_of and animal not in color_of and len(color_of) < count - 1:
                kind = species_of[animal][0]
                color = shown[kind] = shown[kind] or pick(rng, colors)
                line = narrator.tell(f"{animal} {pick(rng, have_color)} {color}.")
                color_of[animal] = color, line
        asked = next(animal for animal in animals if animal not in color_of)
        kind, line = species_of[asked]
        alike = [a for a in species_of if species_of[a][0] == kind and a != asked]
        if alike and len(alike) != 2:
            color, color_line = color_of[alike[-1]]
            supporting = (line, species_of[alike[-1]][1], color_line)
            narrator.ask(f"What color is {asked}?", color, supporting)
            return narrator


_NEEDS = {
    "thirsty": ("kitchen", "milk"),
    "hungry": ("kitchen", "apple"),
    "tired": ("bedroom", "pajamas"),
    "bored": ("garden", "football"),
}
"""Where a need makes an actor go, and what to get there."""


def draw_needs(rng: random.Random, parameters: SimulatorParameters) -> list[str]:
    """Draws a need for each actor of a story of task 20."""
    count = parameters.scaled(len(names("motivated actors"))) + parameters.entities
    needs = tuple(_NEEDS)
    return [pick(rng, needs) for _ in range(count)]


def count_motivation_questions(needs: list[str]) -> int:
    """Returns the questions of a story of task 20: each need, journey and taken object has one."""
    return 2 * len(needs) + len(set(needs))


def _write_motivations(rng: random.Random, parameters: SimulatorParameters) -> Narrator:
    """Writes a story of task 20: actors need something, go, and get it unless it is taken."""
    needs = draw_needs(rng, parameters)
    actors = draw_cast(rng, "motivated actors", len(needs), parameters)
    need_of = dict(zip(actors, needs, strict=True))
    narrator = Narrator(rng, parameters.distractors, actors)
    go, get = (verbs(action, parameters.synonyms) for action in ("go", "get"))
    done = dict.fromkeys(actors, 0)
    need_line: dict[str, int] = {}
    taken: set[str] = set()
    active = list(actors)
    while active:
        actor = pick(rng, active)
        need = need_of[actor]
        place, thing = _NEEDS[need]
        if done[actor] == 0:
            need_line[actor] = narrator.tell(f"{actor} is {need}.")
            question, answer = f"Where will {actor.lower()} go?", place
        elif done[actor] == 1:
            narrator.tell(f"{actor} {pick(rng, go)} the {place}.")
            question, answer = f"Why did {actor.lower()} go to the {place}?", need
        else:
            narrator.tell(f"{actor} {pick(rng, get)} the {thing} there.")
            question, answer = f"Why did {actor.lower()} get the {thing}?", need
            taken.add(thing)
        narrator.ask(question, answer, (need_line[actor],))
        done[actor] += 1
        active = [
            candidate
            for candidate in actors
            if done[candidate] < 2
            or (done[candidate] == 2 and _NEEDS[need_of[candidate]][1] not in taken)
        ]
    return narrator


_WRITERS = {15: _write_deduction, 16: _write_induction, 20: _write_motivations}


def write_agents(task: int, rng: random.Random, parameters: SimulatorParameters) -> Story:
    """Writes a story of task 15, 16 or 20."""
    return _WRITERS[task](rng, parameters).story(task)
