"""Answers raw stories inside a TensorFlow graph: text to ids, the task's model, ids to text.

Dimensions: B batch, S sentences, F features of a sentence, Q features of the question, H supporting
facts at most, A answer words at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from ...serving import ServingModel, Signature
from ...transformed import TransformedData
from . import evaluation, parsing
from .text import features_tensor, split_sentences

LONGEST_NGRAM = 5
"""N-grams of this size and below are looked up; which ones count, the vocabulary says."""

REQUESTS = 64
"""Warm-up requests a signature, taken evenly from the evaluated split."""


def serving_model(
    models: Mapping[int, Any], router: Any | None, data: TransformedData
) -> ServingModel:
    """Returns the signatures with requests and the trained models' answers to them.

    Args:
        models: memory networks by task, or one for all tasks under 0.
        router: Keras model that gives a logit a task, or `None`.
        data: transformed and raw examples; the requests come from `test`, or else from `eval`.
    """
    answerer = StoryAnswerer(
        models,
        router,
        words=data.asset_path("words"),
        ngrams=data.asset_path("ngrams"),
        answers=data.asset_path("answers"),
    )
    raw, transformed = _requests(data)
    decoded = [parsing.decode_raw(one) for one in raw]
    tasks = np.array([one["task"][0] for one in decoded])
    routed = np.zeros_like(tasks)
    if router is not None:
        routed = evaluation.route(router, models, transformed)
    surfaces = ["", *data.asset("answers")]

    def references(of_tasks: np.ndarray) -> dict[str, np.ndarray]:
        found = evaluation.answers_of(models, transformed, of_tasks, surfaces)
        return {
            "answer": np.array([",".join(one["answer"]) for one in found]),
            "probability": np.array([one["probability"] for one in found], np.float32),
            "task": of_tasks.astype(np.int32) if router is not None else np.zeros_like(tasks),
        }

    parsed = parsing.model_inputs(parsing.parse(transformed))
    ids = {name: parsed[name].numpy() for name in ("story", "question")}
    by_task = references(tasks)
    as_ids = {name: by_task[name] for name in ("probability", "task")}
    text = tf.TensorSpec([None], tf.string)
    return ServingModel(
        signatures={
            "serving_default": Signature(
                answerer.answer_text,
                {"story": text, "question": text},
                {
                    "story": np.array(["\n".join(one["story"]) for one in decoded]),
                    "question": np.array([one["question"][0] for one in decoded]),
                },
                references(routed),
            ),
            "serving_examples": Signature(
                answerer.answer_examples,
                {"examples": text},
                {"examples": np.array(raw, object)},
                by_task,
            ),
            "serving_ids": Signature(
                answerer.answer_ids,
                {
                    "story": tf.TensorSpec([None, None, None], tf.int32),
                    "question": tf.TensorSpec([None, None], tf.int32),
                    "task": tf.TensorSpec([None], tf.int32),
                },
                {**ids, "task": tasks.astype(np.int32)},
                as_ids,
            ),
        },
        track=[answerer],
    )


def _requests(data: TransformedData) -> tuple[list[bytes], list[bytes]]:
    """Returns some raw and transformed examples, evenly over the split."""
    split = "test" if data.splits.get("test") else "eval" if data.splits.get("eval") else "train"
    stride = max(1, data.splits[split] // REQUESTS)
    raw: list[bytes] = []
    transformed: list[bytes] = []
    number = 0
    for raw_batch, transformed_batch in parsing.raw_and_transformed(data, split, 512):
        for pair in zip(raw_batch, transformed_batch, strict=True):
            if number % stride == 0 and len(raw) < REQUESTS:
                raw.append(pair[0])
                transformed.append(pair[1])
            number += 1
        if len(raw) == REQUESTS:
            break
    return raw, transformed


class StoryAnswerer(tf.Module):
    """Answers questions with trained models.

    Args:
        models: Keras models by task (1 to 20), which map `story`, `question` and `write_time` to
            `answer` `(B, A)`, `probability` `(B,)` and `supporting_facts` `(B, H)`; with the key 0
            one model for all tasks.
        router: Keras model from `story` and `question` to one logit a task; `None` with one model
            for all tasks.
        words: path of the vocabulary's words, one a line; their ids are the line numbers from 1.
        ngrams: path of its n-grams, whose ids follow.
        answers: path of the words as answers write them, aligned with `words`.
    """

    def __init__(
        self,
        models: Mapping[int, Any],
        router: Any | None,
        words: str,
        ngrams: str,
        answers: str,
    ):
        super().__init__()
        self.models = {str(task): model for task, model in models.items()}
        self.router = router
        self.word_ids = LineNumbers(words)
        self.ngram_ids = LineNumbers(ngrams)
        self.word_count = int(self.word_ids.size().numpy())
        self.answers = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                answers,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
            ),
            "",
        )

    def answer_text(self, story: tf.Tensor, question: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers plain stories and questions.

        Args:
            story: string tensor `(B,)`; sentences end with a full stop or a line.
            question: string tensor `(B,)`.

        Returns:
            A dict: `answer` `(B,)`, words joined with `,`; `probability` `(B,)` float32;
            `supporting_sentences` `(B, H)` in the order in which they were found, `""` behind the
            last; `supporting_facts` `(B, H)` int32, their 0-based numbers, -1 behind the last;
            `task` `(B,)` int32, 0 where one model serves all tasks.
        """
        tasks = tf.zeros_like(question, tf.int64)
        return self.answer_sentences(split_sentences(story), question, tasks)

    def answer_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers serialized raw `tf.train.Example`s `(B,)`; a `task` of 0 is found out."""
        parsed = tf.io.parse_example(
            examples,
            {
                "story": tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64),
                "question": tf.io.FixedLenFeature([], tf.string),
                "task": tf.io.FixedLenFeature([], tf.int64, default_value=0),
            },
        )
        return self.answer_sentences(parsed["story"], parsed["question"], parsed["task"])

    def answer_sentences(
        self, story: tf.RaggedTensor, question: tf.Tensor, task: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Answers stories that are split into sentences `(B, None)`."""
        ids = tf.RaggedTensor.from_row_splits(self._ids(story.flat_values), story.row_splits)
        found = self.answer_ids(
            ids.to_tensor(), self._ids(question).to_tensor(), task, ids.row_lengths()
        )
        sentences = story.to_tensor("")
        facts = found["supporting_facts"]
        padded = tf.pad(sentences, [[0, 0], [0, 1]], constant_values="")
        at = tf.where(facts >= 0, facts, tf.shape(sentences)[1])
        words = self.answers.lookup(tf.cast(found["answer"], tf.int64) - 1)
        joined = tf.strings.reduce_join(words, axis=1, separator=",")
        return {
            "answer": tf.strings.regex_replace(joined, ",+$", ""),
            "probability": found["probability"],
            "supporting_sentences": tf.gather(padded, at, batch_dims=1),
            "supporting_facts": facts,
            "task": found["task"],
        }

    def answer_ids(
        self,
        story: tf.Tensor,
        question: tf.Tensor,
        task: tf.Tensor,
        story_length: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Answers vectorised stories.

        Args:
            story: integers `(B, S, F)`, 0 is padding.
            question: integers `(B, Q)`.
            task: integers `(B,)`; 0 is found out.
            story_length: integers `(B,)`, or `None`: all sentences count.

        Returns:
            A dict: `answer` `(B, A)` int32 word ids, 0 behind the last; `probability`,
            `supporting_facts` and `task` as in `answer_text`.
        """
        story = self._at_least_one(tf.cast(story, tf.int32))
        question = tf.cast(question, tf.int32)
        if story_length is None:
            story_length = tf.fill([tf.shape(story)[0]], tf.shape(story)[1])
        steps = tf.range(1, tf.shape(story)[1] + 1)[None, :]
        inside = steps <= tf.cast(story_length, tf.int32)[:, None]
        inputs = {
            "story": story,
            "question": question,
            "write_time": tf.where(inside, steps, 0),
        }
        if self.router is None:
            found = self._answer_of(self.models["0"], inputs)
            return found | {"task": tf.zeros_like(task, tf.int32)}
        routed = 1 + tf.argmax(self._routing(inputs), axis=1, output_type=tf.int32)
        known = tf.cast(task, tf.int32)
        task = tf.where(known > 0, known, routed)
        return self._answer_by_task(inputs, task) | {"task": task}

    def _routing(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the router's logits, minus infinity for tasks without a model."""
        logits = self.router(inputs, training=False)
        missing = [
            0.0 if str(task) in self.models else float("-inf")
            for task in range(1, logits.shape[-1] + 1)
        ]
        return tf.cast(logits, tf.float32) + tf.constant(missing)

    def _answer_by_task(
        self, inputs: dict[str, tf.Tensor], task: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Runs each task's model on its own rows only, and not at all where it has none."""
        rows = tf.shape(task)[0]
        widths = [self._widths(model) for model in self.models.values()]
        answer = tf.zeros([rows, max(width[0] for width in widths)], tf.int32)
        facts = tf.fill([rows, max(width[1] for width in widths)], -1)
        probability = tf.zeros([rows], tf.float32)
        for name, model in self.models.items():
            at = tf.cast(tf.where(task == int(name)), tf.int32)

            def answered(model=model, at=at, held=(answer, facts, probability)):
                some = {key: tf.gather(value, at[:, 0]) for key, value in inputs.items()}
                found = self._answer_of(model, some)
                columns = [held[0].shape[1], held[1].shape[1]]
                return (
                    tf.tensor_scatter_nd_update(held[0], at, _wide(found["answer"], columns[0], 0)),
                    tf.tensor_scatter_nd_update(
                        held[1], at, _wide(found["supporting_facts"], columns[1], -1)
                    ),
                    tf.tensor_scatter_nd_update(held[2], at, found["probability"]),
                )

            held = (answer, facts, probability)
            answer, facts, probability = tf.cond(
                tf.size(at) > 0, answered, lambda held=held: tuple(map(tf.identity, held))
            )
        return {"answer": answer, "supporting_facts": facts, "probability": probability}

    def _widths(self, model: Any) -> tuple[int, int]:
        """Returns a model's most answer words and supporting facts."""
        one = {
            "story": tf.zeros([1, 1, 1], tf.int32),
            "question": tf.zeros([1, 1], tf.int32),
            "write_time": tf.zeros([1, 1], tf.int32),
        }
        found = model(one, training=False)
        return found["answer"].shape[1], found["supporting_facts"].shape[1]

    def _answer_of(self, model: Any, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        found = model(inputs, training=False)
        return {
            "answer": tf.cast(found["answer"], tf.int32),
            "supporting_facts": tf.cast(found["supporting_facts"], tf.int32),
            "probability": tf.cast(found["probability"], tf.float32),
        }

    def _at_least_one(self, story: tf.Tensor) -> tf.Tensor:
        """Pads an empty story to one empty sentence: a model reduces over sentences."""
        shape = tf.shape(story)
        missing = tf.maximum(1 - shape[1:], 0)
        return tf.pad(story, [[0, 0], [0, missing[0]], [0, missing[1]]])

    def _ids(self, sentences: tf.Tensor) -> tf.RaggedTensor:
        """Returns the known features' ids of each sentence, as `Vectorize` does."""
        features = features_tensor(sentences, LONGEST_NGRAM)
        words = self.word_ids.lookup(features.flat_values)
        ngrams = self.ngram_ids.lookup(features.flat_values)
        flat = tf.where(words > 0, words, tf.where(ngrams > 0, ngrams + self.word_count, 0))
        ids = features.with_flat_values(flat)
        return tf.ragged.boolean_mask(ids, ids > 0)


def _wide(values: tf.Tensor, columns: int, fill: int) -> tf.Tensor:
    return tf.pad(values, [[0, 0], [0, columns - tf.shape(values)[1]]], constant_values=fill)


class LineNumbers(tf.lookup.StaticHashTable):
    """A table from a file's lines to their numbers from 1; 0 is unknown."""

    def __init__(self, path: str):
        super().__init__(
            tf.lookup.TextFileInitializer(
                path,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            -1,
        )

    def lookup(self, keys, name=None):
        """Returns the line numbers."""
        return super().lookup(keys, name) + 1
