"""Images to probabilities, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from ....components.data.labelled_images.labelled_images import LabelledImages

BATCH = 500


def compile_models(models: Sequence[keras.Model], data: LabelledImages) -> dict[int, Any]:
    """Returns by the `id` of each model a `tf.function` from images to probabilities `(B, K)`."""
    spec = tf.TensorSpec([None, *data.image_shape], tf.float32)
    return {id(model): _compiled(model, spec) for model in models}


def _compiled(model: keras.Model, spec: tf.TensorSpec) -> Any:
    return tf.function(
        lambda images: tf.cast(model(images, training=False), tf.float32), input_signature=[spec]
    )
