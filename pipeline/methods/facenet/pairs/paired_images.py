"""Verification pairs of a split: those that the data lists, or drawn ones.

Dimensions: N images of a split, M images in pairs, P pairs, H height, W width, C channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from .....components.data.faces.faces import Faces
from ..embedding import BATCH, squared_distances
from .sampling import Pairs, draw_pairs, folds_in_turn


@dataclasses.dataclass(frozen=True)
class SplitIndex:
    """Who is in the images of a split, in the order of the files.

    Args:
        ids: bytes (N,), names of the images.
        identities: bytes (N,), names of the people.
        listed: `Pairs` that the data lists, without those of which an image is missing.
        missing: integer, the number of those.
    """

    ids: np.ndarray
    identities: np.ndarray
    listed: Pairs
    missing: int


@dataclasses.dataclass(frozen=True)
class PairedImages:
    """The images of some pairs.

    Args:
        pixels: uint8 (M, H, W, C).
        pairs: `Pairs` of indices into `pixels`.
        ids: bytes (M,), names of the images.
    """

    pixels: np.ndarray
    pairs: Pairs
    ids: np.ndarray

    def distances(self, embed: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Returns the squared distance of each pair, float64 (P,), of the images' embeddings."""
        embeddings = embed(self.pixels)
        return squared_distances(embeddings[self.pairs.first], embeddings[self.pairs.second])


def read_index(data: Faces, split: str) -> SplitIndex:
    """Reads who is in the images of a split, and its listed pairs."""
    parts = [(some_ids, people) for _, people, some_ids, _ in data.parsed(split, BATCH)]
    ids, identities = (np.concatenate(part) for part in zip(*parts, strict=True))
    listed = data.verification_pairs(split)
    pairs = Pairs(listed.first, listed.second, listed.same, listed.folds)
    return SplitIndex(ids, identities, pairs, listed.lost)


def verification_pairs(index: SplitIndex, count: int, seed: int) -> Pairs:
    """Returns the listed pairs of a split, or where it lists none drawn ones.

    Args:
        index: `SplitIndex`.
        count: integer, the number of drawn pairs.
        seed: integer, of the draw.

    Returns:
        `Pairs` of indices of the split's images. Pairs that are listed in one fold get ten.
    """
    if not len(index.listed):
        return draw_pairs(index.identities, count, seed)
    if len(np.unique(index.listed.folds)) > 1:
        return index.listed
    return dataclasses.replace(index.listed, folds=folds_in_turn(index.listed.same))


def read_paired(data: Faces, split: str, index: SplitIndex, pairs: Pairs) -> PairedImages:
    """Reads the images of some pairs.

    Args:
        data: transformed examples.
        split: string.
        index: of the split.
        pairs: indices of the split's images.
    """
    indices = pairs.images()
    pixels = read_images(data, split, indices)
    first, second = (np.searchsorted(indices, side) for side in (pairs.first, pairs.second))
    moved = Pairs(first, second, pairs.same, pairs.folds)
    return PairedImages(pixels, moved, index.ids[indices])


def read_images(data: Faces, split: str, indices: np.ndarray) -> np.ndarray:
    """Reads some images of a split.

    Args:
        data: transformed examples.
        split: string.
        indices: ascending indices of the images.

    Returns:
        uint8 (len(indices), H, W, C).
    """
    pixels = np.zeros((len(indices), *data.image_shape), np.uint8)
    begin = filled = 0
    for images, *_ in data.parsed(split, BATCH):
        last = int(np.searchsorted(indices, begin + len(images)))
        pixels[filled:last] = images[indices[filled:last] - begin]
        begin, filled = begin + len(images), last
        if filled == len(indices):
            break
    return pixels


def drawn_images(data: Faces, split: str, count: int, seed: int) -> PairedImages:
    """Reads the images of pairs that are drawn of a split, whatever pairs it lists.

    Raises:
        ValueError: there are no pairs of both kinds.
    """
    index = read_index(data, split)
    return read_paired(data, split, index, draw_pairs(index.identities, count, seed))
