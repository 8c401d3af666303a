"""Transformed bAbI examples to the tensors of a model, with `tf.data`.

Dimensions: B batch, S sentences of the longest story in the batch, F features of its longest
sentence, Q features of the longest question, H supporting facts, A answer words.
"""

from __future__ import annotations

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
    """Returns what a memory network takes: int32 tensors, with the targets among them."""
    names = ("story", "write_time", "question", "supporting_facts", "answer")
    return {name: tf.cast(parsed[name], tf.int32) for name in names}


def only_task(data: TransformedData, split: str, task: int | None) -> tf.data.Dataset:
    """Returns a split's serialized examples, those of one task if it is given."""
    serialized = data.serialized(split)
    if task is None:
        return serialized

    def keep(batch: tf.Tensor) -> tf.Tensor:
        feature = {"task": tf.io.FixedLenFeature([], tf.int64)}
        return tf.boolean_mask(batch, tf.io.parse_example(batch, feature)["task"] == task)

    return serialized.batch(512).map(keep).unbatch()


def batches(
    data: TransformedData,
    split: str,
    batch_size: int,
    task: int | None = None,
    shuffle_seed: int | None = None,
) -> tf.data.Dataset:
    """Returns batches of parsed examples, stories of similar length together.

    Args:
        data: transformed examples.
        split: string.
        batch_size: integer.
        task: integer, or `None` for all tasks.
        shuffle_seed: integer, or `None` to keep the order; each epoch has its own order.
    """

    def sentences(serialized: tf.Tensor) -> tf.Tensor:
        lengths = tf.io.parse_single_example(
            serialized, {"write_time": tf.io.RaggedFeature(tf.int64)}
        )
        return tf.size(lengths["write_time"])

    examples = only_task(data, split, task).map(lambda one: (one, sentences(one))).cache()
    if shuffle_seed is not None:
        examples = examples.shuffle(_SHUFFLE, seed=shuffle_seed)
    bucketed = examples.bucket_by_sequence_length(
        lambda one, length: length,
        bucket_boundaries=list(_BUCKETS),
        bucket_batch_sizes=[batch_size] * (len(_BUCKETS) + 1),
    )
    return bucketed.map(lambda batch, _: parse(batch)).prefetch(2)


def features_and_count(
    data: TransformedData, split: str, task: int | None
) -> tuple[list[int], int]:
    """Returns the sorted ids of the features in a split (in one of its tasks), and its size."""
    found = np.zeros(0, np.int64)
    count = 0
    names = ("story_features", "question", "answer")
    for batch in only_task(data, split, task).batch(512):
        parsed = tf.io.parse_example(batch, {name: tf.io.RaggedFeature(tf.int64) for name in names})
        values = [parsed[name].flat_values.numpy() for name in names]
        found = np.union1d(found, np.concatenate(values))
        count += len(batch)
    return [int(number) for number in found if number > 0], count


def tasks_of(data: TransformedData, split: str) -> list[int]:
    """Returns the sorted tasks that occur in a split."""
    feature = {"task": tf.io.FixedLenFeature([], tf.int64)}
    found: set[int] = set()
    for batch in data.serialized(split).batch(4096):
        found.update(tf.io.parse_example(batch, feature)["task"].numpy().tolist())
    return sorted(found)


def raw_and_transformed(
    data: TransformedData, split: str, batch_size: int
) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Yields batches of serialized raw and transformed examples that belong together.

    Both keep one order; raw examples that Transform dropped are passed over.
    """
    raw = iter(data.serialized(split, raw=True).as_numpy_iterator())
    feature = {"id": tf.io.FixedLenFeature([], tf.string)}
    for batch in data.serialized(split).batch(batch_size):
        wanted = tf.io.parse_example(batch, feature)["id"].numpy()
        matched = [_next_with(raw, identity) for identity in wanted]
        yield matched, batch.numpy().tolist()


def _next_with(raw: Iterator[bytes], identity: bytes) -> bytes:
    for serialized in raw:
        example = tf.train.Example.FromString(serialized)
        if example.features.feature["id"].bytes_list.value[0] == identity:
            return serialized
    raise ValueError(
        f"Raw and transformed examples must have one order. Received: no raw example {identity!r} "
        f"behind the one before it"
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
