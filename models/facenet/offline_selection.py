"""Triplets from the embeddings of a whole set, found between stretches of training."""

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
    triplets = offline_triplets(model.predict(images), labels)
    images[triplets[:, 0]], images[triplets[:, 1]], images[triplets[:, 2]]
    ```

    Args:
        embeddings: float array `(N, D)`.
        labels: int array `(N,)`, below 0 for unknown people: negatives only.
        margin: float. Defaults to 0.2.
        positives: `"hard"`, each anchor's farthest positive, or `"all"`. Defaults to `"hard"`.
        negatives: `"semi_hard"`, the nearest negative farther than the positive, the farthest where
            none is farther, or `"hard"`, the nearest. Defaults to `"semi_hard"`.
        anchors: int array, the indices of the images that may be anchors, so that a worker can do
            its share; `None` for all. Defaults to `None`.

    Returns:
        int64 array `(T, 3)`: indices of anchor, positive and negative, in the order of the anchors.

    Raises:
        ValueError: if the shapes do not agree, or a selection is unknown.
    """
    embeddings = np.asarray(embeddings, dtype="float32")
    labels = np.asarray(labels)
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise ValueError(
            "`embeddings` must have the shape (N, D) and `labels` (N,). "
            f"Received: {embeddings.shape} and {labels.shape}"
        )
    if positives not in ("hard", "all"):
        raise ValueError(f"`positives` must be 'hard' or 'all'. Received: {positives!r}")
    if negatives not in SELECTIONS:
        raise ValueError(f"`negatives` must be one of {SELECTIONS}. Received: {negatives!r}")
    anchors = np.arange(len(labels)) if anchors is None else np.asarray(anchors, dtype="int64")
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
