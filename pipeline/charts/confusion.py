"""A confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping

from ...components.base.natural_sort import natural_key
from .palette import INK, MUTED, SECOND
from .svg import drawing, rectangle, shortened, text

_CELL, _TOP = 34, 30


def confusion_matrix(counts: Mapping[tuple[str, str], int], title: str) -> str:
    """Draws a row a true class and a column an answer: correct ones gray, wrong ones in color.

    Args:
        counts: numbers of answers by true and predicted class.
        title: what is drawn, for those who cannot see it.
    """
    names = sorted({name for pair in counts for name in pair}, key=natural_key)
    wrong = max(
        (count for (truth, predicted), count in counts.items() if truth != predicted), default=1
    )
    left = 14 + 7.5 * max(len(shortened(name)) for name in names)
    size = len(names) * _CELL
    parts = []
    for row, truth in enumerate(names):
        y = _TOP + row * _CELL
        middle = left + (row + 0.5) * _CELL
        total = sum(counts.get((truth, predicted), 0) for predicted in names)
        share = counts.get((truth, truth), 0) / total if total else 0.0
        parts.append(text(middle, 20, shortened(truth, 4)))
        parts.append(text(left - 6, y + 21, shortened(truth), "end"))
        if total:
            parts.append(text(left + size + 8, y + 21, f"{100 * share:.1f} %", "start"))
        for column, predicted in enumerate(names):
            count, x = counts.get((truth, predicted), 0), left + column * _CELL
            shade = (
                share * 0.4 if predicted == truth else 0.1 + 0.8 * count / wrong if count else 0.06
            )
            parts.append(
                rectangle(
                    x + 1,
                    y + 1,
                    _CELL - 2,
                    _CELL - 2,
                    MUTED if predicted == truth or not count else SECOND,
                    title=f"{truth} answered as {predicted}: {count:,} of {total:,}",
                    rx=3,
                    fill_opacity=shade,
                )
            )
            if count:
                size_of_text = None if count < 10_000 else 9
                parts.append(
                    text(x + _CELL / 2, y + 21, str(count), color=INK, font_size=size_of_text)
                )
    return drawing(left + size + 70, _TOP + size + 6, title, parts)
