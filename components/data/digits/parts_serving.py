"""Codes encoded images by their parts inside a TensorFlow graph.

Dimensions: B batch, H height, W width, C channels.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from ...serving import ServingModel, Signature
from ...transformed import TransformedData
from .images import ImageDecoder, to_floats
from .serving import encoded_feature, requests


def serving_model(model: keras.Model, data: TransformedData) -> ServingModel:
    """Returns the signatures with requests and the trained model's answers to them.

    - `serving_default`: `image`, the bytes of JPEG, PNG, GIF or BMP files;
    - `serving_examples`: `examples`, serialized raw `tf.train.Example`s with the feature `image`;
    - `serving_images`: `images`, float32 `(B, H, W, C)` in [0, 1].

    All give `codes` `(B, rank)`, float32; `reconstruction` `(B, H, W, C)`, float32; and `error`
    `(B,)`, the root of the mean squared difference of the pixels. Bytes that are no image fail the
    whole request as an invalid argument whose message says why.

    Args:
        model: from images `(B, H, W, C)` to a dict of `codes` and `reconstruction`.
        data: transformed and raw examples; the requests come from `test`, or else from `eval`.
    """
    coder = ImageCoder(
        model, ImageDecoder.from_assets(data.asset("image_shape"), data.asset("binarize"))
    )
    raw, pixels = requests(data)
    images = to_floats(pixels).numpy()
    outputs = {name: value.numpy() for name, value in model(images, training=False).items()}
    difference = (outputs["reconstruction"] - images) ** 2
    references = {**outputs, "error": np.sqrt(difference.mean(axis=(1, 2, 3)))}
    encoded = np.array([encoded_feature(one, "image") for one in raw], object)
    text = tf.TensorSpec([None], tf.string)
    return ServingModel(
        signatures={
            "serving_default": Signature(
                coder.code_encoded, {"image": text}, {"image": encoded}, references
            ),
            "serving_examples": Signature(
                coder.code_examples,
                {"examples": text},
                {"examples": np.array(raw, object)},
                references,
            ),
            "serving_images": Signature(
                coder.code_images,
                {"images": tf.TensorSpec([None, *coder.decoder.shape], tf.float32)},
                {"images": images},
                references,
            ),
        },
        track=[model],
    )


class ImageCoder:
    """Codes images with a trained model; each method returns what `serving_model` says.

    Args:
        model: from images `(B, H, W, C)` to a dict of `codes` and `reconstruction`.
        decoder: what made the pixels that the model was trained with.
    """

    def __init__(self, model: keras.Model, decoder: ImageDecoder):
        self.model = model
        self.decoder = decoder
        self._code = tf.function(
            self._code_once, input_signature=[tf.TensorSpec([None, *decoder.shape], tf.float32)]
        )

    def code_encoded(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Codes encoded images, a string tensor `(B,)`.

        Raises:
            tf.errors.InvalidArgumentError: an entry is no JPEG, PNG, GIF or BMP image; then none of
                the batch is coded.
        """
        return self._code(to_floats(self.decoder.batch(image)))

    def code_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Codes serialized raw `tf.train.Example`s `(B,)`, which have the feature `image`."""
        features = tf.io.parse_example(examples, {"image": tf.io.FixedLenFeature([], tf.string)})
        return self.code_encoded(features["image"])

    def code_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Codes float32 images `(B, H, W, C)` in [0, 1]."""
        return self._code(images)

    def _code_once(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Traced once: all signatures share this part, with the model in it."""
        outputs = self.model(images, training=False)
        codes = tf.cast(outputs["codes"], tf.float32)
        restored = tf.cast(outputs["reconstruction"], tf.float32)
        difference = tf.math.squared_difference(restored, images)
        return {
            "codes": codes,
            "reconstruction": restored,
            "error": tf.sqrt(tf.reduce_mean(difference, axis=[1, 2, 3])),
        }
