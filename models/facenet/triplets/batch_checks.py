"""What the losses ask of a batch: an integer label for each vector, told by shapes and dtypes."""

import numpy as np
from keras import ops


def integer_labels(labels):
    """Returns integer labels as a tensor `(B,)`.

    Args:
        labels: int tensor, array or list `(B,)` or `(B, 1)`.

    Raises:
        ValueError: for another shape, and for labels that are not integers. Of floats a compiled
            step could not see that one is NaN or a fraction.
    """
    if not hasattr(labels, "shape"):
        labels = np.asarray(labels)
    _check_shape(labels)
    dtype = str(getattr(labels.dtype, "name", labels.dtype)).removeprefix("torch.")
    if not dtype.startswith(("int", "uint")) and labels.shape[0] != 0:
        raise ValueError(
            "Labels must be integers: cast whole numbers to int32, and of names "
            "`np.unique(names, return_inverse=True)[1]` makes such. "
            f"Received: dtype={dtype}"
        )
    return flat_labels(labels)


def flat_labels(labels):
    """Returns labels of any dtype as a tensor `(B,)`.

    Args:
        labels: tensor `(B,)` or `(B, 1)`.

    Raises:
        ValueError: for another shape, where it is known.
    """
    labels = ops.convert_to_tensor(labels)
    _check_shape(labels)
    return labels if _rank(labels) == 1 else ops.reshape(labels, (-1,))


def check_vectors(vectors, name="y_pred"):
    """Raises a `ValueError` unless a tensor may be `(B, D)`.

    Args:
        vectors: tensor.
        name: string, what the caller calls it. Defaults to `"y_pred"`.
    """
    if _rank(vectors) not in (None, 2):
        raise ValueError(
            f"`{name}` must have the shape (B, D), one vector for each example: flatten or pool "
            f"what has more dimensions. Received: shape={tuple(vectors.shape)}"
        )


def check_one_label_each(labels, vectors):
    """Raises a `ValueError` where as many labels `(B,)` as vectors `(B, D)` are not possible."""
    sizes = labels.shape[0], vectors.shape[0]
    if all(isinstance(size, int) for size in sizes) and sizes[0] != sizes[1]:
        raise ValueError(
            f"Each vector must have one label. Received: {sizes[0]} labels for {sizes[1]} vectors"
        )


def _check_shape(labels):
    rank = _rank(labels)
    if rank not in (None, 1) and not (rank == 2 and labels.shape[1] == 1):
        raise ValueError(
            "Labels must have the shape (B,) or (B, 1); of one-hot labels "
            "`keras.ops.argmax(labels, -1)` makes such. "
            f"Received: shape={tuple(labels.shape)}"
        )


def _rank(tensor):
    """Returns the number of dimensions, `None` where a graph of TensorFlow does not know it."""
    shape = tensor.shape
    return shape.rank if hasattr(shape, "rank") else len(shape)
