"""The parameters of the bAbI simulator."""

from __future__ import annotations

from typing import Literal

import pydantic

from ....base.parameters import Parameters
from ..options import TASKS, checked_tasks
from .lexicon import MOST_SYNONYMS


class SimulatorParameters(Parameters):
    """What the simulator is to write; the defaults follow the published files.

    Example:
        >>> SimulatorParameters(tasks=[1, 2], questions=100).story_length
        1.0
    """

    tasks: list[int] = pydantic.Field(default=list(TASKS), description="Tasks to write, 1 to 20.")
    questions: int = pydantic.Field(
        default=1000, ge=1, description="Questions of each task in the training split."
    )
    test_questions: int = pydantic.Field(
        default=1000, ge=1, description="Questions of each task in the test split."
    )
    seed: int = pydantic.Field(default=0, ge=0, description="Seed of everything written.")
    story_length: float = pydantic.Field(
        default=1.0,
        ge=1,
        le=100,
        description=(
            "Factor on the number of sentences: of those between two questions and of those that "
            "a question looks back on (tasks 1-3, 5-14), of the facts of a story (4, 15-19), of "
            "the actors of a story (14, 15, 16, 20). A story that needs more names than there "
            "are takes further ones."
        ),
    )
    entities: int = pydantic.Field(
        default=0,
        ge=0,
        le=1000,
        description=(
            "Actors, places and objects of a story beyond the published number, of each kind. In "
            "tasks 4, 17 and 19 each adds one fact, in 15 a species and a name, in 16 a name, a "
            "species and a color, in 18 a container, in 20 an actor."
        ),
    )
    distractors: float = pydantic.Field(
        default=0.0,
        ge=0,
        le=100,
        description="Mean number of irrelevant sentences before each sentence.",
    )
    synonyms: int = pydantic.Field(
        default=0,
        ge=0,
        le=MOST_SYNONYMS,
        description=(
            "Further verbs for each action, and further wordings of each stated relation; the "
            "motives of task 20 keep theirs."
        ),
    )
    vocabulary: int = pydantic.Field(
        default=0,
        ge=0,
        le=100_000,
        description=(
            "Names of each kind (actors, places, objects, species, colors, shapes, containers) "
            "beyond the published ones, from which stories draw theirs; plain English first, then "
            "invented. The motives, places and objects of task 20 stay the published ones, since "
            "its rules name them."
        ),
    )

    _checked = pydantic.field_validator("tasks")(checked_tasks)

    def scaled(self, published: int) -> int:
        """Returns a published number of sentences times `story_length`, at least 1."""
        return max(1, round(published * self.story_length))


class CrossOptions(SimulatorParameters):
    """The simulator's parameters, and how its questions and the published ones are crossed."""

    variant: str | None = pydantic.Field(
        default=None, description="Folder of the published files; default the only one, or en."
    )
    train_on: Literal["simulated", "published"] = pydantic.Field(
        default="simulated", description="Whose training questions train; both test."
    )
