"""The base of the baselines of parts: components computed from all examples at once."""

from typing import Any

import keras
import numpy as np
from keras import ops

from ...checks import positive_integer
from ...types import Shape, Tensor


class AdaptedComponents(keras.layers.Layer):
    """A layer whose weight `components` `(rank, features)` is set by `adapt`, not by training.

    Args:
        rank: int > 0, the number of components.

    Raises:
        ValueError: `rank` is not a positive integer.
    """

    def __init__(self, rank: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rank = positive_integer("rank", rank)
        self.components: Any = None

    def build(self, input_shape: Shape) -> None:
        """Creates the weights."""
        features = input_shape[-1]
        if features is None or features < self.rank:
            raise ValueError(
                "`rank` must be at most the number of features, which must be known. "
                f"Received: rank={self.rank}, inputs.shape={tuple(input_shape)}"
            )
        self.components = self.add_weight(
            shape=(self.rank, features),
            name="components",
            initializer=keras.initializers.RandomUniform(0.0, 1.0, seed=0),
            trainable=False,
        )

    def adapt(self, examples: Tensor) -> None:
        """Computes the components from examples `(N, features)`.

        Raises:
            ValueError: there are no examples, or an entry is not finite.
        """
        examples = np.asarray(ops.convert_to_numpy(examples), "float64")
        if examples.ndim != 2 or not len(examples) or not np.isfinite(examples).all():
            raise ValueError(
                "`adapt` takes finite examples (N, features). "
                f"Received: shape {examples.shape}, {np.sum(~np.isfinite(examples))} not finite"
            )
        if not self.built:
            self.build(examples.shape)
        self._learn(examples)

    def _learn(self, examples):
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the codes."""
        return (*input_shape[:-1], self.rank)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {**super().get_config(), "rank": self.rank}
