"""Parameters of the bAbI source of files and of its transform."""

from __future__ import annotations

import pydantic

from ...base.parameters import Parameters
from .story import TASK_NAMES

TASKS = tuple(range(1, len(TASK_NAMES) + 1))


def checked_tasks(tasks: list[int]) -> list[int]:
    """Returns the tasks; raises `ValueError` for one outside 1 to 20, a repeated one, or none."""
    wrong = [task for task in tasks if task not in TASKS]
    if wrong or not tasks or len(set(tasks)) != len(tasks):
        raise ValueError(f"tasks must be different numbers from 1 to 20. Received: {tasks}")
    return tasks


class FilesOptions(Parameters):
    """Which of the published files are read."""

    tasks: list[int] = pydantic.Field(list(TASKS), description="tasks to read, 1 to 20")
    variant: str | None = pydantic.Field(
        None, description="folder of the files: en, en-10k, hn, shuffled, …; default the only one"
    )

    _checked = pydantic.field_validator("tasks")(checked_tasks)


class TransformOptions(Parameters):
    """What becomes a feature."""

    ngrams: int = pydantic.Field(
        3, ge=1, le=5, description="longest n-gram; 1 leaves a bag of words"
    )
    min_count: int = pydantic.Field(
        1, ge=1, description="an n-gram (n > 1) rarer than this in the training stories is dropped"
    )
