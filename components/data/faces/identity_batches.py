"""Chooses the images of balanced batches: up to K of each identity, by their places in the files.

Dimensions: N images of a split, I identities, P identities and K images of each in a batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np


def most_identities(counts: np.ndarray, images: int) -> int:
    """Returns the largest number of identities in a batch with `images` images of each.

    Args:
        counts: integer array `(I,)`, the number of images of each identity.
        images: integer, K, at least 2.

    Example:

    ```python
    most_identities(np.array([1, 2, 5, 9]), 4)  # a pass takes 2 + 4 + 4 images: 2
    ```
    """
    return _pass_images(counts, images) // images


def _pass_images(counts: np.ndarray, images: int) -> int:
    return int(np.minimum(counts[counts > 1], images).sum())


@dataclasses.dataclass(frozen=True)
class IdentityBatches:
    """Draws passes over the identities of a split, for P × K batches.

    In a pass, each identity with two images or more contributes K of them, drawn uniformly without
    replacement, or all of them if there are fewer. Identities follow one another in random order,
    each with its images together, and every P·K images are a batch. So a batch always has the same
    size and each image at most once; it has P identities if all have K images, otherwise more. If
    identities have fewer than K images, the end of a batch may cut one in two.

    An identity with one image makes no positive pair: it is dropped, or serves as a negative, see
    `singles`.

    Args:
        indices: int64 array `(N,)`, the index of each image's identity, from 0.
        identities: integer, P.
        images: integer, K, at least 2.
        singles: integer, how many images of identities with one image are added to each batch.
        seed: integer.

    Raises:
        ValueError: a pass has fewer than P·K images, or there are too few singles.
    """

    indices: np.ndarray
    identities: int
    images: int
    singles: int = 0
    seed: int = 0

    def __post_init__(self):
        if self.identities < 1 or self.images < 2 or self.singles < 0:
            raise ValueError(
                "Balanced batches need identities >= 1, images >= 2 of each and singles >= 0. "
                f"Received: identities={self.identities}, images={self.images}, "
                f"singles={self.singles}"
            )
        if self.pass_images < self.identities * self.images:
            raise ValueError(
                f"A pass takes at most {self.images} images of each identity with two or more, and "
                f"must make a batch of {self.identities} × {self.images} images; take fewer "
                f"identities or images. Received: {self.pass_images:,} images in a pass, of "
                f"{np.count_nonzero(self.counts > 1):,} identities with two images or more"
            )
        if self.singles > np.count_nonzero(self.counts == 1):
            raise ValueError(
                "A batch must not have more singles than there are identities with one image. "
                f"Received: singles={self.singles}, {np.count_nonzero(self.counts == 1):,} of them"
            )

    @property
    def counts(self) -> np.ndarray:
        """Number of images of each identity, `(I,)`."""
        return np.bincount(self.indices)

    @property
    def pass_images(self) -> int:
        """Number of images in a pass, of identities with two images or more."""
        return _pass_images(self.counts, self.images)

    @property
    def batches_per_pass(self) -> int:
        """Number of batches in a pass; the remainder is dropped."""
        return self.pass_images // (self.identities * self.images)

    def passes(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields, for pass after pass without end, what `drawn` returns."""
        number = 0
        while True:
            yield self.drawn(number)
            number += 1

    def drawn(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws one pass.

        Args:
            number: integer. Number of the pass, which is always drawn the same way.

        Returns:
            Places `(M,)` of the images in the order of the batches, and places of the singles
            `(S,)` in random order, int64.
        """
        random = np.random.default_rng([self.seed, number])
        counts = self.counts
        # Sorted by identity, and within one by chance: the first K of each are its draw.
        chance = random.random(len(self.indices))
        order = np.lexsort((chance, self.indices))
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        rank = np.arange(len(order)) - first[self.indices[order]]
        several = counts[self.indices[order]] > 1
        grouped = order[several & (rank < self.images)]
        turn = random.permutation(len(counts))
        grouped = grouped[np.argsort(turn[self.indices[grouped]], kind="stable")]
        singles = random.permutation(np.flatnonzero(counts[self.indices] == 1))
        return grouped, singles
