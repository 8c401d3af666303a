"""What the losses require of a batch: one integer label per vector, by shapes and dtypes."""

import numpy as np
from keras import ops

from ...types import Tensor


def integer_labels(labels: Tensor) -> Tensor:
    """Returns integer labels as a tensor `(B,)`.

    Args:
        labels: int tensor, array or list `(B,)` or `(B, 1)`.

    Raises:
        ValueError: for another shape, and for labels that are not integers: a compiled step could
            not check that floats are whole numbers.
    """
    if not hasattr(labels, "shape"):
        labels = np.asarray(labels)
    _check_shape(labels)
    dtype = str(getattr(labels.dtype, "name", labels.dtype)).removeprefix("torch.")
    if not dtype.startswith(("int", "uint")) and labels.shape[0] != 0:
        raise ValueError(
            "Labels must be integers: cast whole numbers to int32, and replace names by "
            "`np.unique(names, return_inverse=True)[1]`. "
            f"Received: dtype={dtype}"
        )
    return flat_labels(labels)


def flat_labels(labels: Tensor) -> Tensor:
    """Returns labels of any dtype as a tensor `(B,)`.

    Args:
        labels: tensor `(B,)` or `(B, 1)`.

    Raises:
        ValueError: for another shape, if it is known.
    """
    labels = ops.convert_to_tensor(labels)
    _check_shape(labels)
    return labels if _rank(labels) == 1 else ops.reshape(labels, (-1,))


def check_vectors(vectors: Tensor, name: str = "y_pred") -> None:
    """Raises a `ValueError` if the shape of a tensor cannot be `(B, D)`.

    Args:
        vectors: tensor.
        name: string, the name of the caller's argument. Defaults to `"y_pred"`.
    """
    if _rank(vectors) not in (None, 2):
        raise ValueError(
            f"`{name}` must have the shape (B, D), one vector per example: flatten or pool "
            f"tensors of more dimensions. Received: shape={tuple(vectors.shape)}"
        )


def check_one_label_each(labels: Tensor, vectors: Tensor) -> None:
    """Raises a `ValueError` if the numbers of labels and of vectors are known and differ."""
    sizes = labels.shape[0], vectors.shape[0]
    if all(isinstance(size, int) for size in sizes) and sizes[0] != sizes[1]:
        raise ValueError(
            f"Each vector must have one label. Received: {sizes[0]} labels for {sizes[1]} vectors"
        )


def _check_shape(labels):
    rank = _rank(labels)
    if rank not in (None, 1) and not (rank == 2 and labels.shape[1] == 1):
        raise ValueError(
            "Labels must have the shape (B,) or (B, 1); replace one-hot labels by "
            "`keras.ops.argmax(labels, -1)`. "
            f"Received: shape={tuple(labels.shape)}"
        )


def _rank(tensor):
    """Returns the number of dimensions, or `None` if it is unknown in a TensorFlow graph."""
    shape = tensor.shape
    return shape.rank if hasattr(shape, "rank") else len(shape)
