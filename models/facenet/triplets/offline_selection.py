"""Triplets from the embeddings of a whole set, found between stretches of training."""

import numbers

import numpy as np

SELECTIONS = ("semi_hard", "hard")
MOST_ENTRIES = 1 << 22


def offline_triplets(
    embeddings, labels, margin=0.2, positives="hard", negatives="semi_hard", anchors=None
):
    """Returns triplets of a set by the paper's offline generation.

    Every n steps the latest network embeds a (sub)set of the data, and argmax and argmin over it
    give the hard positives and negatives (section 3.2). Only triplets with a loss above 0,
    `d(a, n) < d(a, p) + margin`, are returned. The distances of a few anchors at a time are held,
    16 MiB of them, however many images there are.

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
        negatives: `"semi_hard"`, the nearest negative farther than the positive, the farthest where
            none is farther, or `"hard"`, the nearest. Defaults to `"semi_hard"`.
        anchors: the images that may be anchors, so that a worker can do its share: int array of
            their indices in [0, N), or a bool for each image `(N,)`; `None` for all. Defaults to
            `None`.

    Returns:
        int64 array `(T, 3)`: indices of anchor, positive and negative, in the order of the anchors.

    Raises:
        ValueError: if the shapes do not agree, embeddings are not finite, labels are not integers,
            anchors are neither bools nor indices of images, or another argument is none of the
            above.
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
            "`labels` must be integers; of names `np.unique(names, return_inverse=True)[1]` makes "
            f"such. Received: dtype={labels.dtype}"
        )
    if not isinstance(margin, numbers.Real) or not margin >= 0:
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
        some = anchors[low : low + rows]
        distances = squares[some, None] + squares - 2 * embeddings[some] @ embeddings.T
        np.maximum(distances, 0, out=distances)
        found = [
            _of_anchor(anchor, row, labels, margin, positives, negatives)
            for anchor, row in zip(some, distances, strict=True)
        ]
        pieces.extend(found)
    return np.concatenate(pieces)


def _indices(anchors, count):
    """Returns int64 indices in [0, count), of a bool for each image too."""
    anchors = np.asarray(anchors)
    if anchors.dtype.kind == "b" and anchors.shape == (count,):
        return np.flatnonzero(anchors)
    if anchors.ndim != 1 or (anchors.size and anchors.dtype.kind not in "iu"):
        raise ValueError(
            f"`anchors` must be indices, or a bool for each of {count} images. "
            f"Received: shape={anchors.shape}, dtype={anchors.dtype}"
        )
    wrong = anchors[(anchors < 0) | (anchors >= count)]
    if wrong.size:
        raise ValueError(
            f"`anchors` must be indices of {count} images, from 0. Received: {wrong[0]} among them"
        )
    return anchors.astype("int64")


def _of_anchor(anchor, distances, labels, margin, positives, negatives):
    """Returns the triplets `(T, 3)` of an anchor, whose distances to all images are given."""
    alike = labels == labels[anchor]
    others = np.flatnonzero(~alike)
    alike[anchor] = False
    mates = np.flatnonzero(alike)
    if not (mates.size and others.size):
        return np.empty((0, 3), dtype="int64")
    if positives == "hard":
        mates = mates[[np.argmax(distances[mates])]]
    to_others = distances[others]
    if negatives == "hard":
        chosen = np.full(mates.size, np.argmin(to_others))
    else:
        order = np.argsort(to_others, kind="stable")
        rank = np.searchsorted(to_others[order], distances[mates], side="right")
        chosen = order[np.minimum(rank, others.size - 1)]
    active = to_others[chosen] < distances[mates] + np.float32(margin)
    anchors = np.full(mates.size, anchor)
    return np.stack([anchors, mates, others[chosen]], axis=1)[active]
