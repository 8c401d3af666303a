"""The simulated world: where actors and objects are, and the rules of actions.

Section 3 of Weston et al. 2015 (arXiv 1502.05698) describes actors who go, get, drop and give.
`World` holds the state, draws actions that are possible in it, and applies them; `Narrator` writes
sentences and questions with their line ids.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from ..story import Question, Sentence, Story
from .lexicon import draw_names, idle_sentence, names
from .parameters import SimulatorParameters

T = TypeVar("T")


def pick(rng: random.Random, items: Sequence[T]) -> T:
    """Returns a random item; a faster `rng.choice`."""
    return items[int(rng.random() * len(items))]


def draw_cast(
    rng: random.Random, kind: str, count: int, parameters: SimulatorParameters
) -> list[str]:
    """Draws names of a kind, invented ones among them if the parameters ask for more."""
    extra = max(parameters.entities, parameters.vocabulary, count - len(names(kind)))
    return draw_names(rng, names(kind, extra), count)


class Action(NamedTuple):
    """What an actor did.

    `target` is a place for "go" and an object otherwise; `receiver` is of "give" alone; `line` is
    the id of the sentence that tells it, 0 while it is untold.
    """

    kind: str
    actor: str
    target: str
    receiver: str = ""
    line: int = 0


class World:
    """State and rules of the tasks in which actors act.

    Everyone and everything starts at a random place, of which the story says nothing.

    Args:
        rng: the source of chance.
        actors: names of the actors.
        places: at least two.
        objects: things that can be carried.
    """

    def __init__(
        self,
        rng: random.Random,
        actors: Sequence[str],
        places: Sequence[str],
        objects: Sequence[str] = (),
    ):
        self.rng = rng
        self.actors = actors
        self.places = places
        self.objects = objects
        self.place_of = {actor: pick(rng, places) for actor in actors}
        self.resting_place = {thing: pick(rng, places) for thing in objects}
        self.holder: dict[str, str] = {}

    def draw(self, kinds: Sequence[str]) -> Action:
        """Draws a possible action and applies it.

        A kind, an actor and a place are drawn, each uniformly, until the action is possible: going
        means to leave one's place, getting needs an object that rests there, dropping an object
        that one holds. A gift needs a holder with company; the first one possible is made, in the
        order of objects and then of receivers.
        """
        rng = self.rng
        while True:
            kind = pick(rng, kinds)
            if kind == "give":
                action = self._first_gift()
                if action is None:
                    continue
            else:
                actor = pick(rng, self.actors)
                if kind == "go":
                    targets = [pick(rng, self.places)]
                    if targets[0] == self.place_of[actor]:
                        continue
                elif kind == "get":
                    here = self.place_of[actor]
                    targets = [o for o, place in self.resting_place.items() if place == here]
                else:
                    targets = [o for o, holder in self.holder.items() if holder == actor]
                if not targets:
                    continue
                action = Action(kind, actor, pick(rng, targets))
            self.apply(action)
            return action

    def _first_gift(self) -> Action | None:
        for thing in self.objects:
            giver = self.holder.get(thing)
            if giver is None:
                continue
            for receiver in self.actors:
                if receiver != giver and self.place_of[receiver] == self.place_of[giver]:
                    return Action("give", giver, thing, receiver)
        return None

    def apply(self, action: Action) -> None:
        """Changes the state as the action says."""
        kind, actor, target, receiver, _ = action
        if kind == "go":
            self.place_of[actor] = target
        elif kind == "get":
            del self.resting_place[target]
            self.holder[target] = actor
        elif kind == "drop":
            del self.holder[target]
            self.resting_place[target] = self.place_of[actor]
        else:
            self.holder[target] = receiver

    def leave(self, *actors: str) -> str:
        """Moves the actors together to a place where none of them is, and returns it."""
        here = {self.place_of[actor] for actor in actors}
        place = pick(self.rng, self.places)
        while place in here:
            place = pick(self.rng, self.places)
        for actor in actors:
            self.place_of[actor] = place
        return place


class Narrator:
    """Writes the lines of a story.

    Args:
        rng: the source of chance.
        distractors: the mean number of irrelevant sentences before a sentence.
        subjects: who or what irrelevant sentences are about.
        acts: whether the subjects are names of actors.
    """

    def __init__(
        self, rng: random.Random, distractors: float, subjects: Sequence[str], acts: bool = True
    ):
        self.rng = rng
        self.distractors = distractors
        self.subjects = subjects
        self.acts = acts
        self.lines: list[Sentence | Question] = []
        self.questions = 0

    def tell(self, text: str, continued: bool = False) -> int:
        """Writes a sentence and returns its line id.

        Args:
            text: the sentence.
            continued: whether it refers to the sentence before it, so that nothing may stand
                between the two.
        """
        if self.distractors and not continued:
            count = int(self.distractors)
            count += self.rng.random() < self.distractors - count
            for _ in range(count):
                subject = pick(self.rng, self.subjects)
                self.lines.append(Sentence(idle_sentence(self.rng, subject, self.acts)))
        self.lines.append(Sentence(text))
        return len(self.lines)

    def ask(self, text: str, answer: str | Sequence[str], supporting: Sequence[int]) -> None:
        """Writes a question."""
        answer = (answer,) if isinstance(answer, str) else tuple(answer)
        self.lines.append(Question(text, answer, tuple(supporting)))
        self.questions += 1

    def story(self, task: int) -> Story:
        """Returns what was written."""
        return Story(task, tuple(self.lines))
