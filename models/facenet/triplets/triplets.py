"""The triplets of a batch as indices, as a miner returns them, and their numbers."""

import typing

from keras import ops

from ...types import Tensor
from .batch_checks import check_one_label_each, integer_labels
from .distances import squared_distances
from .triplet_selection import (
    active_counts,
    farthest_positives,
    identities,
    nearest_farther_negatives,
    nearest_negatives,
    pair_masks,
)


class Triplets(typing.NamedTuple):
    """Triplets of a batch, in a number T of places that depends only on the batch size.

    Args:
        anchors: int32 tensor `(T,)`, index of the anchor in the batch.
        positives: int32 tensor `(T,)`, of another image of the anchor's identity.
        negatives: int32 tensor `(T,)`, of an image of another identity.
        mask: bool tensor `(T,)`, whether the place holds a triplet; otherwise its indices are
            undefined.
    """

    anchors: typing.Any
    positives: typing.Any
    negatives: typing.Any
    mask: typing.Any


class TripletCounts(typing.NamedTuple):
    """The number of triplets of each anchor; sum in int64, as 1,800 images may have 5e9.

    Args:
        valid: int32 tensor `(B,)`: anchor and positive of one identity, the negative of another.
        active: int32 tensor `(B,)`: `d(a, n) < d(a, p) + margin`, so that the loss is above 0.
        semi_hard: int32 tensor `(B,)`: `d(a, p) < d(a, n) < d(a, p) + margin`.
        hard: int32 tensor `(B,)`: `d(a, n) ≤ d(a, p)`; hard and semi-hard together are active.
    """

    valid: typing.Any
    active: typing.Any
    semi_hard: typing.Any
    hard: typing.Any


def select_triplets(embeddings: Tensor, labels: Tensor, selection: str = "semi_hard") -> Triplets:
    """Returns the triplets that `TripletLoss` with the same selection averages over.

    Example:

    ```python
    points = np.array([[1.0, 0.0], [1.0, 0.0], [0.8, 0.6]])
    anchors, positives, negatives, mask = select_triplets(points, np.array([0, 0, 1]))
    anchors[mask]  # [0, 1]
    ```

    Args:
        embeddings: float tensor `(B, D)`.
        labels: int tensor `(B,)` or `(B, 1)`, below 0 for unknown people.
        selection: `"semi_hard"` or `"hard"`, with one place per pair (T = B²), or
            `"batch_hard"`, with one per anchor (T = B). Defaults to `"semi_hard"`.

    Returns:
        `Triplets`.

    Raises:
        ValueError: for another selection, since `"all"` would need B³ places; for labels and
            embeddings as `TripletLoss`.
    """
    if selection not in ("semi_hard", "hard", "batch_hard"):
        raise ValueError(
            "`selection` must be 'semi_hard', 'hard' or 'batch_hard'; all triplets can only be "
            f"counted, see `count_triplets`. Received: selection={selection!r}"
        )
    labels, distances = _checked(labels, embeddings)
    positive, negative = pair_masks(labels)
    possible = ops.any(negative, axis=1, keepdims=True)
    rows = ops.arange(ops.shape(distances)[0], dtype="int32")
    if selection == "batch_hard":
        mask = ops.logical_and(ops.any(positive, axis=1, keepdims=True), possible)
        farthest, nearest = (
            farthest_positives(distances, labels),
            nearest_negatives(distances, labels),
        )
        return Triplets(rows, farthest[:, 0], nearest[:, 0], mask[:, 0])
    columns = ops.zeros_like(distances, dtype="int32") + rows[None, :]
    if selection == "semi_hard":
        chosen = nearest_farther_negatives(distances, labels)
    else:
        chosen = nearest_negatives(distances, labels) + ops.zeros_like(columns)
    places = (ops.transpose(columns), columns, chosen, ops.logical_and(positive, possible))
    return Triplets(*(ops.reshape(place, (-1,)) for place in places))


def count_triplets(embeddings: Tensor, labels: Tensor, margin: float = 0.2) -> TripletCounts:
    """Counts the triplets of each anchor without holding them, in O(B²) memory.

    Example:

    ```python
    points = np.array([[1.0, 0.0], [1.0, 0.0], [0.8, 0.6]])
    counts = count_triplets(points, np.array([0, 0, 1]), margin=0.5)
    np.sum(counts.semi_hard, dtype="int64")  # 2
    ```

    Args:
        embeddings: float tensor `(B, D)`.
        labels: int tensor `(B,)` or `(B, 1)`, below 0 for unknown people.
        margin: float. Defaults to 0.2.

    Returns:
        `TripletCounts`.

    Raises:
        ValueError: for labels and embeddings as `TripletLoss`.
    """
    labels, distances = _checked(labels, embeddings)
    positive, negative = (ops.sum(ops.cast(mask, "int32"), axis=1) for mask in pair_masks(labels))
    active, semi_hard = (
        ops.sum(ops.cast(ops.relu(counts), "int32"), axis=1)
        for counts in (
            active_counts(distances, labels, margin),
            active_counts(distances, labels, margin, semi_hard=True),
        )
    )
    return TripletCounts(positive * negative, active, semi_hard, active - semi_hard)


def _checked(labels, embeddings):
    """Returns the identities `(B,)` and the distances `(B, B)`."""
    distances = squared_distances(embeddings)
    labels = identities(integer_labels(labels))
    check_one_label_each(labels, distances)
    return labels, distances
