"""The ROC of verification, and how far apart the images of pairs lie.

Dimensions: P pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ....models.facenet.measures.verification import Verification, val_at_far
from ...charts.svg import ACCENT, line, number_of_pairs, rectangle, svg, text

_WIDTH, _HEIGHT = 560, 240
_LEFT, _TOP, _BOTTOM, _RIGHT = 44, 18, 40, 16
_BINS = 48
_DASHES = ("", "6 3", "2 3", "8 3 2 3")


def draw_roc(
    measured: Mapping[str, Verification], distances: np.ndarray, same: np.ndarray, far: float
) -> dict[str, str]:
    """Draws true accepts over false accepts, the latter on a logarithmic axis.

    Args:
        measured: `Verification` by the name of the model, the main one first.
        distances: float (P,), of the main model.
        same: bool (P,), whether the pairs are of the same person.
        far: float. The false accept rate at which VAL is drawn, with its interval.

    Returns:
        A dict from title to SVG text.
    """
    found = val_at_far(distances, same, far)
    lowest = 0.5 / found.different_pairs
    right, base = _WIDTH - _RIGHT, _TOP + _HEIGHT

    def across(rate: float) -> float:
        part = math.log(max(rate, lowest) / lowest) / -math.log(lowest)
        return _LEFT + part * (right - _LEFT)

    def down(rate: float) -> float:
        return base - rate * _HEIGHT

    parts = []
    for rate in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(line(_LEFT, down(rate), right, down(rate)))
        parts.append(text(_LEFT - 6, down(rate) + 4, f"{rate:g}", "end"))
    for power in range(math.ceil(math.log10(lowest)), 1):
        x = across(10.0**power)
        parts.append(line(x, _TOP, x, base))
        parts.append(text(x, base + 16, f"{10.0**power:g}"))
    parts.append(text((_LEFT + right) / 2, base + 34, "false accept rate (0 at the left edge)"))
    # Below the axis: curves may pass anywhere above it.
    legend = base + _BOTTOM + 14
    for number, (name, each) in reversed(list(enumerate(measured.items()))):
        corners = []
        before = 0.0
        for x, y in zip(each.roc.false_accept_rates, each.roc.true_accept_rates, strict=True):
            # A step: at a threshold in between, the different pair is not accepted yet.
            corners += [(across(x), down(before)), (across(x), down(y))]
            before = y
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in dict.fromkeys(corners))
        color, opacity = (ACCENT, 1.0) if not number else ("currentColor", 0.6)
        stroke = (
            f'style="stroke:{color}" opacity="{opacity:g}" '
            f'stroke-width="{1.2 if number else 2}" '
            f'stroke-dasharray="{_DASHES[number % len(_DASHES)]}"'
        )
        parts.append(f'<polyline points="{points}" fill="none" {stroke}/>')
        y = legend + 15 * number
        parts.append(line(_LEFT + 12, y - 4, _LEFT + 38, y - 4, stroke))
        said = f"{name}: area {each.area_under_curve:.3f}, equal error {each.equal_error_rate:.3f}"
        parts.append(text(_LEFT + 44, y, said, "start", 0.9))
    x = across(found.attained_far)
    for rate in (found.low, found.high):
        parts.append(line(x - 5, down(rate), x + 5, down(rate), 'stroke-width="1.5"'))
    parts.append(line(x, down(found.low), x, down(found.high), 'stroke-width="1.5"'))
    parts.append(_dot(x, down(found.val)))
    y = legend + 15 * len(measured)
    parts.append(_dot(_LEFT + 25, y - 4))
    said = f"VAL {found.val:.3f}, 95 % interval {found.low:.3f} to {found.high:.3f}"
    parts.append(text(_LEFT + 44, y, said, "start", 0.9))
    accepted = round(found.attained_far * found.different_pairs)
    title = (
        f"ROC of {number_of_pairs(found.same_pairs)} of one person and {found.different_pairs:,} "
        f"of two: at a false accept rate of at most {far:g} ({number_of_pairs(accepted)}) "
        f"{100 * found.val:.1f} % of the former are accepted, 95 % interval "
        f"{100 * found.low:.1f} to {100 * found.high:.1f} %"
    )
    return {title: svg(_WIDTH, legend + 15 * len(measured) + 6, title, parts)}


def draw_distances(
    measured: Verification, distances: np.ndarray, same: np.ndarray
) -> dict[str, str]:
    """Draws histograms of the distances of both kinds of pairs, with the threshold.

    Args:
        measured: `Verification`.
        distances: float (P,), squared.
        same: bool (P,), whether the pairs are of the same person.

    Returns:
        A dict from title to SVG text.
    """
    thresholds = measured.fold_thresholds
    highest = max(float(distances.max()), *thresholds)
    last = math.ceil(highest * 2) / 2 or 0.5
    edges = np.linspace(0, last, _BINS + 1)
    kinds = {
        "different persons": (np.histogram(distances[~same], edges)[0], "currentColor", 0.4),
        "the same person": (np.histogram(distances[same], edges)[0], ACCENT, 0.75),
    }
    most = max(counts.max() for counts, *_ in kinds.values())
    right, base = _WIDTH - _RIGHT, _TOP + _HEIGHT
    step = (right - _LEFT) / _BINS
    parts = [line(_LEFT, base, right, base, 'opacity="0.4"')]
    for count in sorted({most, round(most / 2)}):
        y = base - count / most * (_HEIGHT - 20)
        parts.append(line(_LEFT, y, right, y))
        parts.append(text(_LEFT - 6, y + 4, f"{count}", "end"))
    for number, (name, (counts, color, opacity)) in enumerate(kinds.items()):
        for index, count in enumerate(counts):
            height = count / most * (_HEIGHT - 20)
            if count:
                between = f"{edges[index]:.2f} to {edges[index + 1]:.2f}"
                said = f"{between}: {number_of_pairs(count)} of {name}"
                fill = f'fill="{color}" opacity="{opacity}"'
                x = _LEFT + index * step
                parts.append(rectangle(x + 0.5, base - height, step - 1, height, said, fill))
        x = right - 140
        fill = f'fill="{color}" opacity="{opacity}"'
        parts.append(rectangle(x, _TOP + 8 + 16 * number, 12, 10, name, fill))
        parts.append(text(x + 18, _TOP + 17 + 16 * number, name, "start", 0.9))
    for tick in np.arange(0, last + 0.01, 0.5 if last <= 4 else last / 8):
        x = _LEFT + tick / last * (right - _LEFT)
        parts.append(text(x, base + 16, f"{tick:g}"))
    parts.append(text((_LEFT + right) / 2, base + 34, "squared distance"))
    middle = float(np.mean(thresholds))
    x = _LEFT + middle / last * (right - _LEFT)
    parts.append(line(x, _TOP, x, base, 'stroke-dasharray="4 3" stroke-width="1.5"'))
    parts.append(text(x, _TOP - 4, f"threshold {middle:.3f}", opacity=1))
    share = 100 * float(measured.correct.mean())
    title = (
        f"Squared distances of {number_of_pairs(int(same.sum()))} of the same person (coloured) "
        f"and {int((~same).sum()):,} of different persons: the thresholds, {min(thresholds):.3f} "
        f"to {max(thresholds):.3f}, tell {share:.1f} % rightly"
    )
    return {title: svg(_WIDTH, base + _BOTTOM, title, parts)}


def _dot(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{ACCENT}"/>'
