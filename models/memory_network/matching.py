"""The matching function `s(x, y)` of a memory network, linear and nonlinear (NL)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from ..types import Identifier, Shape, Tensor
from .bag_of_features import BagOfFeatures, check_features


@keras.saving.register_keras_serializable(package="methodical")
class Matching(keras.layers.Layer):
    """Scores candidates for a question and the supporting memories found so far.

    Linear (Memory Networks, arXiv 1410.3916, equation 5):
    `s(x, y) = E(x)·E(y)`, `E(x) = Φx(x)ᵀUᵀ`, `E(y) = UΦy(y)`. Nonlinear ("NL", Towards AI-Complete
    Question Answering, arXiv 1502.05698, section 5): `E(x) = tanh(W tanh(Φ(x)ᵀU))` on both sides.

    The features have one table for each space in which they occur (`D = 3|W|` in the paper): the
    question, the supporting memories, the candidates. `x` is the sum of the bags of the question
    and of the memories.

    Departure from the paper: a sum of bags does not tell which memory came first, on which
    coreference (tasks 11 and 13) depends. So by default the first memory and the later ones have
    separate tables (`memory_spaces=2`); `memory_spaces=1` is the paper's model.

    Example:

    ```python
    matching = Matching(vocabulary_size=100, embedding_dim=8)
    scores = matching(
        {
            "question": np.array([[1, 2]]),
            "memories": np.array([[[3, 4]]]),
            "candidates": np.array([[[5, 6], [7, 0]]]),
        }
    )  # shape (1, 2)
    ```

    Args:
        vocabulary_size: int, the largest feature id.
        embedding_dim: int, the size D of the embedding (`n` in the paper).
        features: the feature ids that have a row, see `BagOfFeatures`.
        nonlinear: bool, whether to use NL.
        memory_spaces: int ≥ 1, the number of tables for memories; memory `k` (from 0) uses table
            `min(k, memory_spaces - 1)`.
        dropout: float in [0, 1), dropout rate of the summed bags of question and memories.
        embeddings_initializer: initializer of the tables.

    Call arguments:
        inputs: a dict of integer tensors: `"question"` `(B, Q)`, `"memories"` `(B, H, F)` (padding:
            zeros), `"candidates"` `(B, M, C)`; feature ids, 0 is padding.
        training: bool, whether to apply dropout.

    Output shape: `(B, M)`, float.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        features: Sequence[int] | None = None,
        nonlinear: bool = False,
        memory_spaces: int = 2,
        dropout: float = 0.0,
        embeddings_initializer: Identifier = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if memory_spaces < 1:
            raise ValueError(
                f"`memory_spaces` must be at least 1. Received: memory_spaces={memory_spaces}"
            )
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.features = check_features(vocabulary_size, features)
        self.nonlinear = nonlinear
        self.memory_spaces = memory_spaces
        self.embeddings_initializer = keras.initializers.get(
            embeddings_initializer or keras.initializers.RandomNormal(stddev=0.1)
        )
        self.question_bag = self.new_bag("question_bag")
        self.memory_bags = [self.new_bag(f"memory_bag_{k}") for k in range(memory_spaces)]
        self.candidate_bag = self.new_bag("candidate_bag")
        self.dropout = keras.layers.Dropout(dropout, name="dropout", dtype=self.dtype_policy)

    def new_bag(self, name: str) -> BagOfFeatures:
        """Returns a new table of this layer's size, for another space of its features."""
        initializer = self.embeddings_initializer
        return BagOfFeatures(
            self.vocabulary_size,
            self.embedding_dim,
            self.features,
            initializer.__class__.from_config(initializer.get_config()),
            name=name,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: Any = None) -> None:
        """Creates the weights."""
        for bag in (self.question_bag, *self.memory_bags, self.candidate_bag):
            bag.build()
        if self.nonlinear:
            self.kernel = self.add_weight(
                shape=(self.embedding_dim, self.embedding_dim),
                initializer="glorot_uniform",
                name="kernel",
            )

    def embed(self, bag: Tensor) -> Tensor:
        """Returns the embeddings `E` of summed bags `(..., D)`."""
        if not self.nonlinear:
            return bag
        return ops.tanh(ops.matmul(ops.tanh(bag), ops.cast(self.kernel, bag.dtype)))

    def embed_query(self, bag: Tensor, training: bool = False) -> Tensor:
        """Returns `E(x)` `(..., D)` of the summed bags of a question and its memories."""
        return self.embed(self.dropout(bag, training=training))

    def embed_candidates(self, ids: Tensor) -> Tensor:
        """Returns `E(y)` `(..., M, D)` of candidates `(..., M, C)`."""
        return self.embed(self.candidate_bag(ids))

    def memory_bag(self, ids: Tensor, position: Tensor) -> Tensor:
        """Returns the bags `(B, D)` of memories `(B, F)` at a position, a scalar tensor."""
        table = ops.minimum(position, self.memory_spaces - 1)
        bags = [bag(ids) for bag in self.memory_bags]
        return sum(ops.cast(ops.equal(table, k), bags[k].dtype) * bags[k] for k in range(len(bags)))

    def memory_bag_sequence(self, ids: Tensor) -> Tensor:
        """Returns the bags `(B, H, D)` of memories `(B, H, F)`, position by position."""
        parts = [bag(ids[:, k : k + 1]) for k, bag in enumerate(self.memory_bags[:-1])]
        parts.append(self.memory_bags[-1](ids[:, self.memory_spaces - 1 :]))
        return ops.concatenate(parts, axis=1)

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Returns the scores `(B, M)`."""
        memories = ops.sum(self.memory_bag_sequence(inputs["memories"]), axis=1)
        query = self.embed_query(self.question_bag(inputs["question"]) + memories, training)
        candidates = self.embed_candidates(inputs["candidates"])
        return ops.einsum("bd,bmd->bm", query, candidates)

    def compute_output_shape(self, input_shape: dict[str, Shape]) -> Shape:
        """Returns the shape of the output."""
        return tuple(input_shape["candidates"][:-1])

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "features": self.features,
            "nonlinear": self.nonlinear,
            "memory_spaces": self.memory_spaces,
            "dropout": self.dropout.rate,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }
