"""What both experiments say of their training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def steps_to(goal: float, line: Sequence[float], every: int) -> int | None:
    """Returns the steps after which a goal was first reached, or `None`."""
    return next((every * (i + 1) for i, value in enumerate(line) if value >= goal), None)


def measured(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Returns the accuracy that all fits logged: on test images, else on those held out."""
    names = ("test_accuracy", "val_accuracy", "accuracy")
    return next(name for name in names if all(name in rows[0] for rows in logs.values()))
