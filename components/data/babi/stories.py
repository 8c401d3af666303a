"""bAbI stories as stages hand them to methods: tasks, features and batches, with `tf.data`.

Dimensions: B batch, S sentences of the longest story in the batch, F features of its longest
sentence, Q features of the longest question, H supporting facts, A answer words.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from ...base.transformed_data import TransformedData

_BUCKETS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Stories of similar length share a batch: padding to the longest would waste most of the work."""

_SHUFFLE = 20_000


def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parses transformed examples.

    Args:
        serialized: string tensor `(B,)`.

    Returns:
        A dict of int64 tensors padded with 0 (`supporting_facts` with -1): `story` `(B, S, F)`,
        `write_time` `(B, S)`, `question` `(B, Q)`, `supporting_facts` `(B, H)`, `answer` `(B, A)`,
        and `task` `(B,)`; `id` `(B,)` is a string tensor.
    """
    ragged = tf.io.RaggedFeature
    parsed = tf.io.parse_example(
        serialized,
        {
            "id": tf.io.FixedLenFeature([], tf.string),
            "task": tf.io.FixedLenFeature([], tf.int64),
            "story": ragged(
                tf.int64,
                value_key="story_features",
                partitions=[ragged.RowLengths("sentence_lengths")],
            ),
            "write_time": ragged(tf.int64),
            "question": ragged(tf.int64),
            "supporting_facts": ragged(tf.int64),
            "answer": ragged(tf.int64),
        },
    )
    padding = {"supporting_facts": -1}
    return {
        name: value.to_tensor(padding.get(name, 0)) if isinstance(value, tf.RaggedTensor) else value
        for name, value in parsed.items()
    }


def model_inputs(parsed: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns the inputs of a memory network: int32 tensors, including the targets."""
    names = ("story", "write_time", "question", "supporting_facts", "answer")
    return {name: tf.cast(parsed[name], tf.int32) for name in names}


class BabiStories(TransformedData):
    """Stories with questions, of one or several tasks, in splits.

    ```python
    data.tasks("train"), data.questions("train", task=1)  # ([1, 4], 1000)
    model.fit(data.batches("train", 32, task=1, seed=0).map(model_inputs))
    ```
    """

    @functools.cached_property
    def vocabulary_sizes(self) -> tuple[int, int]:
        """Returns the numbers of words and of n-grams in the vocabulary."""
        return len(self.asset("words")), len(self.asset("ngrams"))

    def tasks(self, split: str) -> list[int]:
        """Returns the sorted tasks that occur in a split."""
        return sorted(self._features(split))

    def questions(self, split: str, task: int | None = None) -> int:
        """Returns the number of questions in a split, or of one of its tasks."""
        counted = self._features(split)
        return sum(count for number, (_, count) in counted.items() if task in (None, number))

    def features(self, split: str, task: int | None = None) -> list[int]:
        """Returns the sorted ids of the features that occur in a split, or in one of its tasks."""
        by_task = self._features(split)
        ids = [known for number, (known, _) in by_task.items() if task in (None, number)]
        return sorted(set().union(*ids) - {0})

    def batches(
        self,
        split: str,
        batch_size: int,
        task: int | None = None,
        seed: int | None = None,
    ) -> tf.data.Dataset:
        """Returns batches of parsed examples, stories of similar length together.

        Args:
            split: string.
            batch_size: integer.
            task: integer, or `None` for all tasks.
            seed: integer, or `None` to keep the order; each epoch has its own order.
        """

        def sentences(serialized: tf.Tensor) -> tf.Tensor:
            lengths = tf.io.parse_single_example(
                serialized, {"write_time": tf.io.RaggedFeature(tf.int64)}
            )
            return tf.size(lengths["write_time"])

        serialized = self._of_task(split, task)
        examples = serialized.map(lambda example: (example, sentences(example))).cache()
        if seed is not None:
            examples = examples.shuffle(_SHUFFLE, seed=seed)
        bucketed = examples.bucket_by_sequence_length(
            lambda example, length: length,
            bucket_boundaries=list(_BUCKETS),
            bucket_batch_sizes=[batch_size] * (len(_BUCKETS) + 1),
        )
        return bucketed.map(lambda batch, _: parse(batch)).prefetch(2)

    def raw_and_transformed(
        self, split: str, batch_size: int
    ) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Yields batches of serialized raw and transformed examples that belong together.

        Both have the same order; raw examples that Transform dropped are skipped.
        """
        raw = iter(self.serialized(split, raw=True).as_numpy_iterator())
        feature = {"id": tf.io.FixedLenFeature([], tf.string)}
        for batch in self.serialized(split).batch(batch_size):
            ids = tf.io.parse_example(batch, feature)["id"].numpy()
            yield [_next_with(raw, identity) for identity in ids], batch.numpy().tolist()

    def _of_task(self, split: str, task: int | None) -> tf.data.Dataset:
        """Returns a split's serialized examples, or those of one task."""
        serialized = self.serialized(split)
        if task is None:
            return serialized

        def keep(batch: tf.Tensor) -> tf.Tensor:
            feature = {"task": tf.io.FixedLenFeature([], tf.int64)}
            return tf.boolean_mask(batch, tf.io.parse_example(batch, feature)["task"] == task)

        return serialized.batch(512).map(keep).unbatch()

    def _features(self, split: str) -> dict[int, tuple[set[int], int]]:
        """Returns by task the ids of its features and the number of its questions.

        A split is read once.
        """
        if split not in self._read:
            by_task: dict[int, tuple[set[int], int]] = {}
            ragged = tf.io.RaggedFeature(tf.int64)
            names = ("story_features", "question", "answer")
            specification = dict.fromkeys(names, ragged)
            specification["task"] = tf.io.FixedLenFeature([], tf.int64)
            if self.count(split):
                for batch in self.serialized(split).batch(512):
                    parsed = tf.io.parse_example(batch, specification)
                    tasks = parsed["task"].numpy()
                    for task in np.unique(tasks).tolist():
                        rows = tasks == task
                        ids, count = by_task.get(task, (set(), 0))
                        for name in names:
                            values = tf.ragged.boolean_mask(parsed[name], rows).flat_values
                            ids = ids.union(np.unique(values.numpy()).tolist())
                        by_task[task] = ids, count + int(rows.sum())
            self._read[split] = by_task
        return self._read[split]

    @functools.cached_property
    def _read(self) -> dict[str, dict[int, tuple[set[int], int]]]:
        return {}


def _next_with(raw: Iterator[bytes], identity: bytes) -> bytes:
    for serialized in raw:
        example = tf.train.Example.FromString(serialized)
        if example.features.feature["id"].bytes_list.value[0] == identity:
            return serialized
    raise ValueError(
        f"Raw and transformed examples must have the same order. Received: no raw example "
        f"{identity!r} after the previous one"
    )


def decode_raw(serialized: bytes) -> dict[str, Sequence]:
    """Returns a raw example's features, texts as `str`."""
    example = tf.train.Example.FromString(serialized)
    decoded: dict[str, Sequence] = {}
    for name, feature in example.features.feature.items():
        if feature.WhichOneof("kind") == "bytes_list":
            decoded[name] = [value.decode() for value in feature.bytes_list.value]
        else:
            decoded[name] = list(feature.int64_list.value)
    return decoded
