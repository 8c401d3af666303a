"""The embedding of a bag of features: `Φ(x)ᵀU` of a memory network."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ..types import Identifier, Shape, Tensor


def feature_rows(vocabulary_size: int, features: Sequence[int] | None) -> np.ndarray:
    """Returns the table's row of each feature id: `int32 (vocabulary_size + 1,)`, 0 for none."""
    rows = np.zeros(vocabulary_size + 1, "int32")
    if features is None:
        rows[1:] = np.arange(1, vocabulary_size + 1)
    else:
        rows[np.asarray(features, "int32")] = np.arange(1, len(features) + 1)
    return rows


def check_features(vocabulary_size: int, features: Sequence[int] | None) -> list[int] | None:
    """Returns `features` as a sorted list of ids, or raises `ValueError`."""
    if vocabulary_size < 1:
        raise ValueError(
            f"`vocabulary_size` must be a positive integer. Received: "
            f"vocabulary_size={vocabulary_size}"
        )
    if features is None:
        return None
    unique = sorted({int(feature) for feature in features})
    if not unique or unique[0] < 1 or unique[-1] > vocabulary_size:
        raise ValueError(
            f"`features` must be feature ids from 1 to vocabulary_size={vocabulary_size}. "
            f"Received: features={features}"
        )
    return unique


@keras.saving.register_keras_serializable(package="methodical")
class BagOfFeatures(keras.layers.Layer):
    """Embeds a bag of features (words, or words and n-grams) as the sum of their vectors.

    `output = Σ_f U[ids[f]]`, which is `Φ(x)ᵀU` with the counts of the features as `Φ(x)` (Memory
    Networks, arXiv 1410.3916, section 3.1). Id 0 is padding and adds nothing, nor do ids without a
    row.

    Example:

    ```python
    bag = BagOfFeatures(vocabulary_size=100, embedding_dim=8)
    bag(np.array([[3, 7, 0]]))  # shape (1, 8): U[3] + U[7]
    ```

    Args:
        vocabulary_size: int, the largest feature id.
        embedding_dim: int, the size D of the embedding.
        features: the ids that have a row in the table; all other ids are ignored. `None`: all. A
            model of one task needs only the features in its data, and trains faster with a small
            table.
        embeddings_initializer: initializer of the table U.

    Call arguments:
        ids: integer tensor `(..., F)` of feature ids from 0 to `vocabulary_size`.

    Output shape: `(..., D)`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        features: Sequence[int] | None = None,
        embeddings_initializer: Identifier = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        if embedding_dim < 1:
            raise ValueError(f"`embedding_dim` must be positive. Received: {embedding_dim=}")
        self.embedding_dim = embedding_dim
        self.features = check_features(vocabulary_size, features)
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self._rows = feature_rows(vocabulary_size, self.features)

    def build(self, input_shape: Any = None) -> None:
        """Creates the weights."""
        rows = self.vocabulary_size if self.features is None else len(self.features)
        self.embeddings = self.add_weight(
            shape=(rows, self.embedding_dim),
            initializer=self.embeddings_initializer,
            name="embeddings",
        )

    def call(self, ids: Tensor) -> Tensor:
        """Returns the summed rows `(..., D)`."""
        rows = ops.take(ops.convert_to_tensor(self._rows), ops.cast(ids, "int32"), axis=0)
        table = ops.cast(self.embeddings, self.compute_dtype)
        # A row of zeros for padding: cheaper than a mask over (..., F, D), and the table's gradient
        # is dense.
        table = ops.concatenate([ops.zeros_like(table[:1]), table], axis=0)
        return ops.sum(ops.take(table, rows, axis=0), axis=-2)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the output."""
        return (*input_shape[:-1], self.embedding_dim)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "features": self.features,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }
