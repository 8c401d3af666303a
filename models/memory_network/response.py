"""The R component of a memory network: the words of the answer.

Dimensions: B batch, S sentences, F features of a sentence, Q features of the question, H facts,
A words of an answer, T = A words to learn (A + 1 with the stop word), V words that can be answers.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ..types import Tensor
from .matching import Matching
from .supporting_facts import shift


@keras.saving.register_keras_serializable(package="methodical")
class Response(keras.layers.Layer):
    """Answers a question from its supporting facts: `r = argmax_w s_R([x, m_1, …], w)`.

    Memory Networks (arXiv 1410.3916), equation 4. With `adaptive` ("AM", arXiv 1502.05698, section
    5) the answer is a list of words: word `j` is the best for `[x, m_1, …, w_1, …, w_(j-1)]`, until
    the learned word `w_0` is the best or there are `max_words`. The earlier words of the answer
    have their own table, since their meaning differs from that of words in facts.

    Args:
        words: int, ids 1 to `words` are words, which can be answers.
        vocabulary_size: int, the largest feature id.
        embedding_dim: int, the size D of the embedding.
        features: the feature ids that have a row, see `BagOfFeatures`; only the words in it can be
            answers.
        max_words: int ≥ 1, A: the largest number of words of an answer; 1 unless `adaptive`.
        adaptive: bool, whether to use AM.
        nonlinear: bool, whether to use NL, see `Matching`.
        memory_spaces: int, see `Matching`.
        dropout: float in [0, 1), see `Matching`.

    Call arguments:
        inputs: a dict of integer tensors: `"story"` `(B, S, F)` and `"question"` `(B, Q)`, feature
            ids padded with 0; `"supporting_facts"` `(B, H)`, sentences from 0 padded with -1.

    Output: a dict:
        `"answer"`: int32 `(B, A)`, word ids padded with 0.
        `"probability"`: float32 `(B,)`, in [0, 1]: the product over the answer's words (and its
            end) of the softmax of `s_R`.
    """

    def __init__(
        self,
        words: int,
        vocabulary_size: int,
        embedding_dim: int,
        features: Sequence[int] | None = None,
        max_words: int = 1,
        adaptive: bool = False,
        nonlinear: bool = False,
        memory_spaces: int = 2,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 1 <= words <= vocabulary_size:
            raise ValueError(
                f"`words` must be from 1 to vocabulary_size={vocabulary_size}. "
                f"Received: words={words}"
            )
        if max_words < 1 or (max_words > 1 and not adaptive):
            raise ValueError(
                "`max_words` must be at least 1, and 1 without `adaptive`. "
                f"Received: max_words={max_words}, adaptive={adaptive}"
            )
        self.words = words
        self.max_words = max_words
        self.adaptive = adaptive
        self.matching = Matching(
            vocabulary_size,
            embedding_dim,
            features,
            nonlinear=nonlinear,
            memory_spaces=memory_spaces,
            dropout=dropout,
            name="matching",
            dtype=self.dtype_policy,
        )
        known = self.matching.features or range(1, words + 1)
        answers = [feature for feature in known if feature <= words]
        if not answers:
            raise ValueError(
                f"`features` must contain a word, an id from 1 to words={words}. "
                f"Received: features={features}"
            )
        # The last one is the stop word.
        self._answers = np.array([*answers, 0], "int32")
        self._answer_index = np.full(vocabulary_size + 1, -1, "int32")
        self._answer_index[answers] = np.arange(len(answers))
        self.answer_bag: Any = self.matching.new_bag("answer_bag") if adaptive else None

    def build(self, input_shape: Any = None) -> None:
        """Creates the weights."""
        self.matching.build()
        if self.adaptive:
            self.answer_bag.build()
            self.stop_word = self.add_weight(
                shape=(1, self.matching.embedding_dim),
                initializer=keras.initializers.RandomNormal(stddev=0.1),
                name="stop_word",
            )

    def _candidates(self):
        """Returns `E(w)` of the words that can be answers, and of the stop word: `(V + 1, D)`."""
        words = ops.convert_to_tensor(self._answers[:-1, None])
        embedded = self.matching.embed_candidates(words)
        if self.adaptive:
            stop = self.matching.embed(ops.cast(self.stop_word, embedded.dtype))
            embedded = ops.concatenate([embedded, stop], axis=0)
        return embedded

    def _scores(self, bag, candidates, training=False):
        query = self.matching.embed_query(bag, training)
        return ops.cast(ops.matmul(query, ops.transpose(candidates)), "float32")

    def _bag(self, inputs):
        """Returns the sum `(B, D)` of the question's bag and of the facts' bags."""
        facts = ops.cast(inputs["supporting_facts"], "int32")
        ids = ops.take_along_axis(inputs["story"], ops.maximum(facts, 0)[:, :, None], axis=1)
        memories = self.matching.memory_bag_sequence(ids)
        memories = memories * ops.cast(facts >= 0, memories.dtype)[:, :, None]
        return self.matching.question_bag(inputs["question"]) + ops.sum(memories, axis=1)

    def ranking(self, inputs: dict[str, Tensor], training: bool = False) -> tuple[Tensor, Tensor]:
        """Scores the words, given the correct earlier words.

        Args:
            inputs: as for the call, and `"answer"` integer `(B, A)`, the correct words, padded
                with 0. Without `adaptive` only the first counts.
            training: bool, whether to apply dropout.

        Returns:
            The inputs of `MarginRankingLoss`: targets int32 `(B, T)`, -1 for none, and
            scores float32 `(B, T, V)`, with the stop word `(B, T, V + 1)`.
        """
        answer = ops.cast(inputs["answer"], "int32")
        bag = self._bag(inputs)[:, None]
        if self.adaptive:
            count = ops.sum(ops.cast(answer > 0, "int32"), axis=1, keepdims=True)
            answer = ops.pad(answer, ((0, 0), (0, 1)))
            bag = bag + shift(ops.cumsum(self.answer_bag(answer[:, :, None]), axis=1), 0)
        else:
            answer = answer[:, :1]
        targets = ops.take(ops.convert_to_tensor(self._answer_index), answer, axis=0)
        if self.adaptive:
            stop = ops.arange(ops.shape(answer)[1], dtype="int32")[None] == count
            targets = ops.where(stop, len(self._answers) - 1, targets)
        return targets, self._scores(bag, self._candidates(), training)

    def call(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns the answer and its probability."""
        candidates = self._candidates()
        bag = self._bag(inputs)
        answers = ops.convert_to_tensor(self._answers)
        stop = len(self._answers) - 1
        going = ops.ones_like(bag[:, 0], dtype="bool")
        probability = ops.ones_like(bag[:, 0], dtype="float32")
        answer = []
        for position in range(self.max_words):
            scores = self._scores(bag, candidates)
            if position == 0 and self.adaptive:
                # An answer has at least one word.
                scores = ops.where(ops.arange(stop + 1) == stop, -1e30, scores)
            best = ops.argmax(scores, axis=1)
            share = ops.take_along_axis(ops.softmax(scores, axis=1), best[:, None], axis=1)[:, 0]
            probability = probability * ops.where(going, share, 1.0)
            word = ops.where(going, ops.take(answers, best, axis=0), 0)
            going = ops.logical_and(going, word != 0)
            answer.append(word)
            if self.adaptive:
                bag = bag + self.answer_bag(word[:, None])
        return {"answer": ops.stack(answer, axis=1), "probability": probability}

    def compute_output_spec(self, inputs: dict[str, Tensor]) -> dict[str, keras.KerasTensor]:
        """Returns symbols of the outputs."""
        batch = inputs["question"].shape[0]
        return {
            "answer": keras.KerasTensor((batch, self.max_words), dtype="int32"),
            "probability": keras.KerasTensor((batch,), dtype="float32"),
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            **super().get_config(),
            "words": self.words,
            "vocabulary_size": self.matching.vocabulary_size,
            "embedding_dim": self.matching.embedding_dim,
            "features": self.matching.features,
            "max_words": self.max_words,
            "adaptive": self.adaptive,
            "nonlinear": self.matching.nonlinear,
            "memory_spaces": self.matching.memory_spaces,
            "dropout": self.matching.dropout.rate,
        }
