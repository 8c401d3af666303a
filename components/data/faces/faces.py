"""Faces as stages hand them to methods: people, pairs and balanced batches, with `tf.data`.

Dimensions: N images of a split, B batch, H height, W width, C channels, P identities in a batch and
K images of each.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ...base.transformed_data import TransformedData
from ..images.pixels import to_floats
from .identity_batches import IdentityBatches

MOST_IN_MEMORY = 512 * 2**20
"""Balanced batches of a split of more bytes are read from its files in each pass."""

_SHUFFLED_BYTES = 64 * 2**20
_PARSED_AT_ONCE = 1024
_FILES_AT_ONCE = 8

Pairs = list[list[tuple[bytes, int]]]
"""For each image of a batch the ids of its partners with the pairs' folds."""


class VerificationPairs(NamedTuple):
    """The verification pairs of a split, Q of them.

    Args:
        first: int64 array `(Q,)`, places of images in file order.
        second: int64 array `(Q,)`, places of other images.
        same: bool array `(Q,)`, whether the two are the same person.
        folds: int64 array `(Q,)`, from 0.
        lost: number of pairs of which an image is missing because it could not be used.
    """

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    folds: np.ndarray
    lost: int


_PIXELS = {"pixels": tf.io.FixedLenFeature([], tf.string)}
_NAMES = {
    "identity": tf.io.FixedLenFeature([], tf.string),
    "id": tf.io.FixedLenFeature([], tf.string),
}


class _Index(NamedTuple):
    """Whose the images of a split are.

    Args:
        indices: int64 array `(N,)`, the index of each image's identity.
        labels: int32 array `(I,)`, the label of each identity.
        files: paths.
        sizes: number of images in each file.
    """

    indices: np.ndarray
    labels: np.ndarray
    files: list[str]
    sizes: list[int]


