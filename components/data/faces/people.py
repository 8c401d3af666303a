"""Finds the images of people in a folder or .zip: `<Name>/<image>` or `<split>/<Name>/<image>`."""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
import math
import mimetypes
import os
import zipfile
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from ...base.errors import BadDataError
from ...io import filesystem
from ...io.records import BadRecord
from ..images import folders
from ..images.image_files import FORMATS
from ..reading.file_reader import is_archive
from . import pairs_file
from .options import FolderOptions
from .pairs import check_splits, people_to_hold_out

_LISTS = (".txt", ".csv", ".md")
_KINDS = mimetypes.MimeTypes()
"""Python's own list of endings, because that of the machine may differ."""


class FaceFile(NamedTuple):
    """An image of a person in a folder or archive.

    Args:
        path: in the folder or archive, with `/`.
        split: `""` where the identity's hash chooses between training and evaluation.
        identity: name of the person, the folder's.
        id: the person's folder and the file's name without its ending.
        eyes: four numbers, or none.
    """

    path: str
    split: str
    identity: str
    id: str
    eyes: tuple[float, ...] = ()


class People(NamedTuple):
    """What is in a folder or archive.

    Args:
        images: `FaceFile`s, those of a person one after another.
        bad: what cannot be used.
        pairs: those of the pairs file, or `None` where pairs are to be drawn.
    """

    images: list[FaceFile]
    bad: list[BadRecord]
    pairs: list[pairs_file.VerificationPair] | None


def find_people(parameters: FolderOptions, data: str) -> People:
    """Lists the images of people with their splits.

    - With a pairs file the people whom it names are in the split `test`.
    - Where folders around the people are splits, people are in these: `test` stays `test`,
      `validation` and its like become `eval`.
    - Without either, a hash puts a part of the people into `test`.

    A file whose ending belongs to something other than an image, such as a text (`.txt`, `.csv`,
    `.md`), a PDF or a film, is skipped.

    Args:
        parameters: `FolderOptions`.
        data: string. A folder or a .zip file.

    Raises:
        BadDataError: there are no images in folders of people, a person is in two splits, the
            pairs file or the eyes cannot be read or name missing images, or no pairs can be drawn
            because there are fewer than two people or nobody has two images.
    """
    listed, bad = _find_images(data)
    check_splits(((file.label, file.split) for file in listed), data)
    source = filesystem.base_name(data)
    files: dict[str, FaceFile] = {}
    for file in listed:
        stem = file.path.rpartition("/")[2].rpartition(".")
        name = f"{file.label}/{stem[0] or stem[2]}"
        if name in files:
            reason = f"An image must have a name of its own without the ending. Received: {name}"
            bad.append(BadRecord(source, file.path, f"{reason}, as {files[name].path} has"))
        else:
            files[name] = FaceFile(file.path, file.split, file.label, name)
    pairs = None
    if parameters.pairs_file:
        text = _read_beside(data, parameters.pairs_file, "pairs_file")
        pairs = pairs_file.parse(text, parameters.pairs_file)
        pairs_file.check_images(pairs, files, parameters.pairs_file)
        test = {person for pair in pairs for person in pair.identities}
    else:
        people = [(file.identity, file.split) for file in files.values()]
        test = people_to_hold_out(people, parameters, data)
    eyes, more = _eyes(parameters, data, files)
    images = [
        file._replace(
            split="test" if file.identity in test else file.split, eyes=eyes.get(file.id, ())
        )
        for file in files.values()
    ]
    kept = test if pairs is not None else set()
    return People(limited(images, parameters.limit, kept), bad + more, pairs)


def limited(
    images: Sequence[FaceFile], limit: int, kept: Collection[str] = frozenset()
) -> list[FaceFile]:
    """Returns about `limit` images of each split, of whole people, taken by name.

    Args:
        images: `FaceFile`s.
        limit: integer, 0 for all.
        kept: people whose images are all taken, whatever the limit.
    """
    if not limit:
        return list(images)
    counts = collections.Counter((image.identity not in kept, image.identity) for image in images)
    split_of = {image.identity: image.split for image in images}
    taken_counts: collections.Counter[str] = collections.Counter()
    people = set()
    for (_, name), count in sorted(counts.items()):
        if name in kept or taken_counts[split_of[name]] < limit:
            people.add(name)
            taken_counts[split_of[name]] += count
    return [image for image in images if image.identity in people]


