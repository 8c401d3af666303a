"""Write time: how a memory network compares two memories by their age, and picks the best."""

import keras
from keras import ops

# The write time of a question: newer than every memory.
NOW = 2**30


def write_time_features(x_time, y_time, other_time):
    """Returns `Φt(x, y, y')` (Memory Networks, arXiv 1410.3916, section 3.4).

    Three features: whether x is older than y, x older than y', y older than y'.

    Departure from the paper: a feature is +1 if true and -1 if not, where the paper has 1 and 0.
    With 0, `s(x, new, old)` of two memories with equal words is 0 whatever is learned, so the newer
    one can never be preferred by a margin.

    Args:
        x_time: integer tensor, the write time of the last supporting memory, `NOW` for a question
            alone.
        y_time: integer tensor of the same rank, the write time of one memory.
        other_time: integer tensor of the same rank, that of the other memory.

    Returns:
        A list of three boolean tensors (the broadcast of `x_time`, `y_time` and `other_time`).
    """
    return [x_time < y_time, x_time < other_time, y_time < other_time]


@keras.saving.register_keras_serializable(package="methodical")
class WriteTime(keras.layers.Layer):
    """Turns a query into the part of a pair's score that comes from the ages: `E(x)·UtΦt(x,y,y')`.

    The score of a pair is `s_Ot(x, y, y') = E(x)·(E(y) - E(y') + Ut Φt(x, y, y'))`, equation 7 of
    Memory Networks (arXiv 1410.3916): memory y is preferred to y' where it is positive. With the
    nonlinear matching the ages enter the same way, outside the tanh, so that scoring all pairs
    costs no more than scoring all memories.

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

    def __init__(self, kernel_initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.kernel_initializer = keras.initializers.get(
            kernel_initializer or keras.initializers.RandomNormal(stddev=0.1)
        )

    def build(self, input_shape):
        """Creates the weights."""
        self.kernel = self.add_weight(
            shape=(3, input_shape["query"][-1]), initializer=self.kernel_initializer, name="kernel"
        )
        self.built = True

    def call(self, inputs):
        """Returns the ages' part of the scores."""
        query, x_time = inputs["query"], inputs["x_time"]
        y_time, other_time = inputs["y_time"], inputs["other_time"]
        kernel = ops.cast(self.kernel, query.dtype)
        weights = ops.cast(ops.matmul(query, ops.transpose(kernel)), "float32")
        extra = (None,) * (len(y_time.shape) - len(x_time.shape))
        x_time = x_time[(..., *extra)]
        features = write_time_features(x_time, y_time, other_time)
        return sum(
            weights[(..., k, *extra)] * (2.0 * ops.cast(feature, "float32") - 1.0)
            for k, feature in enumerate(features)
        )

    def compute_output_shape(self, input_shape):
        """Returns the shape of the output."""
        one, other = input_shape["y_time"], input_shape["other_time"]
        return tuple(b if a == 1 else a for a, b in zip(one, other, strict=True))

    def compute_output_spec(self, inputs):
        """Returns symbols of the outputs."""
        shapes = {name: tensor.shape for name, tensor in inputs.items()}
        return keras.KerasTensor(self.compute_output_shape(shapes), dtype="float32")

    def get_config(self):
        """Returns the configuration."""
        return {
            **super().get_config(),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def tournament(pairs, valid):
    """Returns the winner of Memory Networks' Algorithm 1, without its loop over the memories.

    The algorithm holds the first memory and goes once through the others in their order; memory `i`
    replaces the held memory `j` where `s_Ot(x, i, j) > 0`. The same here: `next[j]` is the first
    `i > j` that beats `j` (`j` if none does), and following `next` from the start to its end by
    doubling the stride takes log2(M) steps.

    Args:
        pairs: float tensor `(B, M, M)`: `pairs[b, i, j] = s_Ot(x, y_i, y_j)`.
        valid: boolean tensor `(B, M)`: which memories take part.

    Returns:
        int32 tensor `(B,)`, the index of the winner; any index where no memory is valid.
    """
    index = ops.arange(ops.shape(pairs)[1], dtype="int32")
    beats = ops.logical_or(pairs > 0, ops.logical_not(valid)[:, None, :])
    beats = ops.logical_and(beats, valid[:, :, None])
    beats = ops.logical_and(beats, index[:, None] > index[None, :])
    first = ops.cast(ops.argmax(ops.cast(beats, "int32"), axis=1), "int32")
    following = ops.where(ops.any(beats, axis=1), first, index[None, :])

    # The number of memories may be unknown when the graph is made, so the steps are counted there.
    def moves(following):
        return ops.any(ops.take_along_axis(following, following, axis=1) != following)

    def double(following):
        return (ops.take_along_axis(following, following, axis=1),)

    return ops.while_loop(moves, double, (following,))[0][:, 0]