class Faces(TransformedData):
    """Images of faces with the names of the people, in splits that share nobody.

    ```python
    data.image_shape, data.count("train")  # ((96, 96, 3), 9621)
    model.fit(data.balanced_batches("train", identities=32, images=4), steps_per_epoch=50)
    ```
    """

    @functools.cached_property
    def image_shape(self) -> tuple[int, int, int]:
        """Returns height, width and channels of the images."""
        height, width, channels = (int(line) for line in self.asset("image_shape"))
        return height, width, channels

    @property
    def identities(self) -> list[str]:
        """Returns the names of the training identities; a label is the index of its identity."""
        return self.asset("identities")

    def array(self, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Reads a split into memory.

        Returns:
            Images, uint8 `(N, H, W, C)`, identities and ids, object arrays of bytes `(N,)`, in file
            order. Images of one identity lie together.
        """
        size = self.count(split)
        images = np.zeros((size, *self.image_shape), np.uint8)
        names, ids = np.empty(size, object), np.empty(size, object)
        read = 0
        for block, their_names, their_ids, _ in self.parsed(split, _PARSED_AT_ONCE):
            part = slice(read, read + len(block))
            images[part], names[part], ids[part] = block, their_names, their_ids
            read += len(block)
        return images, names, ids

    def parsed(
        self, split: str, batch_size: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, Pairs]]:
        """Yields batches in file order.

        Yields:
            uint8 images `(B, H, W, C)`; identities and ids, object arrays of bytes `(B,)`; for each
            image a list of `(id of the partner, fold)`, one entry per verification pair of which
            it is the first image.
        """
        shape = self.image_shape
        for batch in self.serialized(split).batch(batch_size):
            features = tf.io.parse_example(
                batch,
                {
                    **_PIXELS,
                    **_NAMES,
                    "partners": tf.io.RaggedFeature(tf.string),
                    "folds": tf.io.RaggedFeature(tf.int64),
                },
            )
            pairs = [
                list(zip(partners, folds, strict=True))
                for partners, folds in zip(
                    features["partners"].to_list(), features["folds"].to_list(), strict=True
                )
            ]
            names, ids = features["identity"].numpy(), features["id"].numpy()
            yield _images(features["pixels"], shape).numpy(), names, ids, pairs

    def identity_counts(self, split: str) -> np.ndarray:
        """Returns the number of images of each identity of a split, int64 `(I,)`."""
        return np.bincount(self._index(split).indices)

    def verification_pairs(self, split: str) -> VerificationPairs:
        """Returns the verification pairs of a split, ordered by their folds and first images."""
        places: dict[bytes, int] = {}
        names: list[bytes] = []
        listed = []
        for batch in self.serialized(split).batch(_PARSED_AT_ONCE):
            features = tf.io.parse_example(
                batch,
                {
                    **_NAMES,
                    "partners": tf.io.RaggedFeature(tf.string),
                    "folds": tf.io.RaggedFeature(tf.int64),
                },
            )
            for name, identity, partners, folds in zip(
                features["identity"].numpy(),
                features["id"].numpy(),
                features["partners"].to_list(),
                features["folds"].to_list(),
                strict=True,
            ):
                place = places[identity] = len(names)
                names.append(name)
                listed += [
                    (fold, place, partner) for partner, fold in zip(partners, folds, strict=True)
                ]
        listed.sort()
        present = [
            (first, places[partner], fold) for fold, first, partner in listed if partner in places
        ]
        first, second, folds = np.array(present, np.int64).reshape(-1, 3).T
        people = np.array(names, object)
        same = (people[first] == people[second]).astype(bool)
        return VerificationPairs(first, second, same, folds, len(listed) - len(present))

    def balanced_batches(
        self,
        split: str,
        identities: int,
        images: int,
        seed: int = 0,
        singles: int = 0,
        repeat: bool = True,
        most_in_memory: int = MOST_IN_MEMORY,
        vectors: np.ndarray | None = None,
    ) -> tf.data.Dataset:
        """Returns batches of P identities with K images of each, see `IdentityBatches`.

        A split of up to `most_in_memory` bytes of pixels is held in memory as uint8, and the
        identities of a pass come in an order that is drawn uniformly from all orders. Of a larger
        one only the identities' indices are held: each pass reads the files as streams, several at
        a time and in random order, keeps what was drawn, and mixes identities in a buffer of 64
        MiB. What is drawn in a pass is the same in both ways.

        Args:
            split: string.
            identities: integer, P.
            images: integer, K.
            seed: integer. Each pass has an order of its own, which depends on the seed and the
            number
                of the pass; each iteration over the returned dataset begins with the first pass.
            singles: integer, S. That many images of identities with one image are added to the end
            of
                each batch: negatives.
            repeat: boolean. Whether the passes repeat without end; otherwise there is one.
            most_in_memory: integer. In bytes of pixels.
            vectors: float32 array `(N, F)`, a row for each image of the split in file order, held
            in
                memory. The batches have them in place of the images, as they are.

        Returns:
            A `tf.data.Dataset` of float32 images `(P·K + S, H, W, C)` in [0, 1], or float32 vectors
            `(P·K + S, F)`, and int32 labels
            `(P·K + S,)`: those of the examples in the split `train`, numbers of the split's own
            identities in others.

        Raises:
            ValueError: the split does not have the images for one batch, or another number of
            images
                than there are vectors.
        """
        shape = self.image_shape
        index = self._index(split)
        if vectors is not None and len(vectors) != len(index.indices):
            raise ValueError(
                f"There must be a vector for each of the {len(index.indices):,} images of the "
                f"split {split!r}. Received: {len(vectors):,} vectors"
            )
        draws = IdentityBatches(index.indices, identities, images, singles, seed)
        if vectors is not None:
            passes = _gathered(vectors, draws)
        elif len(index.indices) * math.prod(shape) <= most_in_memory:
            passes = _gathered(self.array(split)[0], draws)
        else:
            passes = self._streamed(split, draws, index)
        dataset = (passes if repeat else passes.take(1)).flat_map(lambda batches: batches)
        labels = tf.constant(index.labels)
        size = identities * images + singles
        dataset = dataset.map(
            lambda rows, places: (
                to_floats(tf.ensure_shape(rows, [size, *shape]))
                if vectors is None
                else tf.ensure_shape(rows, [size, vectors.shape[1]]),
                tf.ensure_shape(tf.gather(labels, places), [size]),
            ),
            num_parallel_calls=2,
            deterministic=True,
        )
        if not repeat:
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(draws.batches_per_pass))
        return dataset.prefetch(2)

    def _index(self, split: str) -> _Index:
        features = {
            "identity": tf.io.FixedLenFeature([], tf.string),
            "label": tf.io.FixedLenFeature([], tf.int64),
        }
        indices_by_name: dict[bytes, int] = {}
        indices: list[int] = []
        labels: list[int] = []
        sizes: list[int] = []
        files = self.transformed.files(split) if self.count(split) else []
        for path in files:
            first = len(indices)
            for batch in _records(path).batch(_PARSED_AT_ONCE):
                batch = tf.io.parse_example(batch, features)
                for name, label in zip(
                    batch["identity"].numpy(), batch["label"].numpy(), strict=True
                ):
                    index = indices_by_name.setdefault(name, len(indices_by_name))
                    if index == len(labels):
                        labels.append(label if label >= 0 else index)
                    indices.append(index)
            sizes.append(len(indices) - first)
        return _Index(np.array(indices, np.int64), np.array(labels, np.int32), files, sizes)

    def _streamed(self, split: str, draws: IdentityBatches, index: _Index) -> tf.data.Dataset:
        """Returns the passes, of images that are read from their files."""
        shape = self.image_shape
        size = draws.identities * draws.images
        files = tf.constant(index.files)
        starts = tf.constant(np.concatenate([[0], np.cumsum(index.sizes)[:-1]]), tf.int64)
        indices, counts = tf.constant(draws.indices), tf.constant(draws.counts, tf.int64)
        buffer = max(draws.identities, _SHUFFLED_BYTES // (draws.images * math.prod(shape)))

        def groups(mask: tf.Tensor, order: tf.Tensor, most: int) -> tf.data.Dataset:
            """Returns the images of a mask by identity; a file holds all images of an identity."""

            def of_file(file: tf.Tensor) -> tf.data.Dataset:
                return (
                    _records(files[file])
                    .enumerate(starts[file])
                    .filter(lambda place, _: mask[place])
                    .map(lambda place, serialized: (serialized, indices[place]))
                    .group_by_window(
                        lambda _, identity: identity,
                        lambda _, window: window.batch(most),
                        window_size_func=lambda identity: tf.minimum(
                            tf.constant(most, tf.int64), counts[identity]
                        ),
                    )
                )

            return tf.data.Dataset.from_tensor_slices(order).interleave(
                of_file, cycle_length=_FILES_AT_ONCE
            )

        def batches(
            grouped: tf.Tensor, lonely: tf.Tensor, order: tf.Tensor, seed: tf.Tensor
        ) -> tf.data.Dataset:
            # Of this graph only: the order follows from our seed alone, whatever the process's
            # global seed is; with that of 0 a shuffle refuses a tensor as its own.
            tf.random.set_seed(1)
            several = groups(grouped, order, draws.images).shuffle(buffer, seed=seed)
            several = several.rebatch(size, drop_remainder=True)
            if draws.singles:
                alone = groups(lonely, order, 1).shuffle(buffer * draws.images, seed=seed)
                several = _with_singles(several, alone, draws.singles)
            return several.map(
                lambda serialized, identities: (
                    _images(tf.io.parse_example(serialized, _PIXELS)["pixels"], shape),
                    identities,
                )
            )

        def passes() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, int]]:
            for number, drawn in enumerate(draws.passes()):
                masks = np.zeros((2, len(draws.indices)), bool)
                for mask, places in zip(masks, drawn, strict=True):
                    mask[places] = True
                random = np.random.default_rng([draws.seed, number, 1])
                yield *masks, random.permutation(len(index.files)), int(random.integers(2**31))

        mask = tf.TensorSpec([None], tf.bool)
        spec = (mask, mask, tf.TensorSpec([None], tf.int64), tf.TensorSpec([], tf.int64))
        return tf.data.Dataset.from_generator(passes, output_signature=spec).map(batches)


def _images(pixels: tf.Tensor, shape: tuple[int, int, int]) -> tf.Tensor:
    return tf.reshape(tf.io.decode_raw(pixels, tf.uint8), [-1, *shape])


def _records(path: str | tf.Tensor) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(path, compression_type="GZIP")


def _gathered(rows: np.ndarray, draws: IdentityBatches) -> tf.data.Dataset:
    """Returns the passes, of images or vectors that are held in memory."""
    with tf.device("CPU:0"):
        images = tf.constant(rows)
        indices = tf.constant(draws.indices)
    size = draws.identities * draws.images
    places = tf.TensorSpec([None], tf.int64)

    def batches(grouped: tf.Tensor, lonely: tf.Tensor) -> tf.data.Dataset:
        several = tf.data.Dataset.from_tensors(grouped).rebatch(size, drop_remainder=True)
        alone = tf.data.Dataset.from_tensors(lonely)
        return _with_singles(several, alone, draws.singles)

    # They are passed by reference: what a function captures eagerly is not copied into its graph.
    return tf.data.Dataset.from_generator(draws.passes, output_signature=(places, places)).map(
        lambda grouped, lonely: batches(grouped, lonely).map(
            lambda batch: (tf.gather(images, batch), tf.gather(indices, batch))
        )
    )


def _with_singles(
    several: tf.data.Dataset, alone: tf.data.Dataset, singles: int
) -> tf.data.Dataset:
    """Adds singles to the end of each batch."""
    if not singles:
        return several
    alone = alone.rebatch(singles, drop_remainder=True).repeat()
    return tf.data.Dataset.zip(several, alone).map(
        lambda group, single: tf.nest.map_structure(
            lambda *parts: tf.concat(parts, axis=0), group, single
        )
    )
