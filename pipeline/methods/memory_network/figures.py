"""Pictures for the report: a story with the attention of each hop, and the answer given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_LINE = 20
_COLUMN = 44
_TEXT = 620
_SHOWN = 14
_ACCENT = "#d9730d"


def wrong_answers(rows: Sequence[Mapping[str, Any]], most: int = 12) -> dict[str, str]:
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
    in_turn = [
        (task, wrong[turn])
        for turn in range(most)
        for task, wrong in sorted(by_task.items(), key=lambda item: -len(item[1]))
        if turn < len(wrong)
    ]
    drawn: dict[str, str] = {}
    for task, row in in_turn[:most]:
        details = row["details"]
        title = (
            f"Task {task}: {details['question']} answered “{details['predicted']}”, "
            f"right is “{details['answer']}”"
        )
        drawn.setdefault(title, draw_story(details))
    return drawn


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
    height = (len(shown) + 3) * _LINE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + _TEXT} {height}" '
        f'width="{left + _TEXT}" height="{height}" role="img" font-size="13" '
        f'font-family="ui-monospace, monospace" fill="currentColor">'
        f"<title>{escape(details['question'])}</title>"
    ]
    parts += [
        f'<text x="{hop * _COLUMN + _COLUMN / 2}" y="14" text-anchor="middle" opacity="0.6">'
        f"hop {hop + 1}</text>"
        for hop in range(hops)
    ]
    parts.append(
        f'<text x="{left}" y="14" opacity="0.6">○ true fact  ● chosen fact  shade: attention</text>'
    )
    last = -1
    for row, sentence in enumerate(shown, 1):
        y = row * _LINE
        if sentence > last + 1:
            parts.append(
                f'<line x1="0" x2="{left + _TEXT}" y1="{y}" y2="{y}" stroke="currentColor" '
                f'stroke-dasharray="2 4" opacity="0.5"/>'
            )
        last = sentence
        for hop in range(hops):
            weight = attention[hop][sentence] if hop < len(attention) else 0.0
            x = hop * _COLUMN
            parts.append(
                f'<rect x="{x + 2}" y="{y + 2}" width="{_COLUMN - 4}" height="{_LINE - 3}" rx="3" '
                f'fill="{_ACCENT}" opacity="{0.04 + 0.8 * min(max(weight, 0.0), 1.0):.2f}">'
                f"<title>hop {hop + 1}, sentence {sentence + 1}: {weight:.2f}</title></rect>"
            )
            center = f'cx="{x + _COLUMN / 2}" cy="{y + _LINE / 2 + 0.5}"'
            if hop < len(true) and true[hop] == sentence:
                parts.append(
                    f'<circle {center} r="6" fill="none" stroke="currentColor" stroke-width="1.5"/>'
                )
            if hop < len(chosen) and chosen[hop] == sentence:
                parts.append(f'<circle {center} r="3"/>')
        weight = "bold" if sentence in chosen else "normal"
        parts.append(
            f'<text x="{left}" y="{y + 15}" font-weight="{weight}">'
            f"{sentence + 1} {escape(story[sentence])}</text>"
        )
    below = (len(shown) + 1) * _LINE + 15
    parts.append(
        f'<text x="{left}" y="{below}" font-style="italic">{escape(details["question"])}</text>'
        f'<text x="{left}" y="{below + _LINE}">'
        f'<tspan fill="{_ACCENT}" font-weight="bold">{escape(details["predicted"])}</tspan>'
        f" ({details['probability']:.2f}), right: {escape(details['answer'])}</text></svg>"
    )
    return "".join(parts)


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
