"""Pictures for the report: images that were classified wrongly, and which classes are confused."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ...charts.confusion import confusion_matrix
from ...charts.images import Cell, image_grid

_MOST_CLASSES = 30


def evaluation_figures(rows: Sequence[Mapping[str, Any]], most: int = 32) -> dict[str, str]:
    """Draws images that were classified wrongly, of each class in turn, and a confusion matrix.

    Args:
        rows: rows of an evaluation, as `evaluation.rows` yields them.
        most: integer. The largest number of images.

    Returns:
        A dict from title to SVG text.
    """
    figures: dict[str, str] = {}
    by_class: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if (row.get("details") or {}).get("image"):
            by_class.setdefault(row["class"], []).append(row["details"])
    turns = itertools.zip_longest(*(wrong for _, wrong in sorted(by_class.items())))
    cells = [_cell(wrong) for turn in turns for wrong in turn if wrong is not None][:most]
    if cells:
        title = "Images that were classified wrongly"
        figures[title] = image_grid(cells, title, side=64, margin=32)
    counts = confusion(rows)
    names = {name for pair in counts for name in pair}
    if 1 < len(names) <= _MOST_CLASSES:
        title = "Confusion matrix: rows are the true classes, columns the answers"
        figures[title] = confusion_matrix(counts, title)
    return figures


def confusion(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    """Counts the answers by true and predicted class; where several models answered, of each."""
    models = max((sum(row["answers"].values()) for row in rows if row.get("answers")), default=1)
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        if not row.get("predicted"):
            continue
        for name, count in (row.get("answers") or {row["predicted"]: models}).items():
            counts[row["class"], name] = counts.get((row["class"], name), 0) + count
    return counts


def _cell(wrong: Mapping[str, Any]) -> Cell:
    predicted, truth = wrong["predicted"], wrong["class"]
    probability = (wrong.get("probabilities") or {}).get(predicted)
    caption = f"{wrong['id']}: {predicted}, right is {truth}"
    caption += "" if probability is None else f": {probability:.2f}"
    return Cell([wrong["image"]], caption, f"not {truth}", predicted)
