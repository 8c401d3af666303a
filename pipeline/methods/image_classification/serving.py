"""Classifies encoded images inside a TensorFlow graph.

Dimensions: B batch, H height, W width, C channels, K classes.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from ....components.data.images.pixels import to_floats
from ....components.data.labelled_images.labelled_images import LabelledImages
from ....components.exporter.serving_model import ServingModel
from .image_signatures import ImageSignatures, requests
from .predicting import compile_models


def serving_model(model: keras.Model, served: keras.Model, data: LabelledImages) -> ServingModel:
    """Returns the signatures with requests and the trained model's answers to them.

    Those of `ImageSignatures`. All give `class` `(B,)`, the name of the likeliest class;
    `probability` `(B,)`, its probability, float32; `classes` `(B, K)`, the names of all classes in
    each row, in the order of `probabilities` `(B, K)`, float32.

    Args:
        model: the trained model, from images `(B, H, W, C)` to probabilities `(B, K)`, which gives
            the references.
        served: the model that is exported, such as `model` with batch normalization folded.
        data: transformed and raw examples; the requests come from `test`, or else from `eval`.
    """
    names = data.classes

    def classify(images: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = tf.cast(served(images, training=False), tf.float32)
        known = tf.constant(names)
        return {
            "class": tf.gather(known, tf.argmax(probabilities, axis=1)),
            "probability": tf.reduce_max(probabilities, axis=1),
            "classes": tf.tile(known[None, :], [tf.shape(images)[0], 1]),
            "probabilities": probabilities,
        }

    raw, pixels = requests(data)
    images = to_floats(pixels).numpy()
    (compiled,) = compile_models([model], data).values()
    probabilities = compiled(images).numpy()
    best = probabilities.argmax(axis=1)
    references = {
        "class": np.array([names[index] for index in best], object),
        "probability": probabilities.max(axis=1),
        "classes": np.array([names] * len(images), object),
        "probabilities": probabilities,
    }
    signatures = ImageSignatures(classify, data).with_requests(raw, images, references)
    return ServingModel(signatures, track=[served])
