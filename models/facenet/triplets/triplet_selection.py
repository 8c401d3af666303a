"""The selection of triplets in a batch, in O(B²) memory: pairs are held, triplets never.

The computation has turns: in turn k each anchor a is paired with the k-th next image p of its
identity, and p is compared with the anchor's whole row of negatives. With K images of the largest
identity that takes O(B²K) time. No gradient passes through the selection.
"""

from keras import ops

from ...types import Tensor
from .batch_checks import flat_labels

SELECTIONS = ("all", "all_semi_hard", "semi_hard", "hard", "batch_hard")


def pair_masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the masks of the positive and of the negative pairs.

    A label below 0 is an unknown person: no image is known to be of the same identity, so the image
    is a negative for everybody, a positive for nobody and, without a positive, never an anchor.

    Args:
        labels: int tensor `(B,)`.

    Returns:
        Two bool tensors `(B, B)`, one row per anchor: the same identity but not the same image, and
        another identity.
    """
    known = labels >= 0
    alike = _equal(labels)
    positive = ops.logical_and(
        ops.logical_and(alike, known[:, None]), ops.logical_not(_eye(labels))
    )
    return positive, ops.logical_and(ops.logical_not(alike), known[:, None])


def active_counts(
    distances: Tensor, labels: Tensor, margin: float | Tensor, semi_hard: bool = False
) -> Tensor:
    """Returns the number of active triplets that contain each pair.

    Active: `d(a, n) < d(a, p) + margin`, and with `semi_hard` also `d(a, p) < d(a, n)`.

    Args:
        distances: float tensor `(B, B)`.
        labels: int tensor `(B,)`, below 0 for unknown people.
        margin: float or scalar tensor.
        semi_hard: bool. Defaults to False.

    Returns:
        Tensor `(B, B)` of whole numbers, dtype of the distances: for a positive pair the number of
        triplets, for a negative pair the number times -1, so that each row sums to 0.
    """
    distances = ops.stop_gradient(distances)
    margin = ops.stop_gradient(ops.cast(margin, distances.dtype))
    negatives = _only(pair_masks(labels)[1], distances)
    columns = ops.arange(ops.shape(distances)[0], dtype="int32")[None, :]

    def turn(positive, present, counts):
        to_positive = ops.take_along_axis(distances, positive, axis=1)
        active = negatives < ops.where(present, to_positive + margin, 0.0)
        if semi_hard:
            active = ops.logical_and(active, negatives > to_positive)
        active = ops.cast(active, counts.dtype)
        number = ops.sum(active, axis=1, keepdims=True)
        return counts - active + ops.where(columns == positive, number, 0.0)

    return _over_positives(labels, turn, ops.zeros_like(distances))


def nearest_farther_negatives(distances: Tensor, labels: Tensor) -> Tensor:
    """Returns for each positive pair the nearest negative that is farther than the positive.

    If no negative is farther, the farthest one.

    Args:
        distances: float tensor `(B, B)`.
        labels: int tensor `(B,)`, below 0 for unknown people.

    Returns:
        int32 tensor `(B, B)`: for the positive pair (a, p) the index n; undefined elsewhere.
    """
    distances = ops.stop_gradient(distances)
    negative = pair_masks(labels)[1]
    negatives = _only(negative, distances)
    last = _argmin(_only(negative, -distances))
    negatives = _with_infinity(negatives)
    columns = ops.arange(ops.shape(distances)[0], dtype="int32")[None, :]

    def turn(positive, present, chosen):
        to_positive = ops.take_along_axis(distances, positive, axis=1)
        farther = _only(negatives > to_positive, negatives)
        index = ops.cast(ops.argmin(farther, axis=1, keepdims=True), "int32")
        least = ops.take_along_axis(farther, index, axis=1)
        index = ops.where(ops.isfinite(least), index, last)
        return ops.where(columns == positive, index, chosen)

    return _over_positives(labels, turn, ops.zeros_like(distances, dtype="int32"))


def nearest_negatives(distances: Tensor, labels: Tensor) -> Tensor:
    """Returns the index of each anchor's nearest negative: int32 tensor `(B, 1)`."""
    return _argmin(_only(pair_masks(labels)[1], ops.stop_gradient(distances)))


def farthest_positives(distances: Tensor, labels: Tensor) -> Tensor:
    """Returns the index of each anchor's farthest positive: int32 tensor `(B, 1)`."""
    return _argmin(_only(pair_masks(labels)[0], -ops.stop_gradient(distances)))


def identities(labels: Tensor) -> Tensor:
    """Returns for each image the index of the first of its identity, -1 for unknown people.

    Small numbers for labels of any size, which float32 would not keep apart.

    Args:
        labels: int tensor `(B,)` or `(B, 1)`, below 0 for unknown people.

    Returns:
        int32 tensor `(B,)`.
    """
    labels = flat_labels(labels)
    different = ops.cast(ops.logical_not(_equal(labels)), "float32")
    return ops.where(labels >= 0, _argmin(different)[:, 0], -1)


def _over_positives(labels, turn, state):
    """Returns the state after all turns: `turn(positive, present, state)` returns the next state.

    `positive` is int32 `(B, 1)`, the index of the anchor's k-th next image of its identity, and
    `present` bool `(B, 1)`, false if there are fewer; `positive` then repeats one of them, or is
    the anchor itself.
    """
    rows = ops.arange(ops.shape(labels)[0], dtype="int32")
    alike = _equal(labels)
    earlier = ops.logical_and(alike, rows[None, :] < rows[:, None])
    place = _count(earlier)
    start = _count(labels[None, :] < labels[:, None])
    order = ops.cast(ops.argsort(start + place), "int32")
    size = ops.where(labels >= 0, _count(alike), 1)
    turns = ops.max(size, initial=1)

    def body(k, state):
        index = start + (place + k) % ops.maximum(size, 1)
        positive = ops.take(order, index)[:, None]
        return k + 1, turn(positive, (k < size)[:, None], state)

    first = ops.ones((), dtype="int32")
    return ops.stop_gradient(ops.while_loop(lambda k, _: k < turns, body, (first, state))[1])


def _equal(labels):
    return labels[:, None] == labels[None, :]


def _eye(labels):
    rows = ops.arange(ops.shape(labels)[0], dtype="int32")
    return rows[:, None] == rows[None, :]


def _count(mask):
    return ops.sum(ops.cast(mask, "int32"), axis=1)


def _only(mask, values):
    """Returns the values where the mask holds, infinity elsewhere."""
    return ops.where(mask, values, ops.full_like(values, float("inf")))


def _argmin(values):
    """Returns the index of each row's minimum: int32 `(B, 1)`."""
    return ops.cast(ops.argmin(_with_infinity(values), axis=1, keepdims=True), "int32")


def _with_infinity(values):
    """Returns the values and a column of infinity, without which an empty batch has no minimum."""
    return ops.pad(values, [[0, 0], [0, 1]], constant_values=float("inf"))
