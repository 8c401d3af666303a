"""Triplets from the embeddings of a whole set, selected between phases of training."""

import numpy as np
from numpy.typing import ArrayLike

from ...checks import is_real

SELECTIONS = ("semi_hard", "hard")
MOST_ENTRIES = 1 << 22


def offline_triplets(
    embeddings: ArrayLike,
    labels: ArrayLike,
    margin: float = 0.2,
    positives: str = "hard",
    negatives: str = "semi_hard",
    anchors: ArrayLike | None = None,
) -> np.ndarray:
    """Returns triplets of a set by the paper's offline generation.

    Every n steps the latest network embeds a (sub)set of the data, and argmax and argmin over it
    give the hard positives and negatives (section 3.2). Only triplets with a loss above 0,
    `d(a, n) < d(a, p) + margin`, are returned. Distances are computed for a few anchors at a time:
    they take 16 MiB, whatever the number of images.

    Example:

    ```python
    embeddings = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])  # as the network gives them
    offline_triplets(embeddings, [0, 0, 1])  # [[1, 0, 2]]: anchor, positive, negative
    ```

    Args:
        embeddings: float array `(N, D)`, finite.
        labels: int array `(N,)`, below 0 for unknown people: negatives only.
        margin: float, at least 0. Defaults to 0.2.
        positives: `"hard"`, each anchor's farthest positive, or `"all"`. Defaults to `"hard"`.
        negatives: `"semi_hard"`, the nearest negative farther than the positive, or the farthest if
            none is farther; or `"hard"`, the nearest. Defaults to `"semi_hard"`.
        anchors: the images that may be anchors, so that workers can divide a set: int array of
            their indices in [0, N), or bool array `(N,)`; `None` for all. Defaults to `None`.

    Returns:
        int64 array `(T, 3)`: indices of anchor, positive and negative, in the order of the anchors.

    Raises:
        ValueError: if the shapes do not agree, embeddings are not finite, labels are not integers,
            anchors are neither bools nor indices of images, or another argument is out of its
            range.
    """
    embeddings = np.asarray(embeddings, dtype="float32")
    labels = np.asarray(labels)
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise ValueError(
            "`embeddings` must have the shape (N, D) and `labels` (N,). "
            f"Received: {embeddings.shape} and {labels.shape}"
        )
    if not np.isfinite(embeddings).all():
        row = int(np.flatnonzero(~np.isfinite(embeddings).all(axis=1))[0])
        raise ValueError(f"`embeddings` must be finite. Received: {embeddings[row]} in row {row}")
    if labels.size and labels.dtype.kind not in "iu":
        raise ValueError(
            "`labels` must be integers; replace names by "
            f"`np.unique(names, return_inverse=True)[1]`. Received: dtype={labels.dtype}"
        )
    if not is_real(margin) or not margin >= 0:
        raise ValueError(f"`margin` must be a number, at least 0. Received: margin={margin!r}")
    if positives not in ("hard", "all"):
        raise ValueError(f"`positives` must be 'hard' or 'all'. Received: {positives!r}")
    if negatives not in SELECTIONS:
        raise ValueError(f"`negatives` must be one of {SELECTIONS}. Received: {negatives!r}")
    anchors = np.arange(len(labels)) if anchors is None else _indices(anchors, len(labels))
    anchors = anchors[labels[anchors] >= 0]
    squares = np.square(embeddings).sum(axis=1)
    rows = max(1, MOST_ENTRIES // max(1, len(labels)))
    pieces = [np.empty((0, 3), dtype="int64")]
    for low in range(0, len(anchors), rows):
        block = anchors[low : low + rows]
        distances = squares[block, None] + squares - 2 * embeddings[block] @ embeddings.T
        np.maximum(distances, 0, out=distances)
        pieces += [
            _of_anchor(anchor, row, labels, margin, positives, negatives)
            for anchor, row in zip(block, distances, strict=True)
        ]
    return np.concatenate(pieces)


def _indices(anchors, count):
    """Returns int64 indices in [0, count), from indices or from one bool per image."""
    anchors = np.asarray(anchors)
    if anchors.dtype.kind == "b" and anchors.shape == (count,):
        return np.flatnonzero(anchors)
    if anchors.ndim != 1 or (anchors.size and anchors.dtype.kind not in "iu"):
        raise ValueError(
            f"`anchors` must be indices, or one bool per image for {count} images. "
            f"Received: shape={anchors.shape}, dtype={anchors.dtype}"
        )
    outside = anchors[(anchors < 0) | (anchors >= count)]
    if outside.size:
        raise ValueError(
            f"`anchors` must be indices of {count} images, from 0. Received: {outside[0]} in them"
        )
    return anchors.astype("int64")


def _of_anchor(anchor, distances, labels, margin, positives, negatives):
    """Returns the triplets `(T, 3)` of an anchor, from its distances to all images."""
    alike = labels == labels[anchor]
    different = np.flatnonzero(~alike)
    alike[anchor] = False
    same = np.flatnonzero(alike)
    if not (same.size and different.size):
        return np.empty((0, 3), dtype="int64")
    if positives == "hard":
        same = same[[np.argmax(distances[same])]]
    to_negatives = distances[different]
    if negatives == "hard":
        chosen = np.full(same.size, np.argmin(to_negatives))
    else:
        order = np.argsort(to_negatives, kind="stable")
        rank = np.searchsorted(to_negatives[order], distances[same], side="right")
        chosen = order[np.minimum(rank, different.size - 1)]
    active = to_negatives[chosen] < distances[same] + np.float32(margin)
    anchors = np.full(same.size, anchor)
    return np.stack([anchors, same, different[chosen]], axis=1)[active]
