"""Joins all parts of a user, from any rows, into the user's one example."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...io.records import BadRecord, Record
from .examples import to_record
from .folds import NEVER, assign_folds
from .options import FoldOptions
from .rows import NO_FOLD, Part


def user_records(
    element: tuple[str, Iterable[Part]], parameters: FoldOptions, published: bool
) -> Iterator[Record | BadRecord]:
    """Yields the user's example, ratings in the order of their rows, and what has no place in it.

    Of several ratings of one item the one with the latest timestamp stays (without timestamps and
    among equal ones the last row); the others are bad records.

    Args:
        element: the user's id and parts.
        parameters: how folds are chosen.
        published: whether parts from files of test ratings set the folds.
    """
    user, unsorted = element
    # Beam gives the parts in any order.
    parts = sorted(unsorted, key=lambda part: (part[0], part[5][0]))
    ratings_of: dict[str, tuple[float, int, str, Any]] = {}
    for part in parts:
        if part[1] != NO_FOLD:
            continue
        source, _, items, ratings, timestamps, places = part
        times = timestamps or [0] * len(items)
        for item, rating, time, place in zip(items, ratings, times, places, strict=True):
            earlier = ratings_of.get(item)
            if earlier is None:
                ratings_of[item] = (rating, time, source, place)
            elif time >= earlier[1]:
                ratings_of[item] = (rating, time, source, place)
                yield _duplicate(user, item, *earlier[1:])
            else:
                yield _duplicate(user, item, time, source, place)
    if published:
        folds: dict[str, int] = {}
        for part in parts:
            if part[1] != NO_FOLD:
                yield from _mark(user, part, ratings_of, folds)
        item_folds = [folds.get(item, NEVER) for item in ratings_of]
    else:
        times = [entry[1] for entry in ratings_of.values()]
        item_folds = assign_folds(parameters, user, list(ratings_of), times)
    if ratings_of:
        yield to_record(
            user=user,
            items=list(ratings_of),
            ratings=[entry[0] for entry in ratings_of.values()],
            timestamps=[entry[1] for entry in ratings_of.values()] if _timed(parts) else [],
            folds=item_folds,
            source=next(iter(ratings_of.values()))[2],
        )


def _timed(parts: Iterable[Part]) -> bool:
    return any(part[4] for part in parts if part[1] == NO_FOLD)


def _duplicate(user: str, item: str, time: int, source: str, place: Any) -> BadRecord:
    return BadRecord(
        source,
        _position(place),
        "A user must rate an item once; of several ratings the latest is kept, of equally late "
        f"ones the last. Received: user {user!r}, item {item!r} again, time {time}",
    )


def _mark(
    user: str, part: Part, ratings_of: dict[str, Any], folds: dict[str, int]
) -> Iterator[BadRecord]:
    source, fold, items, _, _, places = part
    for item, place in zip(items, places, strict=True):
        if item not in ratings_of:
            reason = "A test rating must be one of the ratings"
        elif item in folds:
            reason = "A rating must be a test rating of one fold at most"
        else:
            folds[item] = fold
            continue
        yield BadRecord(
            source, _position(place), f"{reason}. Received: user {user!r}, item {item!r}"
        )


def _position(place: Any) -> str:
    return f"line {place}" if isinstance(place, int) else place
