"""What all models of images are asked through: encoded images, examples and pixels.

Dimensions: B batch, H height, W width, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from ....components.data.images.pixels import to_floats
from ....components.data.labelled_images.decoder import ImageDecoder
from ....components.data.labelled_images.labelled_images import LabelledImages
from ....components.exporter.requests import (
    evenly,
    feature_values,
    raw_examples,
    request_split,
)
from ....components.exporter.serving_model import Input, Signature
from .predicting import BATCH

REQUESTS = 64
"""Warm-up requests a signature, taken evenly from the evaluated split."""


class ImageSignatures:
    """Three ways to one answer about images.

    - `serving_default`: `image`, the bytes of JPEG, PNG, GIF or BMP files;
    - `serving_examples`: `examples`, serialized raw `tf.train.Example`s with the feature `image`;
    - `serving_images`: `images`, float32 `(B, H, W, C)` in [0, 1].

    Bytes that are no image fail the whole request as an invalid argument whose message says why.

    Args:
        answer: from float32 images `(B, H, W, C)` in [0, 1] to a dict of tensors.
        data: transformed and raw examples; the decoder is what made the pixels that the model was
            trained with.
    """

    def __init__(
        self, answer: Callable[[tf.Tensor], Mapping[str, tf.Tensor]], data: LabelledImages
    ):
        self.decoder = ImageDecoder.from_assets(data.asset("image_shape"), data.asset("binarize"))
        self.pixels = tf.TensorSpec([None, *self.decoder.shape], tf.float32)
        # Traced once: all signatures share the answer, with the model in it.
        self._answer = tf.function(answer, input_signature=[self.pixels])

    def encoded(self, image: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """Answers for encoded images, a string tensor `(B,)`.

        Raises:
            tf.errors.InvalidArgumentError: an entry is no JPEG, PNG, GIF or BMP image; then none of
                the batch is answered.
        """
        return self._answer(to_floats(self.decoder.batch(image)))

    def examples(self, examples: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """Answers for serialized raw `tf.train.Example`s `(B,)`, which have the feature `image`."""
        features = tf.io.parse_example(examples, {"image": tf.io.FixedLenFeature([], tf.string)})
        return self.encoded(features["image"])

    def images(self, images: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """Answers for float32 images `(B, H, W, C)` in [0, 1]."""
        return self._answer(images)

    def with_requests(
        self, raw: list[bytes], images: np.ndarray, references: Mapping[str, Any]
    ) -> dict[str, Signature]:
        """Returns the signatures by name.

        Args:
            raw: serialized raw examples.
            images: their transformed pixels, float32 `(B, H, W, C)`.
            references: the trained model's answers, arrays by output name.
        """
        encoded = np.array([feature_values(example, "image")[0] for example in raw], object)
        text = tf.TensorSpec([None], tf.string)
        return {
            "serving_default": Signature(
                self.encoded,
                {"image": Input(text, "an image: @FILE of JPEG, PNG, GIF or BMP", file=True)},
                {"image": encoded},
                references,
            ),
            "serving_examples": Signature(
                self.examples,
                {"examples": Input(text)},
                {"examples": np.array(raw, object)},
                references,
            ),
            "serving_images": Signature(
                self.images, {"images": Input(self.pixels)}, {"images": images}, references
            ),
        }


def requests(data: LabelledImages) -> tuple[list[bytes], np.ndarray]:
    """Returns some serialized raw examples and their transformed pixels, evenly over the split."""
    split = request_split(data)
    batches = data.parsed(split, BATCH)
    rows = (row for images, _, ids in batches for row in zip(images, ids, strict=True))
    pixels, ids = zip(*evenly(rows, data.splits[split], REQUESTS), strict=True)
    return raw_examples(data, split, ids), np.stack(pixels)
