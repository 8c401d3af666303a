"""Codes encoded images by their parts inside a TensorFlow graph.

Dimensions: B batch, H height, W width, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .....components.data.images.pixels import to_floats
from .....components.data.labelled_images.labelled_images import LabelledImages
from .....components.exporter.serving_model import ServingModel
from ...image_classification.image_signatures import ImageSignatures, requests


def serve(
    models: Mapping[str, keras.Model], data: LabelledImages, parameters: Any = None
) -> ServingModel:
    """Returns signatures for encoded images, serialized examples and pixels."""
    return serving_model(models["nmf"], data)


def serving_model(model: keras.Model, data: LabelledImages) -> ServingModel:
    """Returns the signatures with requests and the trained model's answers to them.

    Those of `ImageSignatures`. All give `codes` `(B, rank)`, float32; `reconstruction`
    `(B, H, W, C)`, float32; and `error` `(B,)`, the root of the mean squared difference of the
    pixels.

    Args:
        model: from images `(B, H, W, C)` to a dict of `codes` and `reconstruction`.
        data: transformed and raw examples; the requests come from `test`, or else from `eval`.
    """

    def code(images: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = model(images, training=False)
        restored = tf.cast(outputs["reconstruction"], tf.float32)
        difference = tf.math.squared_difference(restored, images)
        return {
            "codes": tf.cast(outputs["codes"], tf.float32),
            "reconstruction": restored,
            "error": tf.sqrt(tf.reduce_mean(difference, axis=[1, 2, 3])),
        }

    raw, pixels = requests(data)
    images = to_floats(pixels).numpy()
    outputs = {name: value.numpy() for name, value in model(images, training=False).items()}
    difference = (outputs["reconstruction"] - images) ** 2
    references = {**outputs, "error": np.sqrt(difference.mean(axis=(1, 2, 3)))}
    signatures = ImageSignatures(code, data).with_requests(raw, images, references)
    return ServingModel(signatures, track=[model])
