"""The memory network of Weston et al., with strong supervision and its three extensions."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from ..types import Tensor
from .losses import MarginRankingLoss, PairwiseMarginRankingLoss
from .response import Response
from .supporting_facts import SupportingFacts


@keras.saving.register_keras_serializable(package="methodical")
class MemoryNetwork(keras.Model):
    """MemNN: answers a question about a story, and names the sentences it relies on.

    I and G store the sentences as bags of features, O finds the supporting facts hop by hop
    (`SupportingFacts`), R answers from them (`Response`). The supporting facts are targets in
    training (strong supervision). Papers: Memory Networks (Weston et al. 2014, arXiv 1410.3916) and
    Towards AI-Complete Question Answering (Weston et al. 2015, arXiv 1502.05698, section 5). The
    extensions of the second combine freely:

    - AM, `adaptive=True`: a learned stop fact ends the hops, a learned stop word ends the answer;
    - NL, `nonlinear=True`: `E(x) = tanh(W tanh(Φ(x)ᵀU))`;
    - NG: the features contain n-grams beside the words.

    `fit` minimises the sum of two margin ranking losses, over the facts of all hops
    (`PairwiseMarginRankingLoss`) and over the words of the answer (`MarginRankingLoss`), each given
    the correct earlier facts and words. The targets are part of the inputs; `compile` needs only an
    optimizer. Logs: `loss`, and two shares of questions: `answer_accuracy` (all words correct) and
    `fact_accuracy` (all facts correct, in order); given the correct earlier facts and words in
    `fit`, and the model's own in `evaluate` and validation.

    Differences from the papers, the same for all tasks: every wrong candidate counts in each step
    instead of a sampled one; Adam with mini-batches instead of SGD; features of age are +1 and -1
    (`write_time_features`); the first fact and later facts have separate tables (`Matching`); the
    earlier words of the answer have a table (`Response`); with AM a sentence can be found only once
    (`SupportingFacts`); without AM the last fact is repeated as target if a question has fewer
    facts than hops; dropout in the search for facts.

    The defaults, with Adam from 0.01 decayed to 0 by a cosine over 40 epochs and batches of 32,
    are intended for all 20 bAbI tasks.

    Batch stories of similar length together (as `tf.data.Dataset.bucket_by_sequence_length` does),
    and disable XLA (`jit_compile=False`), which compiles again for each shape.

    Example:

    ```python
    # mary=1 went=2 garden=3 kitchen=4 where=5
    data = {
        "story": np.array([[[1, 2, 3], [1, 2, 4]]]),
        "question": np.array([[5, 1]]),
        "write_time": np.array([[1, 2]]),
        "supporting_facts": np.array([[1]]),
        "answer": np.array([[4]]),
    }
    model = MemoryNetwork(words=5, vocabulary_size=5, embedding_dim=8, hops=1)
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    model.fit(data, epochs=40, verbose=0)
    model.predict(data, verbose=0)["answer"]  # [[4]]
    ```

    Args:
        words: int, ids 1 to `words` are words, which can be answers.
        vocabulary_size: int ≥ `words`, the largest feature id; ids above `words` are n-grams.
        embedding_dim: int, the size D of the embedding.
        hops: int, the number of supporting facts without `adaptive`.
        adaptive: bool, whether to use AM.
        max_hops: int, the largest number of supporting facts with `adaptive`.
        max_answer_words: int, the largest number of words of an answer with `adaptive`; 1 without.
        nonlinear: bool, whether to use NL.
        features: list of the feature ids that have a row; all other ids are ignored, and are never
            answers. `None`: all. A small table trains faster: pass the features of the data.
        memory_spaces: int, the number of tables for supporting facts, see `Matching`; 1 is the
            papers' `D = 3|W|`.
        margin: float, γ > 0 of both losses.
        fact_dropout: float in [0, 1), dropout rate of the summed embedding of question and facts
            in the search for the next fact.
        answer_dropout: the same in the search for the answer.

    Call arguments:
        inputs: a dict of integer tensors, B batch, S ≥ 1 sentences, F features of a sentence, Q of
            the question, padded per batch:
            `"story"` `(B, S, F)`: feature ids, 0 is padding, and so is a sentence of zeros;
            `"question"` `(B, Q)`: feature ids, padded with 0;
            `"write_time"` `(B, S)`: from 0, larger is newer;
            and for training and evaluation
            `"supporting_facts"` `(B, H)`: sentences from 0 in the order of the reasoning, padded
            with -1;
            `"answer"` `(B, A)`: word ids, padded with 0.

    Output: a dict:
        `"answer"`: int32 `(B, max_answer_words)` (`(B, 1)` without `adaptive`), padded with 0;
        `"probability"`: float32 `(B,)`, the answer's by a softmax over the words' scores;
        `"supporting_facts"`: int32 `(B, H)` with H = `max_hops` (`hops` without `adaptive`),
        padded with -1;
        `"attention"`: float32 `(B, H, S)`, see `SupportingFacts`.
    """

    def __init__(
        self,
        words: int,
        vocabulary_size: int,
        embedding_dim: int = 100,
        hops: int = 2,
        adaptive: bool = False,
        max_hops: int = 10,
        max_answer_words: int = 5,
        nonlinear: bool = False,
        features: Sequence[int] | None = None,
        memory_spaces: int = 2,
        margin: float = 0.5,
        fact_dropout: float = 0.3,
        answer_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = {
            "words": words,
            "vocabulary_size": vocabulary_size,
            "embedding_dim": embedding_dim,
            "hops": hops,
            "adaptive": adaptive,
            "max_hops": max_hops,
            "max_answer_words": max_answer_words,
            "nonlinear": nonlinear,
            "features": None if features is None else [int(feature) for feature in features],
            "memory_spaces": memory_spaces,
            "margin": margin,
            "fact_dropout": fact_dropout,
            "answer_dropout": answer_dropout,
        }
        common = {
            "vocabulary_size": vocabulary_size,
            "embedding_dim": embedding_dim,
            "features": features,
            "adaptive": adaptive,
            "nonlinear": nonlinear,
            "memory_spaces": memory_spaces,
            "dtype": self.dtype_policy,
        }
        self.output_component = SupportingFacts(
            hops=max_hops if adaptive else hops,
            dropout=fact_dropout,
            name="supporting_facts",
            **common,
        )
        self.response_component = Response(
            words=words,
            max_words=max_answer_words if adaptive else 1,
            dropout=answer_dropout,
            name="response",
            **common,
        )
        self.fact_loss = PairwiseMarginRankingLoss(margin, reduction=None)
        self.answer_loss = MarginRankingLoss(margin, reduction=None)
        self.answer_accuracy = keras.metrics.Mean(name="answer_accuracy")
        self.fact_accuracy = keras.metrics.Mean(name="fact_accuracy")

    def build(self, input_shape: Any = None) -> None:
        """Creates the weights."""
        self.output_component.build()
        self.response_component.build()

    def rank(self, inputs: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """Scores the correct facts and words, given the earlier ones, against the wrong ones.

        Args:
            inputs: as for the call, with `"supporting_facts"` and `"answer"`.
            training: bool, whether to apply dropout.

        Returns:
            A dict of the inputs of the losses: `"fact_targets"`, `"fact_pairs"`,
            `"answer_targets"`, `"answer_scores"`; see `SupportingFacts.ranking` and
            `Response.ranking`.
        """
        needed = ("story", "question", "write_time", "supporting_facts", "answer")
        missing = [name for name in needed if name not in inputs]
        if missing:
            raise ValueError(
                f"Training and evaluation also need the inputs {', '.join(missing)}. "
                f"Received: {sorted(inputs)}"
            )
        fact_targets, pairs, facts = self.output_component.ranking(inputs, training)
        answer_targets, scores = self.response_component.ranking(
            {**inputs, "supporting_facts": facts}, training
        )
        return {
            "fact_targets": fact_targets,
            "fact_pairs": pairs,
            "answer_targets": answer_targets,
            "answer_scores": scores,
        }

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """Returns the answer and its facts, in training the inputs of the losses."""
        # `fit` learns from the correct facts, and does not need the model's answer.
        if training:
            return self.rank(inputs, training=True)
        missing = [name for name in ("story", "question", "write_time") if name not in inputs]
        if missing:
            raise ValueError(f"The inputs {missing} are missing. Received: {sorted(inputs)}")
        facts = self.output_component(
            {name: inputs[name] for name in ("story", "question", "write_time")}
        )
        answer = self.response_component(
            {
                "story": inputs["story"],
                "question": inputs["question"],
                "supporting_facts": facts["supporting_facts"],
            }
        )
        return {**answer, **facts}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Returns the mean over the batch of both ranking losses."""
        ranked = y_pred if y_pred and "fact_pairs" in y_pred else self.rank(x)
        loss = ops.sum(self.fact_loss(ranked["fact_targets"], ranked["fact_pairs"]), axis=1)
        loss = loss + ops.sum(
            self.answer_loss(ranked["answer_targets"], ranked["answer_scores"]), axis=1
        )
        if sample_weight is not None:
            loss = loss * ops.cast(sample_weight, loss.dtype)
        return ops.mean(loss)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Tensor | None = None
    ) -> dict[str, Any]:
        """Updates and returns the shares of correct answers and of correct facts."""
        if "fact_pairs" in y_pred:
            answers, facts = _ranked_right(y_pred)
        else:
            answers = _same(x["answer"], y_pred["answer"], 0)
            facts = _same(x["supporting_facts"], y_pred["supporting_facts"], -1)
        self.answer_accuracy.update_state(ops.cast(answers, "float32"), sample_weight)
        self.fact_accuracy.update_state(ops.cast(facts, "float32"), sample_weight)
        return self.get_metrics_result()

    def compute_output_spec(
        self, inputs: dict[str, Tensor], training: bool = False
    ) -> dict[str, keras.KerasTensor]:
        """Returns symbols of the outputs."""
        facts = self.output_component.compute_output_spec(inputs)
        answer = self.response_component.compute_output_spec(inputs)
        return {**answer, **facts}

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {**super().get_config(), **self.config}


def _ranked_right(ranked):
    """Returns whether all correct words, and all correct facts, of each question rank first."""
    targets = ranked["answer_targets"]
    best = ops.cast(ops.argmax(ranked["answer_scores"], axis=2), targets.dtype)
    answers = ops.all(ops.logical_or(targets < 0, best == targets), axis=1)
    targets, pairs = ranked["fact_targets"], ranked["fact_pairs"]
    itself = targets[:, :, None] == ops.arange(ops.shape(pairs)[2], dtype=targets.dtype)
    wins = ops.logical_and(pairs[..., 0] > 0, pairs[..., 1] <= 0)
    wins = ops.all(ops.logical_or(itself, wins), axis=2)
    return answers, ops.all(ops.logical_or(targets < 0, wins), axis=1)


def _same(target, prediction, padding):
    """Returns for each row whether two sequences of different padding are equal: `(B,)`."""
    target = ops.cast(target, prediction.dtype)
    length = prediction.shape[1]
    target = ops.concatenate([target, ops.full_like(prediction, padding)], axis=1)
    same = ops.all(ops.equal(target[:, :length], prediction), axis=1)
    return ops.logical_and(same, ops.all(target[:, length:] == padding, axis=1))
