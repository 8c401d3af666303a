"""Recognition: who is it? How often the nearest images of a gallery are of the same person."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

BLOCK_ENTRIES = 2**22


@dataclasses.dataclass(frozen=True)
class Identification:
    """How often the nearest images of a gallery are of the probe's identity.

    Args:
        ranks: tuple of R ints.
        accuracies: float64 (R,), for each rank r the share of the probes with a match that have a
            match among their r nearest images.
        hits: bool (N, R), the same per probe; False for a probe without a match.
        has_match: bool (N,), whether the gallery holds another image of the probe's identity.
        positions: int64 (N,), the rank of the nearest image of the probe's identity, from 1; 0 for
            a probe without a match.
        nearest: int64 (N,), index of the nearest gallery image, of whichever identity.
    """

    ranks: tuple[int, ...]
    accuracies: np.ndarray
    hits: np.ndarray
    has_match: np.ndarray
    positions: np.ndarray
    nearest: np.ndarray


def rank_accuracies(
    embeddings: ArrayLike,
    identities: ArrayLike,
    ranks: Sequence[int] = (1, 5),
    gallery: ArrayLike | None = None,
    gallery_identities: ArrayLike | None = None,
) -> Identification:
    """Returns how often an image of the probe's identity is among its nearest images.

    Without a gallery each image is a probe against all other images (leave-one-out). An image of
    another identity at the same distance counts as nearer, so that a collapsed network gets no
    credit. Distances are computed in float64 for some probes at a time: memory grows with
    the gallery, not with its square.

    Args:
        embeddings: float array (N, D), the probes.
        identities: array (N,) of ints, strings or bytes.
        ranks: ints > 0. Defaults to (1, 5).
        gallery: float array (G, D), or `None` for leave-one-out.
        gallery_identities: array (G,); given if and only if `gallery` is.

    Raises:
        ValueError: for shapes that do not match, values that are not finite, ranks below 1, and if
            no probe has a match.

    Example:

    >>> rank_accuracies([[0.0], [1.0], [1.9], [4.0]], ["a", "a", "b", "b"]).accuracies
    array([0.5, 1. ])
    """
    ranks = tuple(int(rank) for rank in ranks)
    if not ranks or min(ranks) < 1:
        raise ValueError(f"Expected ranks of at least 1. Received: ranks={ranks}")
    probes, identities = _checked(embeddings, identities, "embeddings")
    if (gallery is None) != (gallery_identities is None):
        raise ValueError(
            "Expected a gallery with its identities, or neither. Received: "
            + ("identities alone" if gallery is None else "a gallery alone")
        )
    leave_one_out = gallery is None
    if leave_one_out:
        images, image_identities = probes, identities
    else:
        images, image_identities = _checked(gallery, gallery_identities, "gallery")
        if images.shape[1] != probes.shape[1]:
            raise ValueError(
                f"Expected a gallery of embeddings of size {probes.shape[1]}. "
                f"Received: size {images.shape[1]}"
            )
    _, codes = np.unique(np.concatenate([identities, image_identities]), return_inverse=True)
    codes, gallery_codes = codes[: len(probes)], codes[len(probes) :]
    # Around the gallery's mean the squared norms cancel less.
    center = images.mean(axis=0)
    probes, images = probes - center, images - center
    norms = np.square(images).sum(axis=1)
    positions = np.zeros(len(probes), dtype="int64")
    nearest = np.zeros(len(probes), dtype="int64")
    step = max(1, BLOCK_ENTRIES // len(images))
    for start in range(0, len(probes), step):
        block = slice(start, min(start + step, len(probes)))
        # Without the probe's own norm, which does not change the order.
        distances = norms - 2 * probes[block] @ images.T
        same = codes[block, None] == gallery_codes
        if leave_one_out:
            own = np.arange(block.start, block.stop)
            distances[own - start, own] = np.inf
            same[own - start, own] = False
        nearest[block] = distances.argmin(axis=1)
        best = np.where(same, distances, np.inf).min(axis=1)
        before = ((distances <= best[:, None]) & ~same).sum(axis=1)
        positions[block] = np.where(same.any(axis=1), before + 1, 0)
    has_match = positions > 0
    if not has_match.any():
        raise ValueError(
            "Expected at least one probe with another image of its identity. "
            f"Received: {len(probes)} probes, {len(images)} gallery images, no two alike"
        )
    hits = has_match[:, None] & (positions[:, None] <= np.asarray(ranks))
    return Identification(ranks, hits[has_match].mean(axis=0), hits, has_match, positions, nearest)


def _checked(embeddings: Any, identities: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns float64 embeddings (N, D) and identities (N,)."""
    embeddings, identities = np.asarray(embeddings, dtype="float64"), np.asarray(identities)
    if embeddings.ndim != 2 or not len(embeddings) or identities.shape != embeddings.shape[:1]:
        raise ValueError(
            f"Expected {name} (N, D) and identities (N,), with N > 0. "
            f"Received: shapes {embeddings.shape} and {identities.shape}"
        )
    if not np.isfinite(embeddings).all():
        row = int(np.flatnonzero(~np.isfinite(embeddings).all(axis=1))[0])
        raise ValueError(f"Expected finite {name}. Received: {embeddings[row]} in row {row}")
    return embeddings, identities
