"""The bAbI simulator: all 20 tasks of Weston et al. 2015 (arXiv 1502.05698), any amount of them.

A story depends on its parameters, its task, its split and its number alone, so that stories can be
written in any order and in parallel.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Literal, NamedTuple

from ..story import Question, Story
from .actions import QUESTIONS, write_actions
from .agents import count_motivation_questions, draw_needs, write_agents
from .moves import write_moves
from .parameters import SimulatorParameters
from .relations import write_relations

__all__ = [
    "SimulatorParameters",
    "StoryPlan",
    "simulate",
    "simulate_story",
    "story_plan",
    "truncate",
]

Split = Literal["train", "test"]

_WRITERS = {
    **dict.fromkeys((1, 2, 3, 5, 6, 7, 8), write_actions),
    **dict.fromkeys((9, 10, 11, 12, 13, 14), write_moves),
    **dict.fromkeys((4, 17, 18, 19), write_relations),
    **dict.fromkeys((15, 16, 20), write_agents),
}

_QUESTIONS_A_STORY = {**dict.fromkeys(range(1, 19), QUESTIONS), 4: 1, 15: 4, 16: 1, 17: 8, 19: 1}
"""Those of task 20 differ from story to story."""


class StoryPlan(NamedTuple):
    """How many stories hold the questions asked for.

    Args:
        stories: number of stories.
        last_questions: questions to keep of the last one.
    """

    stories: int
    last_questions: int


def simulate_story(
    task: int, index: int, parameters: SimulatorParameters, split: Split = "train"
) -> Story:
    """Writes one story.

    Args:
        task: 1 to 20.
        index: number of the story in its task and split, from 0.
        parameters: `seed` and all else but `tasks` and the numbers of questions count.
        split: "train" or "test".

    Returns:
        A whole story; tasks 4, 16 and 19 have one question a story, 15 four, 17 eight, 20 two for
        each actor and one for each need, the others five.

    Raises:
        ValueError: a task or split that does not exist.

    Example:
        >>> story = simulate_story(1, 0, SimulatorParameters())
        >>> len(story.lines)
        15
    """
    _check_task(task)
    return _WRITERS[task](task, _story_random(task, index, parameters.seed, split), parameters)


def simulate(
    task: int, questions: int, parameters: SimulatorParameters, split: Split = "train"
) -> Iterator[Story]:
    """Yields stories until just `questions` questions are written; the last one may be cut.

    Args:
        task: 1 to 20.
        questions: how many questions to write.
        parameters: as for `simulate_story`.
        split: "train" or "test".
    """
    index = 0
    while questions > 0:
        story = simulate_story(task, index, parameters, split)
        written = sum(isinstance(line, Question) for line in story.lines)
        yield story if written <= questions else truncate(story, questions)
        questions -= written
        index += 1


def truncate(story: Story, questions: int) -> Story:
    """Returns the story up to its `questions`-th question."""
    remaining = questions
    for number, line in enumerate(story.lines, 1):
        remaining -= isinstance(line, Question)
        if remaining == 0:
            return Story(story.task, story.lines[:number])
    return story


def story_plan(
    task: int, questions: int, parameters: SimulatorParameters, split: Split = "train"
) -> StoryPlan:
    """Returns how many stories `simulate` yields for `questions` questions, without writing them.

    Args:
        task: 1 to 20.
        questions: at least 1.
        parameters: as for `simulate_story`.
        split: "train" or "test".

    Raises:
        ValueError: a task or split that does not exist, or no questions.

    Example:
        >>> story_plan(1, 1001, SimulatorParameters())
        StoryPlan(stories=201, last_questions=1)
    """
    _check_task(task)
    if questions < 1:
        raise ValueError(f"questions must be at least 1. Received: questions={questions}")
    if task != 20:
        in_story = _QUESTIONS_A_STORY[task]
        stories = -(-questions // in_story)
        return StoryPlan(stories, questions - (stories - 1) * in_story)
    stories = 0
    while True:
        rng = _story_random(task, stories, parameters.seed, split)
        in_story = count_motivation_questions(draw_needs(rng, parameters))
        stories += 1
        if questions <= in_story:
            return StoryPlan(stories, questions)
        questions -= in_story


def _check_task(task: int) -> None:
    if task not in _WRITERS:
        raise ValueError(f"task must be 1 to 20. Received: task={task}")


def _story_random(task: int, index: int, seed: int, split: Split) -> random.Random:
    if split not in ("train", "test"):
        raise ValueError(f'split must be "train" or "test". Received: split={split!r}')
    key = f"{seed} {split} {task} {index}".encode()
    return random.Random(int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big"))
