"""Pairs of images for verification, drawn from what is known of who is in them.

Dimensions: N images, P pairs.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from .....components.data.faces import pairs
from .....models.facenet.measures.verification import MOST_FOLDS, folds_in_turn


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of images.

    Args:
        first: int64 (P,), index of an image.
        second: int64 (P,), index of another.
        same: bool (P,), whether both are of the same person.
        folds: int64 (P,), the fold of each pair, from 0.
    """

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    folds: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def only(self, chosen: np.ndarray) -> Pairs:
        """Returns some of the pairs, by their indices or by a bool for each."""
        return Pairs(self.first[chosen], self.second[chosen], self.same[chosen], self.folds[chosen])

    def images(self) -> np.ndarray:
        """Returns the indices of the images that are in a pair, each once, ascending."""
        return np.unique(np.concatenate([self.first, self.second]))


def draw_pairs(identities: Sequence[bytes] | np.ndarray, count: int, seed: int) -> Pairs:
    """Draws pairs of images, half of them of the same person, as `pairs.draw_id_pairs` does.

    Args:
        identities: who is in each image, (N,).
        count: integer, the number of pairs, at least four; fewer where there are not so many.
        seed: integer. The same seed draws the same pairs.

    Returns:
        `Pairs` in ten folds of different people, or fewer folds if there are not people enough; of
        too few for two folds, in folds that get the pairs of each kind in turn.

    Raises:
        ValueError: there are not two pairs of each kind.

    Example:

    >>> drawn = draw_pairs([b"ann", b"ann", b"bob", b"bob"], 4, seed=0)
    >>> int(drawn.same.sum()), len(drawn)
    (2, 4)
    """
    names = [identity.decode() for identity in identities]
    images = collections.Counter(names)
    same = np.zeros(0, bool)
    if len(images) > 1 and max(images.values()) > 1:
        numbered = [(name, str(number)) for number, name in enumerate(names)]
        drawn = pairs.draw_id_pairs(numbered, max(count, 4), MOST_FOLDS, seed)
        first = np.array([int(pair.first) for pair in drawn])
        second = np.array([int(pair.second) for pair in drawn])
        people = np.array(names, object)
        same = (people[first] == people[second]).astype(bool)
    if same.sum() < 2:
        raise ValueError(
            "The images of a split must make at least two pairs of the same person and two of "
            f"different persons. Received: {len(images)} people in {len(names)} images"
        )
    folds = np.array([pair.fold for pair in drawn])
    return Pairs(first, second, same, folds if len(np.unique(folds)) > 1 else folds_in_turn(same))
