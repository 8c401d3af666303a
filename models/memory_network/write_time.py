"""Write time: the comparison of two memories by their age, and the choice of the best one."""

from typing import Any

import keras
from keras import ops

from ..types import Identifier, Shape, Tensor

# The write time of a question: newer than every memory.
NOW = 2**30


def write_time_features(x_time: Tensor, y_time: Tensor, other_time: Tensor) -> list[Tensor]:
    """Returns `Φt(x, y, y')` (Memory Networks, arXiv 1410.3916, section 3.4).

    The three features are: x is older than y, x is older than y', y is older than y'.

    Departure from the paper: a feature is +1 if true and -1 if not; in the paper it is 1 or 0. With
    0, `s(x, new, old)` of two memories with equal words is always 0, so that the newer one can
    never be preferred by a margin.

    Args:
        x_time: integer tensor, the write time of the last supporting memory; `NOW` for a question
            without memories.
        y_time: integer tensor of the same rank, the write time of the first memory.
        other_time: integer tensor of the same rank, the write time of the second memory.

    Returns:
        A list of three boolean tensors (the broadcast of `x_time`, `y_time` and `other_time`).
    """
    return [x_time < y_time, x_time < other_time, y_time < other_time]


@keras.saving.register_keras_serializable(package="methodical")
class WriteTime(keras.layers.Layer):
    """Computes the contribution of ages to the score of a pair: `E(x)·UtΦt(x, y, y')`.

    The score of a pair is `s_Ot(x, y, y') = E(x)·(E(y) - E(y') + Ut Φt(x, y, y'))`, equation 7 of
    Memory Networks (arXiv 1410.3916): memory y is preferred to y' if it is positive. With nonlinear
    matching the ages enter in the same way, outside of the tanh, so that scoring all pairs costs no
    more than scoring all memories.

    Example:

    ```python
    layer = WriteTime()
    pairs = layer(
        {
            "query": np.ones((1, 1, 8), "float32"),
            "x_time": np.array([[NOW]]),
            "y_time": np.array([[[1, 2, 3]]]),
            "other_time": np.array([[[2, 2, 2]]]),
        }
    )  # shape (1, 1, 3)
    ```

    Args:
        kernel_initializer: initializer of `Ut` `(3, D)`.

    Call arguments:
        inputs: a dict: `"query"` float `(..., D)`, the embedded query `E(x)`; `"x_time"` integer
            `(...)`; `"y_time"` and `"other_time"` integers that broadcast to `(..., M)`, or with
            more axes after those of `x_time`.

    Output shape: that of `y_time` broadcast with `other_time`.
    """

    def __init__(self, kernel_initializer: Identifier = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel_initializer = keras.initializers.get(
            kernel_initializer or keras.initializers.RandomNormal(stddev=0.1)
        )

    def build(self, input_shape: dict[str, Shape]) -> None:
        """Creates the weights."""
        self.kernel = self.add_weight(
            shape=(3, input_shape["query"][-1]), initializer=self.kernel_initializer, name="kernel"
        )

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        """Returns the contributions to the scores."""
        query, x_time = inputs["query"], inputs["x_time"]
        y_time, other_time = inputs["y_time"], inputs["other_time"]
        kernel = ops.cast(self.kernel, query.dtype)
        weights = ops.cast(ops.matmul(query, ops.transpose(kernel)), "float32")
        extra = (None,) * (len(y_time.shape) - len(x_time.shape))
        places = (..., *extra)
        x_time = x_time[places]
        features = write_time_features(x_time, y_time, other_time)
        return sum(
            weights[..., k][places] * (2.0 * ops.cast(feature, "float32") - 1.0)
            for k, feature in enumerate(features)
        )

    def compute_output_shape(self, input_shape: dict[str, Shape]) -> Shape:
        """Returns the shape of the output."""
        sizes = zip(input_shape["y_time"], input_shape["other_time"], strict=True)
        return tuple(second if first == 1 else first for first, second in sizes)

    def compute_output_spec(self, inputs: dict[str, Tensor]) -> keras.KerasTensor:
        """Returns symbols of the outputs."""
        shapes = {name: tensor.shape for name, tensor in inputs.items()}
        return keras.KerasTensor(self.compute_output_shape(shapes), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            **super().get_config(),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def tournament(pairs: Tensor, valid: Tensor) -> Tensor:
    """Returns the winner of Memory Networks' Algorithm 1, without its loop over the memories.

    The algorithm holds the first memory and compares it with the rest in their order; memory `i`
    replaces the held memory `j` if `s_Ot(x, i, j) > 0`. Here `next[j]` is the first `i > j` that
    beats `j` (`j` if none does); following `next` from the start to its end by doubling the stride
    takes log2(M) steps.

    Args:
        pairs: float tensor `(B, M, M)`: `pairs[b, i, j] = s_Ot(x, y_i, y_j)`.
        valid: boolean tensor `(B, M)`: which memories take part.

    Returns:
        int32 tensor `(B,)`, the index of the winner; undefined if no memory is valid.
    """
    index = ops.arange(ops.shape(pairs)[1], dtype="int32")
    beats = ops.logical_or(pairs > 0, ops.logical_not(valid)[:, None, :])
    beats = ops.logical_and(beats, valid[:, :, None])
    beats = ops.logical_and(beats, index[:, None] > index[None, :])
    first = ops.cast(ops.argmax(ops.cast(beats, "int32"), axis=1), "int32")
    following = ops.where(ops.any(beats, axis=1), first, index[None, :])

    # The number of memories may be unknown when the graph is traced, so the loop counts the steps.
    def moves(following):
        return ops.any(ops.take_along_axis(following, following, axis=1) != following)

    def double(following):
        return (ops.take_along_axis(following, following, axis=1),)

    return ops.while_loop(moves, double, (following,))[0][:, 0]
