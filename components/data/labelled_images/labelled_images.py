"""Labelled images as stages hand them to methods: shape, classes and batches, with `tf.data`.

Dimensions: N images of a split, B batch, H height, W width, C channels.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from ...base.errors import BadDataError
from ...base.transformed_data import TransformedData
from ..images.pixels import to_floats

MOST_IN_MEMORY = 512 * 2**20
"""A split of more bytes is read from its files in each pass."""

_SHUFFLED_BYTES = 64 * 2**20
_PARSED_AT_ONCE = 1024


class LabelledImages(TransformedData):
    """Labelled images of one shape, in splits.

    ```python
    data.image_shape, data.classes, data.count("train")  # ((28, 28, 1), ["0", …, "9"], 60000)
    model.fit(data.batches("train", 60, seed=1))
    ```
    """

    @functools.cached_property
    def image_shape(self) -> tuple[int, int, int]:
        """Returns height, width and channels of the images."""
        height, width, channels = (int(line) for line in self.asset("image_shape"))
        return height, width, channels

    @functools.cached_property
    def classes(self) -> list[str]:
        """Returns the names of the classes; the label of an image is the index of its class.

        Raises:
            BadDataError: there is one class only.
        """
        names = self.asset("classes")
        if len(names) < 2:
            raise BadDataError(
                "The training images must be of at least two classes; in a folder each class is a "
                f"folder of its own. Received: {', '.join(names)}"
            )
        return names

    def arrays(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Reads a split into memory.

        Returns:
            Images, uint8 `(N, H, W, C)`, and labels, int32 `(N,)`, in file order.
        """
        size = self.count(split)
        images = np.zeros((size, *self.image_shape), np.uint8)
        labels = np.zeros(size, np.int32)
        read = 0
        for block, their_labels, _ in self.parsed(split, _PARSED_AT_ONCE):
            images[read : read + len(block)] = block
            labels[read : read + len(block)] = their_labels
            read += len(block)
        return images, labels

    def parsed(
        self, split: str, batch_size: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yields uint8 images `(B, H, W, C)`, int32 labels and ids `(B,)`, in file order."""
        shape = self.image_shape
        for batch in self.serialized(split).batch(batch_size):
            images, labels, ids = parse(batch, shape)
            yield images.numpy(), labels.numpy(), ids.numpy()

    def batches(
        self,
        split: str,
        batch_size: int,
        seed: int | None = None,
        repeat: bool = False,
        drop_remainder: bool = False,
    ) -> tf.data.Dataset:
        """Returns batches of a split.

        The split is held in memory as uint8, up to `MOST_IN_MEMORY` bytes, and a batch is gathered
        from it, in an order that is drawn uniformly from all orders. A larger split is read from
        its files in each pass and shuffled through a buffer of 64 MiB of images, which mixes only
        what lies near in the (hashed) order of the files.

        Args:
            split: string.
            batch_size: integer, B.
            seed: integer. Each pass over the data, and each iteration over the returned dataset,
                has its own order, which depends on the seed and the number of the pass only. `None`
                keeps the order of the files.
            repeat: boolean. Whether the passes repeat without end, for a `fit` with
                `steps_per_epoch`. A batch may then span the end of one pass and the beginning of
                the next.
            drop_remainder: boolean. Whether to drop a last batch of fewer than B images.

        Returns:
            A `tf.data.Dataset` of float32 images `(B, H, W, C)` in [0, 1] and int32 labels `(B,)`.

        Raises:
            ValueError: the split has no images.
        """
        shape = self.image_shape
        size = self.count(split)
        if not size:
            raise ValueError(
                "A split must have images to make batches of. "
                f"Received: {split!r}, of {self.splits}"
            )
        if size * math.prod(shape) <= MOST_IN_MEMORY:
            dataset = self._gathered(split, batch_size, seed, repeat, drop_remainder)
        else:
            dataset = self.serialized(split)
            if seed is not None:
                buffered = max(_SHUFFLED_BYTES // math.prod(shape), batch_size)
                dataset = dataset.shuffle(min(buffered, size), seed=seed)
            if repeat:
                dataset = dataset.repeat()
            dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)
            dataset = dataset.map(lambda batch: _model_inputs(*parse(batch, shape)[:2]))
        if not repeat:
            # Where the number is unknown Keras adds a batch of loss 0 to the mean of an epoch.
            number = size // batch_size if drop_remainder else -(-size // batch_size)
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(number))
        return dataset.prefetch(2)

    def _gathered(
        self,
        split: str,
        batch_size: int,
        seed: int | None,
        repeat: bool,
        drop_remainder: bool,
    ) -> tf.data.Dataset:
        with tf.device("CPU:0"):
            images, labels = (tf.constant(array) for array in self.arrays(split))
        # Images are passed by reference: what a function captures eagerly is not copied into its
        # graph.
        return _order(len(images), batch_size, seed, repeat, drop_remainder).map(
            lambda places: _model_inputs(tf.gather(images, places), tf.gather(labels, places))
        )


def parse(
    serialized: tf.Tensor, shape: tuple[int, int, int]
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Parses transformed examples.

    Args:
        serialized: string tensor `(B,)`.
        shape: H, W and C.

    Returns:
        uint8 images `(B, H, W, C)`, int32 labels `(B,)` and string ids `(B,)`.
    """
    features = tf.io.parse_example(
        serialized,
        {
            "pixels": tf.io.FixedLenFeature([], tf.string),
            "label": tf.io.FixedLenFeature([], tf.int64),
            "id": tf.io.FixedLenFeature([], tf.string),
        },
    )
    flat = tf.io.decode_raw(features["pixels"], tf.uint8)
    images = tf.reshape(flat, [-1, *shape])
    return images, tf.cast(features["label"], tf.int32), features["id"]


def _order(
    size: int, batch_size: int, seed: int | None, repeat: bool, drop_remainder: bool
) -> tf.data.Dataset:
    """Returns batches of the numbers from 0 to `size`; a pass is one tensor, cut into batches."""
    numbers = tf.range(size, dtype=tf.int64)
    if seed is None:
        passes = tf.data.Dataset.from_tensors(numbers)
        passes = passes.repeat() if repeat else passes
    else:
        draws = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
        passes = (draws if repeat else draws.take(1)).map(
            lambda drawn: tf.random.experimental.stateless_shuffle(
                numbers, tf.stack([tf.constant(seed, tf.int64), drawn])
            )
        )
    return passes.rebatch(batch_size, drop_remainder=drop_remainder)


def _model_inputs(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return to_floats(images), labels
