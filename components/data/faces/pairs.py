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
    """Refuses images of which verification pairs cannot be drawn, whoever is held out.

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


def draw_id_pairs(
    images: Iterable[tuple[str, str]], pairs: int, folds: int, seed: int
) -> list[VerificationPair]:
    """Draws verification pairs, half of them of the same person, in folds of different people.

    People are dealt out to the folds, so that nobody is in two of them. In a fold people take turns
    with pairs of the same person, whatever the number of their images; pairs of two people are
    drawn uniformly from people, then from their images. A fold has as many of the one kind as of
    the other; where too few are possible, it has fewer.

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
    # `random.Random` draws alike in all versions of Python, from a text also.
    draw = random.Random(f"{seed}/pairs")
    draw.shuffle(several)
    draw.shuffle(single)
    folds = min(folds, len(several), len(by_identity) // 2)
    # Those with many images are dealt out first, back and forth, so that folds have alike many.
    several.sort(key=lambda name: -len(by_identity[name]))
    dealt: list[list[list[str]]] = [[] for _ in range(folds)]
    for place, name in enumerate([*several, *single]):
        turn, fold = divmod(place, folds)
        dealt[folds - 1 - fold if turn % 2 else fold].append(by_identity[name])
    drawn = []
    for fold, people in enumerate(dealt):
        draw.shuffle(people)
        wanted = pairs // 2 // folds + (fold < pairs // 2 % folds)
        same = list(itertools.islice(_same(people, draw), wanted))
        different = list(itertools.islice(_different(people, draw), len(same)))
        number = min(len(same), len(different))
        chosen = same[:number] + different[:number]
        drawn += [VerificationPair(first, second, fold) for first, second in chosen]
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
    """Yields the pairs of some images in random order, without a list of them all."""
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
        one, other = draw.sample(people, 2)
        pair = draw.choice(one), draw.choice(other)
        key = frozenset(pair)
        if key not in seen:
            seen.add(key)
            yield pair


def _shuffled(size: int, draw: random.Random) -> Iterator[int]:
    """Yields the numbers below `size` in random order, holding only those already moved."""
    moved: dict[int, int] = {}
    for index in range(size):
        chosen = draw.randrange(index, size)
        yield moved.get(chosen, chosen)
        moved[chosen] = moved.pop(index, index)
