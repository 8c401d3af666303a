"""Classifies encoded images inside a TensorFlow graph.

Dimensions: B batch, H height, W width, C channels, K classes.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ...serving import ServingModel, Signature
from ...transformed import TransformedData
from . import evaluation, parsing
from .images import ImageDecoder, to_floats

REQUESTS = 64
"""Warm-up requests a signature, taken evenly from the evaluated split."""


def serving_model(model: keras.Model, served: keras.Model, data: TransformedData) -> ServingModel:
    """Returns the signatures with requests and the trained model's answers to them.

    - `serving_default`: `image`, the bytes of JPEG, PNG, GIF or BMP files;
    - `serving_examples`: `examples`, serialized raw `tf.train.Example`s with the feature `image`;
    - `serving_images`: `images`, float32 `(B, H, W, C)` in [0, 1].

    All give `class`, `probability`, `classes` and `probabilities`, see `ImageClassifier`. Bytes
    that are no image fail the whole request as an invalid argument whose message says why.

    Args:
        model: the trained model, from images `(B, H, W, C)` to probabilities `(B, K)`, which gives
            the references.
        served: the model that is exported, such as `model` with batch normalization folded.
        data: transformed and raw examples; the requests come from `test`, or else from `eval`.
    """
    decoder = ImageDecoder.from_assets(data.asset("image_shape"), data.asset("binarize"))
    names = parsing.classes(data)
    classifier = ImageClassifier(served, decoder, names)
    raw, pixels = requests(data)
    images = to_floats(pixels).numpy()
    (compiled,) = evaluation.compile_models([model], data).values()
    probabilities = compiled(images).numpy()
    best = probabilities.argmax(axis=1)
    references = {
        "class": np.array([names[index] for index in best], object),
        "probability": probabilities.max(axis=1),
        "classes": np.array([names] * len(images), object),
        "probabilities": probabilities,
    }
    encoded = [encoded_feature(one, "image") for one in raw]
    text = tf.TensorSpec([None], tf.string)
    return ServingModel(
        signatures={
            "serving_default": Signature(
                classifier.classify_encoded,
                {"image": text},
                {"image": np.array(encoded, object)},
                references,
            ),
            "serving_examples": Signature(
                classifier.classify_examples,
                {"examples": text},
                {"examples": np.array(raw, object)},
                references,
            ),
            "serving_images": Signature(
                classifier.classify_images,
                {"images": tf.TensorSpec([None, *decoder.shape], tf.float32)},
                {"images": images},
                references,
            ),
        },
        track=[served],
    )


class ImageClassifier:
    """Classifies images with a trained model.

    All methods return a dict: `class` `(B,)`, the name of the likeliest class; `probability`
    `(B,)`, its probability, float32; `classes` `(B, K)`, the names of all classes in each row, in
    the order of `probabilities` `(B, K)`, float32.

    Args:
        model: Keras model from images `(B, H, W, C)` to probabilities `(B, K)`.
        decoder: what made the pixels that the model was trained with.
        classes: names of the classes.
    """

    def __init__(self, model: keras.Model, decoder: ImageDecoder, classes: list[str]):
        self.decoder = decoder
        self.classes = classes
        self.model = model
        self._classify = tf.function(
            self._classify_once,
            input_signature=[tf.TensorSpec([None, *decoder.shape], tf.float32)],
        )

    def classify_encoded(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies encoded images, a string tensor `(B,)`.

        Raises:
            tf.errors.InvalidArgumentError: an entry is no JPEG, PNG, GIF or BMP image; then none of
                the batch is classified.
        """
        return self._classify(to_floats(self.decoder.batch(image)))

    def classify_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies serialized raw `tf.train.Example`s `(B,)`, which have the feature `image`."""
        features = tf.io.parse_example(examples, {"image": tf.io.FixedLenFeature([], tf.string)})
        return self.classify_encoded(features["image"])

    def classify_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies float32 images `(B, H, W, C)` in [0, 1]."""
        return self._classify(images)

    def _classify_once(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Traced once: all signatures share this part, with the model in it."""
        probabilities = tf.cast(self.model(images, training=False), tf.float32)
        names = tf.constant(self.classes)
        return {
            "class": tf.gather(names, tf.argmax(probabilities, axis=1)),
            "probability": tf.reduce_max(probabilities, axis=1),
            "classes": tf.tile(names[None, :], [tf.shape(images)[0], 1]),
            "probabilities": probabilities,
        }


def requests(data: TransformedData) -> tuple[list[bytes], np.ndarray]:
    """Returns some serialized raw examples and their transformed pixels, evenly over the split."""
    split = next((name for name in ("test", "eval") if data.splits.get(name)), "train")
    stride = max(1, data.splits[split] // REQUESTS)
    pixels: list[np.ndarray] = []
    wanted: list[bytes] = []
    number = 0
    for images, _, ids in parsing.parsed(data, split, evaluation.BATCH):
        for image, identity in zip(images, ids, strict=True):
            if number % stride == 0 and len(wanted) < REQUESTS:
                pixels.append(image)
                wanted.append(identity)
            number += 1
    positions = {identity: index for index, identity in enumerate(wanted)}
    raw: dict[int, bytes] = {}
    for serialized in data.serialized(split, raw=True).as_numpy_iterator():
        index = positions.get(encoded_feature(serialized, "id"))
        if index is not None:
            raw[index] = serialized
    return [raw[index] for index in range(len(wanted))], np.stack(pixels)


def encoded_feature(serialized: bytes, name: str) -> Any:
    """Returns the first value of a feature of bytes of a serialized `tf.train.Example`."""
    example = tf.train.Example.FromString(serialized)
    return example.features.feature[name].bytes_list.value[0]
