"""A user's ratings to the features of an example, and to what a report shows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...io.records import Record, to_text

_SHOWN = 12


def to_record(
    user: str,
    items: Sequence[str],
    ratings: Sequence[float],
    timestamps: Sequence[int],
    folds: Sequence[int],
    source: str,
) -> Record:
    """Returns the example of a user; it counts as one record per rating.

    Args:
        user: the user's id.
        items: ids of the rated items.
        ratings: numbers, one an item.
        timestamps: seconds, one an item, or empty.
        folds: folds, one an item.
        source: file, data set or name of a simulator.
    """
    return Record(
        key=user,
        split="train",
        source=source,
        position=f"user {user}",
        features={
            "user": [user],
            "items": items,
            "ratings": ratings,
            "timestamps": timestamps,
            "folds": folds,
        },
        records=len(items),
    )


def sample(features: Mapping[str, Any]) -> dict[str, str]:
    """Returns what a report shows of an example: the user and the first ratings, best first."""
    pairs = sorted(
        zip(features["ratings"], map(to_text, features["items"]), strict=True),
        key=lambda pair: -pair[0],
    )
    shown = ", ".join(f"{item}: {rating:g}" for rating, item in pairs[:_SHOWN])
    more = len(pairs) - _SHOWN
    return {
        "user": to_text(features["user"][0]),
        "ratings": str(len(pairs)),
        "best rated": shown + (f", … {more} more" if more > 0 else ""),
    }
