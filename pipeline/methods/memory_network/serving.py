"""Answers raw stories inside a TensorFlow graph: text to ids, the task's model, ids to text.

Dimensions: B batch, S sentences, F features of a sentence, Q features of the question, H supporting
facts at most, A answer words at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from ....components.data.babi.stories import BabiStories, decode_raw, model_inputs, parse
from ....components.data.babi.text import features_tensor, split_sentences
from ....components.exporter.requests import evenly, request_split
from ....components.exporter.serving_model import Input, ServingModel, Signature
from ....components.io.vocabulary_file import line_numbers, numbered_lines
from .answering import answer, answering_models, compile_models, compile_router, find_tasks
from .networks import ROUTER

LONGEST_NGRAM = 5
"""N-grams of this size and below are looked up; which ones count, the vocabulary says."""

REQUESTS = 64
"""Warm-up requests a signature, taken evenly from the evaluated split."""


def serve(models: Mapping[str, Any], data: BabiStories, parameters: Any = None) -> ServingModel:
    """Returns signatures for plain stories, for serialized examples and for ids."""
    return serving_model(answering_models(models), models.get(ROUTER), data)


def serving_model(models: Mapping[int, Any], router: Any | None, data: BabiStories) -> ServingModel:
    """Returns the signatures with requests and the trained models' answers to them.

    Args:
        models: memory networks by task, or one for all tasks under 0.
        router: Keras model that gives a logit a task, or `None`.
        data: transformed and raw examples; the requests come from `test`, or else from `eval`.
    """
    compiled = compile_models(models)
    route = compile_router(router) if router is not None else None
    answerer = StoryAnswerer(
        compiled,
        route,
        words=data.asset_path("words"),
        ngrams=data.asset_path("ngrams"),
        answers=data.asset_path("answers"),
    )
    split = request_split(data)
    batches = data.raw_and_transformed(split, 512)
    examples = (example for batch in batches for example in zip(*batch, strict=True))
    raw, transformed = zip(*evenly(examples, data.splits[split], REQUESTS), strict=True)
    stories = [decode_raw(example) for example in raw]
    tasks = np.array([story["task"][0] for story in stories])
    routed = np.zeros_like(tasks)
    if router is not None:
        routed = find_tasks(route, models, transformed)
    surfaces = ["", *data.asset("answers")]

    def references(of_tasks: np.ndarray) -> dict[str, np.ndarray]:
        rows = answer(compiled, np.array(transformed), of_tasks, surfaces)
        return {
            "answer": np.array([",".join(row["answer"]) for row in rows]),
            "probability": np.array([row["probability"] for row in rows], np.float32),
            "task": of_tasks.astype(np.int32) if router is not None else np.zeros_like(tasks),
        }

    parsed = model_inputs(parse(transformed))
    ids = {name: parsed[name].numpy() for name in ("story", "question")}
    by_task = references(tasks)
    text = tf.TensorSpec([None], tf.string)
    help_of_story = "the story: sentences that end with a full stop or a line"
    return ServingModel(
        signatures={
            "serving_default": Signature(
                answerer.answer_text,
                {"story": Input(text, help_of_story), "question": Input(text, "the question")},
                {
                    "story": np.array(["\n".join(story["story"]) for story in stories]),
                    "question": np.array([story["question"][0] for story in stories]),
                },
                references(routed),
            ),
            "serving_examples": Signature(
                answerer.answer_examples,
                {"examples": Input(text)},
                {"examples": np.array(raw, object)},
                by_task,
            ),
            "serving_ids": Signature(
                answerer.answer_ids,
                {
                    "story": Input(tf.TensorSpec([None, None, None], tf.int32)),
                    "question": Input(tf.TensorSpec([None, None], tf.int32)),
                    "task": Input(tf.TensorSpec([None], tf.int32)),
                },
                {**ids, "task": tasks.astype(np.int32)},
                {name: by_task[name] for name in ("probability", "task")},
            ),
        },
        track=[answerer, *models.values(), *([router] if router is not None else [])],
    )


class StoryAnswerer(tf.Module):
    """Answers questions with trained models.

    Args:
        models: a `tf.function` for each task (1 to 20), from `story`, `question` and `write_time`
            to `answer` `(B, A)`, `probability` `(B,)` and `supporting_facts` `(B, H)`; with the
            key 0 one for all tasks.
        router: a `tf.function` from `story` and `question` to one logit a task; `None` with one
            model for all tasks.
        words: path of the vocabulary's words, one a line; their ids are the line numbers from 1.
        ngrams: path of its n-grams, whose ids follow.
        answers: path of the words as answers write them, aligned with `words`.
    """

    def __init__(
        self,
        models: Mapping[int, Any],
        router: Any,
        words: str,
        ngrams: str,
        answers: str,
    ):
        super().__init__()
        self.models = {str(task): model for task, model in models.items()}
        self.router = router
        batch = tf.TensorSpec([None], tf.int32)
        self._answer = tf.function(
            self._answer_once,
            input_signature=[
                tf.TensorSpec([None, None, None], tf.int32),
                tf.TensorSpec([None, None], tf.int32),
                batch,
                batch,
            ],
        )
        self.words = line_numbers(words, -1)
        self.ngrams = line_numbers(ngrams, -1)
        self.first_ngram = 1 + int(self.words.size().numpy())
        self.answers = numbered_lines(answers)

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
        tasks = tf.zeros_like(question, tf.int32)
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
        task = tf.cast(parsed["task"], tf.int32)
        return self.answer_sentences(parsed["story"], parsed["question"], task)

    def answer_sentences(
        self, story: tf.RaggedTensor, question: tf.Tensor, task: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Answers stories that are split into sentences `(B, None)`."""
        ids = tf.RaggedTensor.from_row_splits(self._ids(story.flat_values), story.row_splits)
        answers = self.answer_ids(
            tf.cast(ids.to_tensor(), tf.int32),
            tf.cast(self._ids(question).to_tensor(), tf.int32),
            task,
            tf.cast(ids.row_lengths(), tf.int32),
        )
        sentences = story.to_tensor("")
        facts = answers["supporting_facts"]
        padded = tf.pad(sentences, [[0, 0], [0, 1]], constant_values="")
        at = tf.where(facts >= 0, facts, tf.shape(sentences)[1])
        words = self.answers.lookup(tf.cast(answers["answer"], tf.int64) - 1)
        joined = tf.strings.reduce_join(words, axis=1, separator=",")
        return {
            "answer": tf.strings.regex_replace(joined, ",+$", ""),
            "probability": answers["probability"],
            "supporting_sentences": tf.gather(padded, at, batch_dims=1),
            "supporting_facts": facts,
            "task": answers["task"],
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
            story: int32 tensor `(B, S, F)`, 0 is padding.
            question: int32 tensor `(B, Q)`.
            task: int32 tensor `(B,)`; 0 is found out.
            story_length: int32 tensor `(B,)`, or `None`: all sentences count.

        Returns:
            A dict: `answer` `(B, A)` int32 word ids, 0 behind the last; `probability`,
            `supporting_facts` and `task` as in `answer_text`.
        """
        if story_length is None:
            story_length = tf.fill([tf.shape(story)[0]], tf.shape(story)[1])
        return self._answer(story, question, task, story_length)

    def _answer_once(self, story, question, task, story_length):
        """Traced once: all signatures share this part, with all the models in it."""
        story = self._at_least_one(story)
        steps = tf.range(1, tf.shape(story)[1] + 1)[None, :]
        inputs = {
            "story": story,
            "question": question,
            "write_time": tf.where(steps <= story_length[:, None], steps, 0),
        }
        if "0" in self.models:
            return _cast(self.models["0"](inputs)) | {"task": tf.zeros_like(task)}
        routed = 1 + tf.argmax(self._routing(inputs), axis=1, output_type=tf.int32)
        task = tf.where(task > 0, task, routed)
        return self._answer_by_task(inputs, task) | {"task": task}

    def _routing(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the router's logits, minus infinity for tasks without a model."""
        logits = self.router({name: inputs[name] for name in ("story", "question")})
        missing = [
            0.0 if str(task) in self.models else float("-inf")
            for task in range(1, logits.shape[-1] + 1)
        ]
        return tf.cast(logits, tf.float32) + tf.constant(missing)

    def _answer_by_task(
        self, inputs: dict[str, tf.Tensor], task: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Runs each task's model on its own rows only, and not at all where it has none."""
        shapes = [
            model.get_concrete_function().structured_outputs for model in self.models.values()
        ]
        rows = tf.shape(task)[0]
        columns = {
            name: max(shape[name].shape[1] for shape in shapes)
            for name in ("answer", "supporting_facts")
        }
        outputs = {
            "answer": tf.zeros([rows, columns["answer"]], tf.int32),
            "supporting_facts": tf.fill([rows, columns["supporting_facts"]], -1),
            "probability": tf.zeros([rows], tf.float32),
        }
        for name, model in self.models.items():
            at = tf.cast(tf.where(task == int(name)), tf.int32)

            def answered(model=model, at=at, outputs=outputs):
                selected = {key: tf.gather(value, at[:, 0]) for key, value in inputs.items()}
                answers = _cast(model(selected))
                for key, fill in (("answer", 0), ("supporting_facts", -1)):
                    missing = columns[key] - tf.shape(answers[key])[1]
                    answers[key] = tf.pad(
                        answers[key], [[0, 0], [0, missing]], constant_values=fill
                    )
                return {
                    key: tf.tensor_scatter_nd_update(value, at, answers[key])
                    for key, value in outputs.items()
                }

            outputs = tf.cond(
                tf.size(at) > 0,
                answered,
                lambda outputs=outputs: tf.nest.map_structure(tf.identity, outputs),
            )
        return outputs

    def _at_least_one(self, story: tf.Tensor) -> tf.Tensor:
        """Pads an empty story to one empty sentence: a model reduces over sentences."""
        shape = tf.shape(story)
        missing = tf.maximum(1 - shape[1:], 0)
        return tf.pad(story, [[0, 0], [0, missing[0]], [0, missing[1]]])

    def _ids(self, sentences: tf.Tensor) -> tf.RaggedTensor:
        """Returns the known features' ids of each sentence, as `Vectorize` does."""
        features = features_tensor(sentences, LONGEST_NGRAM)
        words = self.words.lookup(features.flat_values)
        ngrams = self.ngrams.lookup(features.flat_values)
        flat = tf.where(words >= 0, words + 1, tf.where(ngrams >= 0, ngrams + self.first_ngram, 0))
        ids = features.with_flat_values(flat)
        return tf.ragged.boolean_mask(ids, ids > 0)


def _cast(outputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns a model's outputs in the types of the answer, whatever its policy."""
    return {
        "answer": tf.cast(outputs["answer"], tf.int32),
        "supporting_facts": tf.cast(outputs["supporting_facts"], tf.int32),
        "probability": tf.cast(outputs["probability"], tf.float32),
    }
