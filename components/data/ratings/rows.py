"""Rows of text or columns of arrays to the ratings of each user, and what cannot be used.

A part is what some rows hold of one user: `(source, fold, items, ratings, timestamps, places)`.
`items` are ids, `timestamps` is empty without them, `places` are line numbers or names of rows.
`fold` is `NO_FOLD`, or the fold that this file makes test ratings of; then the part does not hold
ratings of its own but marks those of other files.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ...base.errors import BadDataError
from ...base.suggestions import did_you_mean
from ...io.records import BadRecord
from .options import RangeOptions, TextOptions

ROWS_PER_PART = 100_000
"""Rows grouped by user before Beam groups them: fewer, larger elements cost less."""

NO_FOLD = -2
"""The fold of a part that holds ratings and marks no test ratings."""

_MOST_SECONDS = 2**63

Part = tuple[str, int, list[str], list[float], list[int], list[Any]]


@dataclasses.dataclass(frozen=True)
class Columns:
    """The places of the fields in a row, from 0; `timestamp` is `None` without timestamps."""

    user: int
    item: int
    rating: int
    timestamp: int | None


def numbered_columns(parameters: TextOptions) -> Columns:
    """Returns the columns of a file without a header, which the options name by number from 1.

    Raises:
        ValueError: a column is not a number from 1.
    """
    places: dict[str, Any] = {
        name: _number(f"{name}_column", getattr(parameters, f"{name}_column"))
        for name in ("user", "item", "rating", "timestamp")
    }
    return Columns(**places)


def named_columns(
    parameters: TextOptions, header: Sequence[str] | csv.Error, source: str
) -> Columns:
    """Returns the columns of a file with a header.

    Raises:
        BadDataError: a column is not in the header.
    """
    if isinstance(header, csv.Error):
        raise BadDataError(
            "A file of ratings must begin with a header. "
            f"Received: {source}, whose first line cannot be read: {header}"
        )
    names = [name.strip() for name in header]
    if not any(names):
        raise BadDataError(
            "A file of ratings must begin with a header, or be read with "
            f"--set example_gen.header=false. Received: {source}, whose first line is empty"
        )
    places: dict[str, Any] = {}
    for name in ("user", "item", "rating", "timestamp"):
        column = getattr(parameters, f"{name}_column")
        if name == "timestamp" and not column:
            places[name] = None
        elif column in names:
            places[name] = names.index(column)
        else:
            raise BadDataError(
                f"The header of {source} must name the column {column!r}, or another with --set "
                f"example_gen.{name}_column=NAME{did_you_mean(column, names)} "
                f"Received: {', '.join(map(repr, names))}"
            )
    return Columns(**places)


def parts_of_rows(
    rows: Iterable[tuple[int, Sequence[str] | csv.Error]],
    columns: Columns,
    limits: RangeOptions,
    source: str,
    fold: int = NO_FOLD,
) -> Iterator[tuple[str, Part] | BadRecord]:
    """Yields `(user, part)`, some users' parts at a time, and `BadRecord`s.

    Args:
        rows: what `files.read_rows` yields.
        columns: where the fields stand.
        limits: the smallest and the largest possible rating.
        source: string. Name of the file.
        fold: integer. The fold that the file makes test ratings of, or `NO_FOLD`.
    """
    parts = _Parts(limits, source, fold)
    user_at, item_at, rating_at, time_at = dataclasses.astuple(columns)
    for number, fields in rows:
        if isinstance(fields, csv.Error):
            yield _bad(source, number, f"A row must be text with separators. Received: {fields}")
            continue
        try:
            timestamp = None if time_at is None else fields[time_at].strip()
            reason = parts.add(
                fields[user_at].strip(),
                fields[item_at].strip(),
                fields[rating_at].strip(),
                timestamp,
                number,
            )
        except IndexError:
            least = max(at for at in (user_at, item_at, rating_at, time_at) if at is not None) + 1
            reason = f"A row must have at least {least} fields. Received: {fields!r:.80}"
        if reason:
            yield _bad(source, number, reason)
        if parts.count >= ROWS_PER_PART:
            yield from parts.taken()
    yield from parts.taken()


def parts_of_columns(
    users: Sequence[str],
    items: Sequence[str],
    ratings: Sequence[float],
    timestamps: Sequence[int] | None,
    places: Sequence[str],
    limits: RangeOptions,
    source: str,
) -> Iterator[tuple[str, Part] | BadRecord]:
    """Yields `(user, part)` of columns that are read already, and `BadRecord`s."""
    parts = _Parts(limits, source, NO_FOLD)
    times = [None] * len(users) if timestamps is None else timestamps
    for row in zip(users, items, ratings, times, places, strict=True):
        reason = parts.add(*row)
        if reason:
            yield BadRecord(source, row[-1], reason)
    yield from parts.taken()


class _Parts:
    """The parts of some users while rows are read."""

    def __init__(self, limits: RangeOptions, source: str, fold: int):
        self.low, self.high = limits.min_rating, limits.max_rating
        self.source, self.fold = source, fold
        self.count = 0
        self._by_user: dict[str, Part] = {}
        self._items: set[str] = set()

    def add(self, user: str, item: str, rating: Any, timestamp: Any, place: Any) -> str | None:
        """Adds a row, or returns why it cannot be used."""
        part = self._by_user.get(user)
        if part is None:
            if reason := _wrong_id("user", user):
                return reason
            part = self._by_user[user] = (self.source, self.fold, [], [], [], [])
        if item not in self._items:
            if reason := _wrong_id("item", item):
                return reason
            self._items.add(item)
        try:
            value = float(rating)
        except ValueError:
            return f"A rating must be a number. Received: {rating!r:.80}"
        if not self.low <= value <= self.high:
            kind = "" if math.isfinite(value) else "finite and "
            return (
                f"A rating must be {kind}from {self.low:g} to {self.high:g}; set "
                f"example_gen.min_rating and max_rating for other scales. Received: {rating!r:.80}"
            )
        if timestamp is not None:
            try:
                seconds: int | None = int(timestamp)
            except ValueError:
                seconds = _seconds(timestamp)
            if seconds is None or not -_MOST_SECONDS < seconds < _MOST_SECONDS:
                return (
                    "A timestamp must be a 64-bit number of seconds or a date as 2026-11-22. "
                    f"Received: {timestamp!r:.80}"
                )
            part[4].append(seconds)
        part[2].append(item)
        part[3].append(value)
        part[5].append(place)
        self.count += 1
        return None

    def taken(self) -> Iterator[tuple[str, Part]]:
        """Yields what was added since the last call."""
        by_user, self._by_user, self.count = self._by_user, {}, 0
        return (entry for entry in by_user.items() if entry[1][2])


def _wrong_id(what: str, text: str) -> str | None:
    """Returns why a text is no id that a vocabulary file can hold, or `None`."""
    if not text:
        return f"A rating must have the id of its {what}. Received: {text!r}"
    if any(end in text for end in "\n\r\0") or not _is_utf8(text):
        return f"The id of the {what} must be one line of UTF-8 text. Received: {text!r:.80}"
    return None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _seconds(text: str) -> int | None:
    """Returns seconds since 1970 of a decimal number or a date, UTC where it names no zone."""
    try:
        number = float(text)
        return int(number) if math.isfinite(number) else None
    except ValueError:
        pass
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    return int(moment.timestamp())


def _bad(source: str, number: int, reason: str) -> BadRecord:
    return BadRecord(source, f"line {number}", reason)


def _number(name: str, column: str) -> int | None:
    if name == "timestamp_column" and not column:
        return None
    if not (column.isdecimal() and int(column) >= 1):
        raise ValueError(
            f"Without a header columns are named by number from 1: set example_gen.{name}=2, for "
            f"instance. Received: {column!r}"
        )
    return int(column) - 1
