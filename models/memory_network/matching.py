"""The matching function `s(x, y)` of a memory network."""

import keras
from keras import ops

from .bag_of_features import BagOfFeatures


@keras.saving.register_keras_serializable(package="methodical")
class Matching(keras.layers.Layer):
    """placeholder"""

    def __init__(
        self,
        vocabulary_size,
        embedding_dim,
        features=None,
        nonlinear=False,
        answer_space=False,
        embeddings_initializer=None,
        dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.features = features
        self.nonlinear = nonlinear
        self.answer_space = answer_space
        self.init = embeddings_initializer or keras.initializers.RandomNormal(stddev=0.1)

        def table(name):
            return BagOfFeatures(
                vocabulary_size, embedding_dim, features, self.init, name=name, dtype=self.dtype_policy
            )

        self.question = table("question")
        self.memory = table("memory")
        self.candidate = table("candidate")
        self.answer = table("answer") if answer_space else None
        self.dropout = keras.layers.Dropout(dropout) if dropout else None

    def build(self, input_shape=None):
        for t in (self.question, self.memory, self.candidate, self.answer):
            if t is not None:
                t.build()
        if self.nonlinear:
            self.kernel = self.add_weight(
                shape=(self.embedding_dim, self.embedding_dim), initializer="glorot_uniform", name="kernel"
            )
            self.ckernel = self.add_weight(
                shape=(self.embedding_dim, self.embedding_dim), initializer="glorot_uniform", name="ckernel"
            ) if EXP.get("sepW") else self.kernel
        self.built = True

    def embed(self, bag, cand=False, training=False):
        if self.dropout is not None and not (cand and not EXP.get("cdrop")):
            bag = self.dropout(bag, training=training)
        if not self.nonlinear:
            return bag
        return ops.tanh(ops.matmul(ops.tanh(bag), ops.cast(self.ckernel if cand else self.kernel, bag.dtype)))


EXP = {}
