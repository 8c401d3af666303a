"""The ROC of verification, and how far apart the images of pairs lie.

Dimensions: P pairs.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...charts.bars import histograms
from ...charts.lines import Point, curve_chart

_BINS = 48


def number_of_pairs(number: int) -> str:
    """Returns a number of pairs in words."""
    return f"{number:,} pair{'' if number == 1 else 's'}"


def draw_roc(verification: Mapping[str, Any]) -> dict[str, str]:
    """Draws true accepts over false accepts, the latter on a logarithmic axis.

    Args:
        verification: what `plotted.verification_values` returns.

    Returns:
        A dict from title to SVG text.
    """
    val = types.SimpleNamespace(**verification["val"])
    lowest = 0.5 / val.different_pairs

    def logarithm(rate: float) -> float:
        return math.log10(max(rate, lowest))

    curves: dict[str, list[tuple[float, float]]] = {}
    for roc in verification["models"]:
        label = (
            f"{roc['name']}: area {roc['area_under_curve']:.3f}, "
            f"equal error {roc['equal_error_rate']:.3f}"
        )
        rates = zip(roc["false_accept_rates"], roc["true_accept_rates"], strict=True)
        before, curves[label] = 0.0, []
        for x, y in rates:
            # A step: at a threshold in between, the different pair is not accepted yet.
            curves[label] += [(logarithm(x), before), (logarithm(x), y)]
            before = y
    accepted = round(val.attained_far * val.different_pairs)
    title = (
        f"ROC of {number_of_pairs(val.same_pairs)} of one person and {val.different_pairs:,} "
        f"of two: at a false accept rate of at most {verification['far']:g} "
        f"({number_of_pairs(accepted)}) {100 * val.val:.1f} % of the former are accepted, 95 % "
        f"interval {100 * val.low:.1f} to {100 * val.high:.1f} %"
    )
    interval = f"95 % interval {val.low:.3f} to {val.high:.3f}"
    powers = range(math.ceil(math.log10(lowest)), 1)
    svg = curve_chart(
        curves,
        title,
        x_labels={power: f"{10.0**power:g}" for power in powers},
        y_labels={rate: f"{rate:g}" for rate in (0.0, 0.25, 0.5, 0.75, 1.0)},
        x_name="false accept rate (0 at the left edge)",
        x_range=(math.log10(lowest), 0.0),
        point=Point(
            logarithm(val.attained_far),
            val.val,
            (val.low, val.high),
            f"VAL {val.val:.3f}, {interval}",
        ),
    )
    return {title: svg}


def draw_distances(verification: Mapping[str, Any]) -> dict[str, str]:
    """Draws histograms of the distances of both kinds of pairs, with the threshold.

    Args:
        verification: what `plotted.verification_values` returns.

    Returns:
        A dict from title to SVG text.
    """
    distances, same = (np.array(verification[name]) for name in ("distances", "same"))
    thresholds = verification["thresholds"]
    last = math.ceil(max(float(distances.max()), *thresholds) * 2) / 2 or 0.5
    edges = np.linspace(0, last, _BINS + 1)
    ticks = np.arange(0, last + 0.01, 0.5 if last <= 4 else last / 8).tolist()
    middle = float(np.mean(thresholds))
    title = (
        f"Squared distances of {number_of_pairs(int(same.sum()))} of the same person (colored) "
        f"and {int((~same).sum()):,} of different persons: the thresholds, {min(thresholds):.3f} "
        f"to {max(thresholds):.3f}, tell {100 * verification['accuracy']:.1f} % correctly"
    )
    svg = histograms(
        {
            "different persons": np.histogram(distances[~same], edges)[0].tolist(),
            "the same person": np.histogram(distances[same], edges)[0].tolist(),
        },
        edges.tolist(),
        title,
        x_labels={tick: f"{tick:g}" for tick in ticks},
        x_name="squared distance",
        marked_x=middle,
        mark=f"threshold {middle:.3f}",
    )
    return {title: svg}
