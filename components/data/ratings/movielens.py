"""Finds the files of MovieLens: `u.data` (100K), `ratings.dat` (1M, 10M), `ratings.csv` (later)."""

from __future__ import annotations

import dataclasses

from ...base.errors import BadDataError
from ...io import filesystem
from . import files
from .options import MovieLensOptions
from .rows import NO_FOLD, Columns

COLUMNS = Columns(user=0, item=1, rating=2, timestamp=3)
"""All of the files have their columns in this order."""

_DELIMITERS = {"u.data": "\t", "ratings.dat": "::", "ratings.csv": ","}
_PUBLISHED = {
    "published": ("u1.test", "u2.test", "u3.test", "u4.test", "u5.test"),
    "published_ab": ("ua.test", "ub.test"),
}


@dataclasses.dataclass(frozen=True)
class RatingsFile:
    """One file: its name in the folder or archive, the delimiter, header or not, and its fold."""

    name: str
    delimiter: str
    header: bool
    fold: int = NO_FOLD


def find_files(parameters: MovieLensOptions, data: str) -> list[RatingsFile]:
    """Returns the file of all ratings and, where they set the folds, those of test ratings.

    Args:
        parameters: `MovieLensOptions`.
        data: string. A folder, an archive, or the file of all ratings.

    Raises:
        BadDataError: there is no file of ratings, or more than one, or a file of test ratings is
            missing.
    """
    names = files.list_files(data)
    by_name: dict[str, list[str]] = {}
    for name in names:
        by_name.setdefault(filesystem.base_name(name or data), []).append(name)
    ratings_files = [
        RatingsFile(path, delimiter, header=delimiter == ",")
        for name, delimiter in _DELIMITERS.items()
        for path in by_name.get(name, ())
    ]
    if len(ratings_files) != 1:
        raise BadDataError(
            f"MovieLens must have one file of ratings: {', '.join(_DELIMITERS)}. "
            f"Received: {', '.join(file.name for file in ratings_files) or 'none'} in {data}"
        )
    for fold, name in enumerate(_PUBLISHED.get(parameters.split_by, ())):
        folder = ratings_files[0].name.rpartition("/")[0]
        path = f"{folder}/{name}" if folder else name
        if path not in names:
            raise BadDataError(
                f"The published folds need the file {name} beside {ratings_files[0].name or data}; "
                f"choose others with --set example_gen.split_by=folds. Received: {data}"
            )
        ratings_files.append(RatingsFile(path, "\t", False, fold))
    return ratings_files