def _find_images(data: str) -> tuple[list[folders.ImageFile], list[BadRecord]]:
    """Lists what may be an image of a person."""
    if not filesystem.is_remote(data) and os.path.isfile(data) and not is_archive(data):
        raise BadDataError(
            "Images must be in a folder or a .zip file. "
            f"Received: --data-dir {data}, which is neither"
        )
    try:
        listed, bad = folders.find_images(data)
    except BadDataError as error:
        raise BadDataError(_of_people(str(error))) from error
    listed = [file for file in listed if _may_be_image(file.path)]
    bad = [
        dataclasses.replace(record, reason=_of_people(record.reason))
        for record in bad
        if _may_be_image(record.position)
    ]
    if not listed:
        raise BadDataError(
            f"There must be images ({', '.join(FORMATS)}) in the folders of people. "
            f"Received: {data}, whose files have the endings of something else"
        )
    return listed, bad


def _of_people(message: str) -> str:
    """Returns a message about folders of classes as one about those of people."""
    return message.replace("<class>", "<identity>")


def _may_be_image(name: str) -> bool:
    kind, _ = _KINDS.guess_type(name.rpartition("/")[2])
    return not name.lower().endswith(_LISTS) and (kind or "image/").startswith("image/")


def _read_beside(data: str, name: str, option: str) -> str:
    """Reads a text in a folder or archive of images, next to it, or by its path."""
    if is_archive(data):
        with filesystem.open_file(data, "rb") as raw, zipfile.ZipFile(raw) as archive:
            if name in archive.namelist():
                return _text(archive.read(name), name, option)
        folder = data.replace("\\", "/").rpartition("/")[0]
    else:
        folder = data
    above = folder.replace("\\", "/").rstrip("/").rpartition("/")[0]
    for path in (filesystem.join(folder or ".", name), filesystem.join(above or ".", name), name):
        if filesystem.exists(path):
            with filesystem.open_file(path, "rb") as reader:
                return _text(reader.read(), name, option)
    raise BadDataError(
        f"--set example_gen.{option} must name a file in the data, beside it, or by its path. "
        f"Received: {name!r}, with --data-dir {data}"
    )


def _text(content: bytes, name: str, option: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadDataError(
            f"--set example_gen.{option} must name a text in UTF-8. Received: {name}: {error}"
        ) from error


def _eyes(
    parameters: FolderOptions, data: str, files: dict[str, FaceFile]
) -> tuple[dict[str, tuple[float, ...]], list[BadRecord]]:
    """Reads the eyes of images; lines that cannot be used are bad records."""
    if not parameters.eyes:
        return {}, []
    eyes: dict[str, tuple[float, ...]] = {}
    bad = []
    text = _read_beside(data, parameters.eyes, "eyes")
    for number, row in _rows(text):
        reason = _eyes_problem(row, number, files, eyes)
        if reason == "header":
            continue
        if reason:
            bad.append(BadRecord(parameters.eyes, f"line {number}", reason))
        else:
            eyes[row[0]] = tuple(map(float, row[1:]))
    if not eyes:
        raise BadDataError(
            "The file of the eyes must have lines id,lx,ly,rx,ry with ids of images, as "
            f"{next(iter(files), 'Name/Name_0001')}. Received: {parameters.eyes} with none"
        )
    return eyes, bad


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, row in enumerate(csv.reader(io.StringIO(text)), 1):
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield number, cells


def _eyes_problem(
    row: list[str], number: int, files: dict[str, FaceFile], eyes: dict[str, tuple[float, ...]]
) -> str:
    try:
        values = [float(cell) for cell in row[1:]]
    except ValueError:
        values = []
        if number == 1 and row[0] not in files:
            return "header"
    if len(values) != 4 or not all(map(math.isfinite, values)):
        return f"A line of the eyes must be id,lx,ly,rx,ry. Received: {','.join(row)[:80]!r}"
    if values[0] >= values[2]:
        return (
            "The eyes must be the one at the image's left and then the one at its right. "
            f"Received: {','.join(row)[:80]!r}"
        )
    if row[0] not in files:
        return f"The eyes must be those of an image of the data. Received: {row[0]!r}"
    if row[0] in eyes:
        return f"The eyes of an image must be there once. Received: {row[0]!r} again"
    return ""
