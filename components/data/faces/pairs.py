"""Chooses the people of the split test and draws verification pairs of their images."""

from __future__ import annotations

import collections
import hashlib
import itertools
import math
import random
from collections.abc import Iterable, Iterator

from ...base.errors import BadDataError
from .options import PairOptions
from .pairs_file import VerificationPair

Partners = tuple[list[str], list[int]]
"""Ids of the images with which an image makes pairs, and the pairs' folds."""


def held_out(identities: Iterable[str], parameters: PairOptions) -> set[str]:
    """Returns the people whom a hash of seed and name puts into the split test, two at least."""
    digests = {
        name: hashlib.sha256(f"{parameters.seed}/{name}".encode()).digest()[:8]
        for name in identities
    }
    ordered = sorted(digests, key=lambda name: (digests[name], name))
    bound = int(parameters.test_fraction * 2**64)
    number = sum(int.from_bytes(digest, "big") < bound for digest in digests.values())
    return set(ordered[: max(number, 2)])


def check_people(identities: Iterable[str], where: str) -> None:
    """Refuses images from which no verification pairs can be drawn, whoever is held out.

    Args:
        identities: the person of each image.
        where: what the images are of, for the message.

    Raises:
        BadDataError: there are not two people, or nobody has two images.
    """
    counts = collections.Counter(identities)
    several = sum(count > 1 for count in counts.values())
    if len(counts) < 2 or not several:
        raise BadDataError(
            "Verification pairs and triplets need images of two people, and two images of one of "
            f"them, at least. Received: {where} with {len(counts):,} people, {several:,} of them "
            "with two images or more"
        )


def check_splits(splits: Iterable[tuple[str, str]], where: str) -> None:
    """Refuses a person in two splits.

    Args:
        splits: identity and split of each image.
        where: where the images come from, for the message.

    Raises:
        BadDataError: a person is in two splits.
    """
    split_of: dict[str, str] = {}
    for identity, split in splits:
        first = split_of.setdefault(identity, split)
        if first != split:
            raise BadDataError(
                "A person must be in one split only, or known people would be measured. Received: "
                f"{where}, where {identity!r} is in {first or 'train'!r} and {split or 'train'!r}"
            )


def people_to_hold_out(
    people: Iterable[tuple[str, str]], parameters: PairOptions, where: str
) -> set[str]:
    """Returns the people to move into the split `test`, nobody if the source has that split.

    Args:
        people: identity and split of each image.
        parameters: `PairOptions`.
        where: where the images come from, for messages.

    Raises:
        BadDataError: verification pairs cannot be drawn, see `check_people`.
    """
    people = list(people)
    check_people((identity for identity, _ in people), where)
    tested = [identity for identity, split in people if split == "test"]
    if not tested:
        return held_out({identity for identity, _ in people}, parameters)
    check_people(tested, f"{where}, in its split test,")
    return set()


def draw_id_pairs(
    images: Iterable[tuple[str, str]], pairs: int, folds: int, seed: int
) -> list[VerificationPair]:
    """Draws verification pairs, half of them of the same person, in folds of different people.

    People are dealt out to the folds, so that nobody is in two of them. In a fold, people take
    turns with pairs of the same person, whatever the number of their images; pairs of two people
    are drawn uniformly from people, then from their images. A fold has equally many of both kinds;
    where too few are possible, it has fewer.

    Args:
        images: identity and id of the images.
        pairs: integer. Number of pairs, at most.
        folds: integer. Number of folds; fewer where there are not two people for each, one of them
            with two images.
        seed: integer.

    Raises:
        BadDataError: there are not two people, or nobody has two images.
    """
    by_identity: dict[str, list[str]] = {}
    for identity, name in sorted(set(images)):
        by_identity.setdefault(identity, []).append(name)
    several = [name for name, ids in by_identity.items() if len(ids) > 1]
    single = [name for name, ids in by_identity.items() if len(ids) == 1]
    if not several or len(by_identity) < 2:
        raise BadDataError(
            "Verification pairs are drawn of the people of the split test, of whom there must be "
            "two, one of them with two images; try a larger --set example_gen.test_fraction=. "
            f"Received: {len(by_identity)} people, {len(several)} of them with two images or more"
        )
    # `random.Random` draws alike in all versions of Python, even when seeded with a text.
    draw = random.Random(f"{seed}/pairs")
    draw.shuffle(several)
    draw.shuffle(single)
    folds = min(folds, len(several), len(by_identity) // 2)
    # Deal out those with many images first, back and forth, so that folds have similar sizes.
    several.sort(key=lambda name: -len(by_identity[name]))
    dealt: list[list[list[str]]] = [[] for _ in range(folds)]
    for place, name in enumerate([*several, *single]):
        turn, fold = divmod(place, folds)
        dealt[folds - 1 - fold if turn % 2 else fold].append(by_identity[name])
    drawn = []
    for fold, people in enumerate(dealt):
        draw.shuffle(people)
        count = pairs // 2 // folds + (fold < pairs // 2 % folds)
        same = list(itertools.islice(_same(people, draw), count))
        different = list(itertools.islice(_different(people, draw), len(same)))
        number = min(len(same), len(different))
        id_pairs = same[:number] + different[:number]
        drawn += [VerificationPair(first, second, fold) for first, second in id_pairs]
    return drawn


def _same(people: list[list[str]], draw: random.Random) -> Iterator[tuple[str, str]]:
    """Yields all pairs of the same person; people take turns."""
    waiting = [_all_pairs(images, draw) for images in people if len(images) > 1]
    while waiting:
        going = []
        for pairs in waiting:
            pair = next(pairs, None)
            if pair is not None:
                yield pair
                going.append(pairs)
        waiting = going


def _all_pairs(images: list[str], draw: random.Random) -> Iterator[tuple[str, str]]:
    """Yields all pairs of images in random order, without listing them."""
    total = len(images) * (len(images) - 1) // 2
    for index in _shuffled(total, draw):
        # The pair's place in (1, 0), (2, 0), (2, 1), (3, 0), …
        later = (1 + math.isqrt(8 * index + 1)) // 2
        earlier = index - later * (later - 1) // 2
        yield images[earlier], images[later]


def _different(people: list[list[str]], draw: random.Random) -> Iterator[tuple[str, str]]:
    """Yields pairs of two people, each at most once, until nearly all were drawn."""
    total = sum(map(len, people)) ** 2 - sum(len(images) ** 2 for images in people)
    seen: set[frozenset[str]] = set()
    while 2 * len(seen) < total:
        first, second = draw.sample(people, 2)
        pair = draw.choice(first), draw.choice(second)
        key = frozenset(pair)
        if key not in seen:
            seen.add(key)
            yield pair


def _shuffled(size: int, draw: random.Random) -> Iterator[int]:
    """Yields the numbers below `size` in random order, holding only those already moved."""
    moved: dict[int, int] = {}
    for index in range(size):
        position = draw.randrange(index, size)
        yield moved.get(position, position)
        moved[position] = moved.pop(index, index)
