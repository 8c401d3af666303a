"""Finds labelled images in a folder or .zip: `<split>/<class>/<file>` or `<class>/<file>`."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import zipfile
from collections.abc import Iterable

from ...base.errors import BadDataError
from ...io import filesystem
from ...io.records import BadRecord
from ..reading.file_reader import is_archive

SPLITS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "eval": "eval",
    "val": "eval",
    "valid": "eval",
    "validation": "eval",
    "dev": "eval",
}
"""Our names of splits by those of folders and data sets; others keep their names."""

_IGNORED = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini"))


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """An image: `path` in the archive or folder, with `/`, its split (`""`: hashed) and class."""

    path: str
    split: str
    label: str


def find_images(data: str, limit: int = 0) -> tuple[list[ImageFile], list[BadRecord]]:
    """Lists the images, by split, class and name.

    Folders around all of the images do not count. Hidden files and what systems leave behind
    (`__MACOSX`, `Thumbs.db`) are skipped.

    Args:
        data: string. A folder or a .zip file.
        limit: integer. The largest number of images per split, 0 for all; the classes take turns.

    Returns:
        The images, and the files that are in no folder of a class.

    Raises:
        BadDataError: there is nothing, the archive cannot be read, or no file lies in the folder
            of a class.
    """
    names, bad = _names(data)
    source = filesystem.base_name(data)
    around, depth = _layout([name.split("/") for name in names])
    if depth not in (2, 3):
        raise BadDataError(
            f"Images must lie in folders <class>/<file> or <split>/<class>/<file>, below a folder "
            f"or in a .zip. Received: {data} with {len(names)} files, most of which do not"
        )
    splits: dict[str, dict[str, list[str]]] = {}
    for name in names:
        reason = _misplaced(name, around, depth)
        if reason:
            bad.append(BadRecord(source, name, reason))
        else:
            path = name.split("/")
            split = path[-3] if depth == 3 else ""
            splits.setdefault(split, {}).setdefault(path[-2], []).append(name)
    images = []
    renamed = split_names(splits)
    for split, by_class in sorted(splits.items()):
        for label, paths in _limited(by_class, limit):
            images += [ImageFile(name, renamed[split], label) for name in paths]
    return images, bad


def split_names(names: Iterable[str]) -> dict[str, str]:
    """Returns our names of a source's splits.

    The training split is `""`, whose keys are hashed into training and evaluation examples, unless
    the source has an evaluation split of its own.
    """
    renamed = {name: SPLITS.get(name.lower(), name) for name in names}
    if "eval" in renamed.values():
        return renamed
    return {name: "" if split == "train" else split for name, split in renamed.items()}


def _names(data: str) -> tuple[list[str], list[BadRecord]]:
    """Returns the files' names with `/`, and the names in an archive that climb out of it."""
    if not filesystem.exists(data):
        raise BadDataError(
            f"Images must be in a folder or a .zip file. Received: --data-dir {data}, which does "
            f"not exist"
        )
    if is_archive(data):
        try:
            with filesystem.open_file(data, "rb") as raw, zipfile.ZipFile(raw) as archive:
                names = sorted({name for name in archive.namelist() if not name.endswith("/")})
        except zipfile.BadZipFile as error:
            raise BadDataError(f"A .zip file must be whole. Received: {data}: {error}") from error
    else:
        names = list(filesystem.walk(data))
    images, bad = [], []
    for name in names:
        parts = name.split("/")
        if any(part in _IGNORED or (part[:1] == "." and part.strip(".")) for part in parts):
            continue
        if ".." in parts or "" in parts or "." in parts:
            reason = f"A path must lead down from its root. Received: {name!r}"
            bad.append(BadRecord(filesystem.base_name(data), name, reason))
        else:
            images.append(name)
    return images, bad


def _layout(parts: list[list[str]]) -> tuple[list[str], int]:
    """Returns the folders around all images, and how deep the images lie below them.

    The majority of the files decides: a few stray ones must not change the meaning of folders.
    """
    depths = collections.Counter(len(path) for path in parts if len(path) > 1)
    depth = max(depths, key=lambda size: (depths[size], size), default=0)
    usual = [path for path in parts if len(path) == depth]
    around: list[str] = []
    while depth - len(around) > 2:
        (name, *deeper) = {path[len(around)] for path in usual}
        if deeper or name.lower() in SPLITS:
            break
        around.append(name)
    return around, depth - len(around)


def _misplaced(name: str, around: list[str], depth: int) -> str | None:
    path = name.split("/")
    if path[: len(around)] != around or len(path) != len(around) + depth:
        expected = "/".join([*around, *(["<split>"] if depth == 3 else []), "<class>", "<file>"])
        return f"An image must lie in {expected} as the others do. Received: {name!r}"
    if not path[-2].isprintable():
        return f"A class must have a name of printable letters. Received: {path[-2]!r}"
    return None


def _limited(by_class: dict[str, list[str]], limit: int) -> list[tuple[str, list[str]]]:
    """Returns the classes with their files, at most `limit` in all; the classes take turns."""
    ordered = sorted(by_class.items())
    if not limit:
        return ordered
    turns = itertools.zip_longest(*(names for _, names in ordered))
    numbers = (index for turn in turns for index, name in enumerate(turn) if name is not None)
    counts = collections.Counter(itertools.islice(numbers, limit))
    return [(label, names[: counts[index]]) for index, (label, names) in enumerate(ordered)]
