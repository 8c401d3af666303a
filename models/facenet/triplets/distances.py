"""Squared Euclidean distances between rows of matrices, by which FaceNet compares faces."""

from keras import ops

from ...types import Tensor
from .batch_checks import check_vectors


def squared_distances(x: Tensor, y: Tensor | None = None) -> Tensor:
    """Returns the squared Euclidean distance of each row of `x` to each row of `y`.

    `D[i, j] = ‖x_i − y_j‖² = ‖x_i‖² + ‖y_j‖² − 2 x_i·y_j`, by one matrix product; between unit
    vectors it lies in [0, 4]. Rounding never makes it negative, and without `y` the diagonal is
    exactly 0. There is no square root, so the gradient is finite where two points coincide.

    Example:

    ```python
    squared_distances(np.array([[1.0, 0.0], [0.0, 1.0]]))  # [[0, 2], [2, 0]]
    ```

    Args:
        x: float tensor `(B, D)`. float16 and bfloat16 are computed in float32.
        y: float tensor `(C, D)`; `None` for `x` itself. Defaults to `None`.

    Returns:
        Tensor `(B, C)`, float32 (float64 where `x` is).

    Raises:
        ValueError: for another number of dimensions.

    Reference:
        Schroff, Kalenichenko & Philbin 2015, FaceNet, arXiv 1503.03832, section 3.1.
    """
    x = _wide(x, "x")
    symmetric = y is None
    y = x if symmetric else _wide(y, "y")
    squares = ops.sum(ops.square(x), axis=1)[:, None] + ops.sum(ops.square(y), axis=1)[None, :]
    distances = ops.relu(squares - 2.0 * ops.matmul(x, ops.transpose(y)))
    if symmetric:
        rows = ops.arange(ops.shape(x)[0])
        same = rows[:, None] == rows[None, :]
        distances = ops.where(same, ops.zeros_like(distances), distances)
    return distances


def _wide(x, name):
    x = ops.convert_to_tensor(x)
    check_vectors(x, name)
    return x if str(x.dtype).endswith("float64") else ops.cast(x, "float32")
