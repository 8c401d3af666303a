"""Metrics: what an evaluation measures, of single examples or of a whole set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

_TEXT = {"text": True}
"""Marks fields that people read and on which no result depends."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """What is measured.

    Args:
        name: string. The key of its values in rows and measures.
        meaning: string. What is measured and its unit, in one phrase.
        higher_is_better: boolean.
        average: string. How rows are averaged: `"mean"`, `"root_mean_square"`, or `"none"` for a
            measure of a whole set, which has no value per row.
        baseline: boolean. Whether it is the main metric of a baseline, shown beside the main one.
    """

    name: str
    meaning: str = dataclasses.field(metadata=_TEXT)
    higher_is_better: bool = True
    average: Literal["mean", "root_mean_square", "none"] = "mean"
    baseline: bool = dataclasses.field(default=False, metadata=_TEXT)


@dataclasses.dataclass(frozen=True)
class SetMeasure:
    """Values that belong to a set of examples and are no means over rows.

    COCO's average precision, BLEU of a corpus, the F score of a clustering, or what another model
    reaches on the same examples.

    Args:
        values: numbers by the name of a `Metric` whose `average` is `"none"`.
        count: integer. How many examples or pairs it was measured on.
        slice: name and value of the slice that the set is, `{"network": "fisher"}`; empty for the
            whole split.
        details: JSON values for the report.
    """

    values: Mapping[str, float | None]
    count: int
    slice: Mapping[str, str] = dataclasses.field(default_factory=dict)
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Plotted:
    """What the report draws of the models.

    Args:
        values: JSON values, as the method's figures take them.
    """

    values: Mapping[str, Any]
