"""LFW's lists of verification pairs: pairs.txt, pairsDevTrain.txt, pairsDevTest.txt.

The first line has the number of folds and the number of pairs of the same person in a fold; with
one number there is one fold. In each fold so many lines `name first second` follow, two images of
one person by their numbers, and then as many lines `name number other_name other_number`, images of
two people. Columns are separated by tabs (or spaces).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from ...base.errors import BadDataError
from ...io import filesystem

_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class VerificationPair:
    """Two images, of the same person or of two people.

    Args:
        first: id of an image, as `Aaron_Peirsol/Aaron_Peirsol_0001`.
        second: id of another.
        fold: integer, from 0.
    """

    first: str
    second: str
    fold: int

    @property
    def identities(self) -> tuple[str, str]:
        """The two people; one person twice where the pair is of the same."""
        return self.first.rpartition("/")[0], self.second.rpartition("/")[0]


def image_id(identity: str, number: int) -> str:
    """Returns the id of an image as LFW names it.

    ```python
    image_id("Aaron_Peirsol", 1)
    # 'Aaron_Peirsol/Aaron_Peirsol_0001'
    ```
    """
    return f"{identity}/{identity}_{number:04d}"


def read(path: str) -> str:
    """Returns the content of a pairs file.

    Raises:
        BadDataError: there is no such file, or it is no text.
    """
    if not filesystem.exists(path):
        raise BadDataError(
            f"--set example_gen.pairs_file must name a file. Received: {path}, which does not exist"
        )
    with filesystem.open_file(path, "rb") as reader:
        try:
            return reader.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadDataError(
                f"A pairs file must be a text in UTF-8. Received: {path}: {error}"
            ) from error


def parse(text: str, name: str) -> list[VerificationPair]:
    """Reads a list of pairs.

    Args:
        text: the file's content.
        name: of the file, for messages.

    Raises:
        BadDataError: the first line or another is malformed, there are more or fewer lines than the
            first one says, a line that is to be of one person is of two or the other way round, or
            a pair is there twice.
    """
    lines = [
        (number, line.split("\t") if "\t" in line else line.split())
        for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1)
        if line.strip()
    ]
    folds, half = _header(lines, name)
    body = lines[1:]
    if len(body) != folds * half * 2:
        raise BadDataError(
            f"A pairs file must have as many lines as its first one says: {folds} × 2 × {half} = "
            f"{folds * half * 2:,} pairs. Received: {name} with {len(body):,}"
        )
    line_of: dict[frozenset[str], int] = {}
    pairs = []
    for index, (number, columns) in enumerate(body):
        fold, place = divmod(index, 2 * half)
        pair = _pair([column.strip() for column in columns], fold, place < half, number, name)
        key = frozenset((pair.first, pair.second))
        if key in line_of:
            raise BadDataError(
                f"A pairs file must have a pair once. Received: {name}, line {number}: "
                f"{pair.first} and {pair.second}, which line {line_of[key]} has too"
            )
        line_of[key] = number
        pairs.append(pair)
    return pairs


def check_images(pairs: Iterable[VerificationPair], ids: Iterable[str], name: str) -> None:
    """Checks that all images of the pairs exist.

    Raises:
        BadDataError: some are not; the message names the first of them.
    """
    known = set(ids)
    images = {image for pair in pairs for image in (pair.first, pair.second)}
    missing = sorted(images - known)
    if not missing:
        return
    people = {image.rpartition("/")[0] for image in known}
    unknown = {image.rpartition("/")[0] for image in missing} - people
    more = f", … {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
    raise BadDataError(
        f"The images that a pairs file names must be in the data, as <name>/<name>_<four digits>. "
        f"Received: {name}, {len(missing):,} of whose {len(images):,} images are missing "
        f"({len(unknown):,} of the people have no images): {', '.join(missing[:_SHOWN])}{more}"
    )


def by_first_image(
    pairs: Iterable[VerificationPair],
) -> dict[str, tuple[list[str], list[int]]]:
    """Returns the partners and folds of each image that is the first one of pairs."""
    pairs_of: dict[str, tuple[list[str], list[int]]] = {}
    for pair in pairs:
        partners, folds = pairs_of.setdefault(pair.first, ([], []))
        partners.append(pair.second)
        folds.append(pair.fold)
    return pairs_of


def _header(lines: list[tuple[int, list[str]]], name: str) -> tuple[int, int]:
    numbers = list(_numbers(lines[0][1])) if lines else []
    if len(numbers) not in (1, 2) or min(numbers) < 1:
        shown = " ".join(lines[0][1])[:60] if lines else ""
        raise BadDataError(
            "The first line of a pairs file must be the number of folds and of pairs of the same "
            f"person in a fold (10 300), or the latter alone (500). Received: {name} with {shown!r}"
        )
    return (1, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1])


def _numbers(columns: list[str]) -> Iterator[int]:
    for column in columns:
        text = column.strip()
        # 0 is what is neither a fold's nor an image's number.
        yield int(text) if text.isascii() and text.isdecimal() else 0


def _pair(columns: list[str], fold: int, same: bool, number: int, name: str) -> VerificationPair:
    expected = "name first second" if same else "name number other_name other_number"
    complaint = ""
    if len(columns) != (3 if same else 4):
        complaint = f"{len(columns)} columns"
    else:
        first, second = _numbers([columns[1], columns[-1]])
        person, partner = columns[0], columns[0 if same else 2]
        if first < 1 or second < 1:
            complaint = "an image's number that is not from 1"
        elif not person or not partner or "/" in person + partner:
            complaint = "a name that is none"
        elif same and first == second:
            complaint = "one image twice"
        elif not same and person == partner:
            complaint = "one person where two are expected"
        else:
            return VerificationPair(image_id(person, first), image_id(partner, second), fold)
    raise BadDataError(
        f"A line of a pairs file must be: {expected}, in fold {fold + 1}. "
        f"Received: {name}, line {number}, with {complaint}: {' '.join(columns)[:80]!r}"
    )
