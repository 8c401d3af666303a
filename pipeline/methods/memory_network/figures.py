"""Pictures for the report: a story with the attention of each hop, and the answer given."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ...charts.palette import ACCENT, INK, MUTED, SECOND
from ...charts.svg import circle, drawing, line, rectangle, text

_LINE = 20
_COLUMN = 44
_TEXT = 620
_SHOWN = 14


def evaluation_figures(rows: Sequence[Mapping[str, Any]], most: int = 12) -> dict[str, str]:
    """Draws wrong answers, of each task in turn.

    Args:
        rows: rows of an evaluation, those of wrong answers with `details`.
        most: integer. The largest number of pictures.

    Returns:
        A dict from title to SVG text. A column a hop shows its attention over the sentences (the
        darker, the more); a ring marks the true fact of that hop, a dot the chosen one.
    """
    by_task: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row.get("details"):
            by_task.setdefault(str(row["task"]), []).append(row)
    turns = itertools.zip_longest(*sorted(by_task.values(), key=len, reverse=True))
    figures: dict[str, str] = {}
    for row in itertools.islice(filter(None, itertools.chain.from_iterable(turns)), most):
        details = row["details"]
        title = (
            f"Task {row['task']}: {details['question']} answered “{details['predicted']}”, "
            f"right is “{details['answer']}”"
        )
        figures.setdefault(title, draw_story(details))
    return figures


def draw_story(details: Mapping[str, Any]) -> str:
    """Draws one story as SVG.

    Args:
        details: `story`, list of sentences; `question`, `answer`, `predicted`, texts;
            `supporting_facts` and `predicted_facts`, lists of 0-based sentence numbers by hop;
            `attention`, a list over hops of lists over sentences, in [0, 1]; `probability`.
    """
    story, attention = details["story"], details["attention"]
    true, chosen = details["supporting_facts"], details["predicted_facts"]
    hops = max(len(true), len(chosen), 1)
    shown = _shown_sentences(len(story), [*true, *chosen], attention)
    left = hops * _COLUMN + 12
    width, below = left + _TEXT, (len(shown) + 1) * _LINE + 15
    parts = [text((hop + 0.5) * _COLUMN, 14, f"hop {hop + 1}") for hop in range(hops)]
    parts.append(text(left, 14, "○ true fact · ● chosen fact · shade: attention", "start"))
    for place, sentence in enumerate(shown):
        y = (place + 1) * _LINE
        if sentence > (shown[place - 1] if place else -1) + 1:
            parts.append(line(0, y, width, y, MUTED, stroke_dasharray="2 4", opacity=0.5))
        for hop in range(hops):
            weight = attention[hop][sentence] if hop < len(attention) else 0.0
            x, middle = (hop + 0.5) * _COLUMN, y + _LINE / 2 + 0.5
            parts.append(
                rectangle(
                    hop * _COLUMN + 2,
                    y + 2,
                    _COLUMN - 4,
                    _LINE - 3,
                    ACCENT,
                    title=f"hop {hop + 1}, sentence {sentence + 1}: {weight:.2f}",
                    rx=3,
                    fill_opacity=0.06 + 0.7 * min(max(weight, 0.0), 1.0),
                )
            )
            if hop < len(true) and true[hop] == sentence:
                parts.append(circle(x, middle, 6, "none", stroke=INK, stroke_width=1.5))
            if hop < len(chosen) and chosen[hop] == sentence:
                parts.append(circle(x, middle, 3, INK))
        weight = "bold" if sentence in chosen else None
        label = f"{sentence + 1} {story[sentence]}"
        parts.append(text(left, y + 15, label, "start", INK, font_weight=weight))
    answer = f"{details['predicted']} ({details['probability']:.2f})"
    parts += [
        text(left, below, details["question"], "start", INK, font_style="italic"),
        text(left, below + _LINE, answer, "start", SECOND, font_weight="bold"),
        text(left, below + 2 * _LINE, f"right: {details['answer']}", "start", INK),
    ]
    return drawing(width, below + 2 * _LINE + 8, details["question"], parts, font_size=13)


def _shown_sentences(
    count: int, facts: Sequence[int], attention: Sequence[Sequence[float]]
) -> list[int]:
    """Returns the sentences to draw: all of a short story, else facts and the most attended."""
    if count <= _SHOWN:
        return list(range(count))
    peak = [max((hop[index] for hop in attention), default=0.0) for index in range(count)]
    by_weight = sorted(range(count), key=lambda index: (-peak[index], -index))
    kept = dict.fromkeys([fact for fact in facts if 0 <= fact < count] + by_weight)
    return sorted(list(kept)[: max(_SHOWN, len(set(facts)))])
