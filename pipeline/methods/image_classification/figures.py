"""Pictures for the report: images that were classified wrongly, and which classes are confused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ....components.base.natural_sort import natural_key

_ACCENT = "#d9730d"
_FONT = "ui-monospace, monospace"
_COLUMNS = 8
_CELL = 96
_IMAGE = 64
_TEXT = 12
_MOST_CLASSES = 30


def wrong_answers(rows: Sequence[Mapping[str, Any]], most: int = 32) -> dict[str, str]:
    """Draws images that were classified wrongly, of each class in turn, and a confusion matrix.

    Args:
        rows: rows of an evaluation, as `evaluation.rows` yields them.
        most: integer. The largest number of images.

    Returns:
        A dict from title to SVG text.
    """
    drawn: dict[str, str] = {}
    by_class: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if (row.get("details") or {}).get("image"):
            by_class.setdefault(row["class"], []).append(row["details"])
    in_turn = [
        wrong[turn]
        for turn in range(most)
        for _, wrong in sorted(by_class.items())
        if turn < len(wrong)
    ]
    if in_turn:
        drawn["Images that were classified wrongly"] = draw_images(in_turn[:most])
    counts = confusion(rows)
    names = {name for pair in counts for name in pair}
    if 1 < len(names) <= _MOST_CLASSES:
        drawn["Confusion matrix: rows are the true classes, columns the answers"] = draw_confusion(
            counts
        )
    return drawn


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


def draw_images(wrong: Sequence[Mapping[str, Any]]) -> str:
    """Draws images side by side as SVG, with the answer and the true class below each.

    Args:
        wrong: `image`, a `data:` address, `class`, `predicted` and `probabilities` of each.
    """
    columns = min(_COLUMNS, len(wrong))
    lines = -(-len(wrong) // columns)
    height = _CELL + _TEXT
    parts = [_svg(columns * _CELL, lines * height, "Images that were classified wrongly")]
    for index, details in enumerate(wrong):
        x = index % columns * _CELL
        y = index // columns * height
        predicted, truth = details["predicted"], details["class"]
        given = (details.get("probabilities") or {}).get(predicted)
        said = f"{predicted}, right is {truth}" + ("" if given is None else f": {given:.2f}")
        left = x + (_CELL - _IMAGE) / 2
        parts.append(
            f'<image href="{escape(details["image"])}" x="{left:g}" y="{y + 4}" '
            f'width="{_IMAGE}" height="{_IMAGE}" style="image-rendering:pixelated">'
            f"<title>{escape(str(details['id']))}: {escape(said)}</title></image>"
            f'<text x="{x + _CELL / 2:g}" y="{y + _IMAGE + 18}" text-anchor="middle" '
            f'fill="{_ACCENT}" font-weight="bold">{escape(_short(predicted))}</text>'
            f'<text x="{x + _CELL / 2:g}" y="{y + _IMAGE + 33}" text-anchor="middle" '
            f'opacity="0.75">{escape(_short(f"not {truth}"))}</text>'
        )
    return "".join([*parts, "</svg>"])


def draw_confusion(counts: Mapping[tuple[str, str], int]) -> str:
    """Draws a confusion matrix as SVG: right answers grey, wrong ones in colour.

    Args:
        counts: numbers of answers by true and predicted class.
    """
    names = sorted({name for pair in counts for name in pair}, key=natural_key)
    totals = {name: sum(counts.get((name, other), 0) for other in names) for name in names}
    wrong = max((count for (truth, given), count in counts.items() if truth != given), default=1)
    cell = 34
    left = 14 + 7.5 * max(len(_short(name)) for name in names)
    top = 30
    size = len(names) * cell
    parts = [_svg(left + size + 70, top + size + 6, "Confusion matrix")]
    for index, name in enumerate(names):
        middle = index * cell + cell / 2
        label = escape(_short(name, 4))
        parts.append(
            f'<text x="{left + middle:g}" y="20" text-anchor="middle" opacity="0.75">{label}'
            f"<title>{escape(name)}</title></text>"
            f'<text x="{left - 6:g}" y="{top + middle + 4:g}" text-anchor="end" opacity="0.75">'
            f"{escape(_short(name))}</text>"
        )
        share = counts.get((name, name), 0) / totals[name] if totals[name] else 0.0
        if totals[name]:
            parts.append(
                f'<text x="{left + size + 8:g}" y="{top + middle + 4:g}" opacity="0.75">'
                f"{100 * share:.1f} %</text>"
            )
        for column, other in enumerate(names):
            count = counts.get((name, other), 0)
            right = name == other
            shade = share * 0.3 if right else 0.1 + 0.8 * count / wrong if count else 0.03
            color = "currentColor" if right or not count else _ACCENT
            x, y = left + column * cell, top + index * cell
            title = escape(f"{name} answered as {other}: {count:,} of {totals[name]:,}")
            parts.append(
                f'<rect x="{x + 1:g}" y="{y + 1:g}" width="{cell - 2}" height="{cell - 2}" rx="3" '
                f'fill="{color}" opacity="{shade:.2f}"><title>{title}</title></rect>'
            )
            if count:
                parts.append(
                    f'<text x="{x + cell / 2:g}" y="{y + cell / 2 + 4:g}" text-anchor="middle" '
                    f'font-size="{11 if count < 10_000 else 9}">{count}</text>'
                )
    return "".join([*parts, "</svg>"])


def _svg(width: float, height: float, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" font-size="12" '
        f'font-family="{_FONT}" fill="currentColor"><title>{escape(title)}</title>'
    )


def _short(text: str, most: int = 12) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
