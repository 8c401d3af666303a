"""The O component of a memory network: finds the supporting facts, hop by hop.

Dimensions: B batch, S sentences, F features of a sentence, Q features of the question, D embedding,
H hops, M = S candidates (S + 1 with the stop fact), T = H hops to learn (H + 1 with the stop).
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from ..types import Tensor
from .matching import Matching
from .write_time import NOW, WriteTime, tournament


def shift(sequence: Tensor, first: int) -> Tensor:
    """Returns `sequence` `(B, T, ...)` moved one place to the right, with `first` in front."""
    return ops.concatenate([ops.full_like(sequence[:, :1], first), sequence[:, :-1]], axis=1)


@keras.saving.register_keras_serializable(package="methodical")
class SupportingFacts(keras.layers.Layer):
    """Finds the sentences of a story that a question needs, one after another.

    Hop `k` finds `m_k = O(x, m_1, …, m_(k-1))`: the winner of a tournament in which sentence y
    beats y' if `s_Ot([x, m_1, …], y, y') > 0` (Memory Networks, arXiv 1410.3916, section 3.4 and
    Algorithm 1). The time of `x` in the write-time features is that of the last fact.

    With `adaptive` ("AM", arXiv 1502.05698, section 5) a learned fact `m_0` competes in each hop,
    without features of time; if it beats the winner, there are no more facts. Departure: a sentence
    cannot be found twice.

    Args:
        vocabulary_size: int, the largest feature id.
        embedding_dim: int, D.
        features: the feature ids that have a row, see `BagOfFeatures`.
        hops: int ≥ 1, the number of hops; with `adaptive` the largest number.
        adaptive: bool, whether to use AM.
        nonlinear: bool, whether to use NL, see `Matching`.
        memory_spaces: int, see `Matching`.
        dropout: float in [0, 1), see `Matching`.

    Call arguments:
        inputs: a dict of integer tensors: `"story"` `(B, S, F)` feature ids, 0 is padding and a
            sentence of zeros does not exist; `"question"` `(B, Q)`; `"write_time"` `(B, S)`, larger
            is newer, below `NOW`. S ≥ 1.

    Output: a dict:
        `"supporting_facts"`: int32 `(B, H)`, the indices of the sentences, from 0, in the order of
            the hops; -1 for none.
        `"attention"`: float32 `(B, H, S)`, for pictures: the softmax over y of
            `s_Ot(x, y, winner)`. Zeros if there is no hop; the sum falls short of 1 by the share
            of `m_0`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        features: Sequence[int] | None = None,
        hops: int = 2,
        adaptive: bool = False,
        nonlinear: bool = False,
        memory_spaces: int = 2,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if hops < 1:
            raise ValueError(f"`hops` must be at least 1. Received: hops={hops}")
        self.hops = hops
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
        self.write_time = WriteTime(name="write_time", dtype=self.dtype_policy)

    def build(self, input_shape: Any = None) -> None:
        """Creates the weights."""
        dim = self.matching.embedding_dim
        self.matching.build()
        self.write_time.build({"query": (None, dim)})
        if self.adaptive:
            self.stop_fact = self.add_weight(
                shape=(1, dim),
                initializer=keras.initializers.RandomNormal(stddev=0.1),
                name="stop_fact",
            )

    def _candidates(self, story):
        """Returns `E(y)` of the sentences `(B, S, D)` and of the stop fact `(1, D)` or `None`."""
        sentences = self.matching.embed_candidates(story)
        if not self.adaptive:
            return sentences, None
        return sentences, self.matching.embed(ops.cast(self.stop_fact, sentences.dtype))

    def _scores(self, query, candidates):
        """Returns `E(x)·E(y)` `(B, T, M)`, float32, the stop fact last."""
        sentences, stop = candidates
        scores = ops.matmul(query, ops.transpose(sentences, (0, 2, 1)))
        if stop is not None:
            scores = ops.concatenate([scores, ops.matmul(query, ops.transpose(stop))], axis=-1)
        return ops.cast(scores, "float32")

    def targets(self, supporting_facts: Tensor, sentences: int | Tensor) -> Tensor:
        """Returns the target of each hop: int32 `(B, T)`, -1 for none.

        With `adaptive` the stop fact (index `sentences`) follows the last fact. Without it the last
        fact is repeated if a question has fewer facts than hops, since all hops are made.

        Args:
            supporting_facts: integer tensor `(B, H)`, from 0, padded with -1 at the end.
            sentences: int, S.
        """
        facts = ops.cast(supporting_facts, "int32")[:, : self.hops]
        if self.adaptive:
            count = ops.sum(ops.cast(facts >= 0, "int32"), axis=1, keepdims=True)
            facts = ops.pad(facts, ((0, 0), (0, 1)), constant_values=-1)
            return ops.where(
                ops.arange(ops.shape(facts)[1], dtype="int32")[None] == count, sentences, facts
            )
        facts = ops.pad(facts, ((0, 0), (0, self.hops)), constant_values=-1)[:, : self.hops]
        columns = [facts[:, 0]]
        for hop in range(1, self.hops):
            columns.append(ops.where(facts[:, hop] >= 0, facts[:, hop], columns[-1]))
        return ops.stack(columns, axis=1)

    def ranking(
        self, inputs: dict[str, Tensor], training: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compares each correct fact with every other sentence, given the earlier facts.

        Args:
            inputs: as for the call, and `"supporting_facts"` integer `(B, H)`, the facts to find
                in their order, padded with -1.
            training: bool, turns the dropout on.

        Returns:
            The pair for `PairwiseMarginRankingLoss`: targets int32 `(B, T)` and pairs float32
            `(B, T, M, 2)`; and the facts `(B, T)` that the response may use, -1 for none.
        """
        story = inputs["story"]
        sentences = ops.shape(story)[1]
        time = ops.cast(inputs["write_time"], "int32")
        targets = self.targets(inputs["supporting_facts"], sentences)
        is_fact = ops.logical_and(targets >= 0, targets < sentences)
        index = ops.where(is_fact, targets, 0)

        memories = self.matching.memory_bag_sequence(
            ops.take_along_axis(story, index[:, :, None], axis=1)
        )
        memories = memories * ops.cast(is_fact, memories.dtype)[:, :, None]
        memories = shift(ops.cumsum(memories, axis=1), 0)
        question = self.matching.question_bag(inputs["question"])
        query = self.matching.embed_query(question[:, None] + memories, training)
        fact_time = ops.take_along_axis(time, index, axis=1)
        x_time = shift(fact_time, NOW)

        scores = self._scores(query, self._candidates(story))
        places = ops.arange(ops.shape(scores)[2], dtype="int32")
        is_target = targets[:, :, None] == places
        right = ops.sum(ops.where(is_target, scores, 0.0), axis=2, keepdims=True)

        def age_scores(y_time, other_time):
            return self.write_time(
                {"query": query, "x_time": x_time, "y_time": y_time, "other_time": other_time}
            )

        y_time, other_time = fact_time[:, :, None], time[:, None, :]
        forward, backward = age_scores(y_time, other_time), age_scores(other_time, y_time)
        rivals = ops.any(story != 0, axis=2)[:, None, :]
        if self.adaptive:
            earlier = ops.where(is_fact[:, :, None], is_target, False)[:, :, :-1]
            earlier = shift(ops.cumsum(ops.cast(earlier, "int32"), axis=1), 0)
            rivals = ops.logical_and(rivals, earlier == 0)
            # The stop fact has no age.
            aged = ops.cast(is_fact, "float32")[:, :, None]
            forward, backward = (
                ops.pad(ages * aged, ((0, 0), (0, 0), (0, 1))) for ages in (forward, backward)
            )
            rivals = ops.pad(rivals, ((0, 0), (0, 0), (0, 1)), constant_values=True)
        pairs = ops.stack(
            [
                ops.where(rivals, right - scores + forward, float("inf")),
                ops.where(rivals, scores - right + backward, float("-inf")),
            ],
            axis=-1,
        )
        return targets, pairs, ops.where(is_fact, targets, -1)

    def call(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns the facts and the attention."""
        story = inputs["story"]
        time = ops.cast(inputs["write_time"], "int32")
        batch, sentences = ops.shape(story)[0], ops.shape(story)[1]
        exists = ops.any(story != 0, axis=2)
        candidates = self._candidates(story)
        places = ops.arange(sentences, dtype="int32")
        hops = ops.arange(self.hops, dtype="int32")

        def unfinished(hop, query, x_time, going, free, facts, attention):
            return ops.logical_and(hop < self.hops, ops.any(going))

        def find(hop, query, x_time, going, free, facts, attention):
            embedded = self.matching.embed_query(query)
            scores = self._scores(embedded[:, None], candidates)[:, 0]
            ages = self.write_time(
                {
                    "query": embedded,
                    "x_time": x_time,
                    "y_time": time[:, :, None],
                    "other_time": time[:, None, :],
                }
            )
            words = scores[:, :sentences]
            pairs = words[:, :, None] - words[:, None, :] + ages
            winner = tournament(pairs, free)
            at = winner[:, None]
            best = ops.take_along_axis(words, at, axis=1)
            against_best = ops.take_along_axis(pairs, at[:, None, :], axis=2)[:, :, 0]
            # An age compares two memories: a memory has none against itself.
            against_best = ops.where(places[None] == at, 0.0, against_best)
            going = ops.logical_and(going, ops.any(free, axis=1))
            logits = ops.where(free, against_best, -1e30)
            if self.adaptive:
                stop = scores[:, sentences:] - best
                going = ops.logical_and(going, ops.logical_not(stop[:, 0] > 0))
                logits = ops.concatenate([logits, stop], axis=1)
            share = ops.softmax(logits, axis=1)[:, :sentences]

            now = ops.logical_and(going[:, None], hops[None] == hop)
            facts = ops.where(now, at, facts)
            attention = ops.where(now[:, :, None], share[:, None, :], attention)
            ids = ops.take_along_axis(story, at[:, :, None], axis=1)[:, 0]
            memory = self.matching.memory_bag(ids, hop)
            query = ops.where(going[:, None], query + memory, query)
            x_time = ops.where(going, ops.take_along_axis(time, at, axis=1)[:, 0], x_time)
            if self.adaptive:
                free = ops.logical_and(free, places[None] != at)
            return hop + 1, query, x_time, going, free, facts, attention

        state = (
            ops.convert_to_tensor(0, dtype="int32"),
            self.matching.question_bag(inputs["question"]),
            ops.full((batch,), NOW, dtype="int32"),
            ops.any(exists, axis=1),
            exists,
            ops.full((batch, self.hops), -1, dtype="int32"),
            ops.zeros((batch, self.hops, sentences), dtype="float32"),
        )
        *_, facts, attention = ops.while_loop(unfinished, find, state)
        return {"supporting_facts": facts, "attention": attention}

    def compute_output_spec(self, inputs: dict[str, Tensor]) -> dict[str, keras.KerasTensor]:
        """Returns symbols of the outputs."""
        batch, sentences = inputs["story"].shape[:2]
        return {
            "supporting_facts": keras.KerasTensor((batch, self.hops), dtype="int32"),
            "attention": keras.KerasTensor((batch, self.hops, sentences), dtype="float32"),
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            **super().get_config(),
            "vocabulary_size": self.matching.vocabulary_size,
            "embedding_dim": self.matching.embedding_dim,
            "features": self.matching.features,
            "hops": self.hops,
            "adaptive": self.adaptive,
            "nonlinear": self.matching.nonlinear,
            "memory_spaces": self.matching.memory_spaces,
            "dropout": self.matching.dropout.rate,
        }
