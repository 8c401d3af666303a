"""Embeds and compares encoded images of faces inside a TensorFlow graph.

Dimensions: B batch, H height, W width, C channels, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from ....components.data.faces.decoder import FaceDecoder
from ....components.data.faces.faces import Faces
from ....components.data.images.pixels import to_floats
from ....components.exporter.requests import feature_values, raw_examples, request_split
from ....components.exporter.serving_model import Input, ServingModel, Signature
from .embedding import compile_embedding, squared_distances
from .joined import joined_model
from .pairs.paired_images import PairedImages, read_index, read_paired, verification_pairs
from .pairs.sampling import Pairs
from .pairs.threshold import choose_threshold
from .safe_decoding import decode_each, parse_each

if TYPE_CHECKING:
    from .options import ExporterOptions

LARGEST_DISTANCE = 4.0
"""Of two unit vectors, squared; also the distance of a pair that cannot be compared."""

REQUESTS = 32
"""Pairs of the warm-up requests; their images are the requests of the other signatures."""

_TOO_CLOSE = 1e-3


def serve(
    models: Mapping[str, keras.Model], data: Faces, parameters: ExporterOptions
) -> ServingModel:
    """Returns signatures for one image, two images, serialized examples and pixels."""
    return serving_model(joined_model(models), data, parameters.threshold, parameters.far)


def serving_model(
    model: keras.Model,
    data: Faces,
    threshold: float = 0.0,
    far: float = 0.0,
) -> ServingModel:
    """Returns the signatures with requests and the trained model's answers to them.

    Those of `FaceSignatures`.

    Args:
        model: the trained model, from float32 images `(B, H, W, C)` in [0, 1] to embeddings
            `(B, D)` of unit length, which gives the references.
        data: transformed and raw examples; the requests come from `test`, or else from `eval` or
            `train`.
        threshold: float in [0, 4]. The squared distance up to which two images are of the same
            person; 0: chosen on pairs of the split `eval`.
        far: float in [0, 1]. Where the threshold is chosen, the false accept rate that it keeps;
            0: it has the best accuracy.

    Raises:
        ValueError: the threshold is not in [0, 4], or the rate not in [0, 1].
    """
    if not 0 <= threshold <= LARGEST_DISTANCE or not 0 <= far <= 1:
        raise ValueError(
            "A threshold must be in [0, 4] and a false accept rate in [0, 1]. "
            f"Received: threshold={threshold}, far={far}"
        )
    chosen = threshold or choose_threshold(model, data, far)
    signatures = FaceSignatures(model, data, chosen)
    how = "as given"
    if not threshold:
        how = f"chosen for a FAR of at most {far:g}" if far else "chosen for the best accuracy"
    return ServingModel(
        signatures.with_requests(model, data),
        track=[model],
        facts={"threshold": f"same person up to a squared distance of {chosen:.3f}, {how}"},
    )


class FaceSignatures:
    """What a model of faces is asked through.

    - `serving_default`: `image` `(B,)`, the bytes of JPEG, PNG, GIF or BMP files, to `embedding`
      `(B, D)`, float32, and `error` `(B,)`: empty, or one sentence why the image cannot be read.
      Its embedding is then zeros, and the batch's other images are answered all the same;
    - `serving_pair`: `first` and `second` `(B,)`, such bytes, to `distance` `(B,)`, the squared
      distance of their embeddings, in [0, 4]; `same` `(B,)`, whether it is at most the threshold;
      `threshold` `(B,)`, always the same; and `error` `(B,)`. Where an image cannot be read, it
      says which and why, `same` is false, and the distance is 4, the largest: not NaN, which strict
      readers of JSON refuse together with the whole answer;
    - `serving_examples`: `examples` `(B,)`, serialized raw `tf.train.Example`s with the feature
      `image`, and for a model of aligned faces `eyes`, to `embedding` and `error`;
    - `serving_images`: `images`, float32 `(B, H, W, C)` in [0, 1], to `embedding`;
    - `serving_aligned`, of a model of aligned faces only: `image` `(B,)` and `eyes` `(B, 4)`,
      float32: x and y of the eye at the image's left and of the one at its right in pixels, to
      `embedding` and `error`. Where the eyes are not known (NaN), and in `serving_default` and
      `serving_pair`, the image is cropped as the decoder does without eyes.

    Args:
        model: from float32 images `(B, H, W, C)` in [0, 1] to embeddings `(B, D)`.
        data: transformed examples.
        threshold: float. The squared distance up to which two images are of the same person.
    """

    def __init__(self, model: keras.Model, data: Faces, threshold: float):
        self.decoder = FaceDecoder.from_assets(data.asset("image_shape"), data.asset("crop"))
        self.threshold = np.float32(threshold)
        self.images_spec = tf.TensorSpec([None, *self.decoder.shape], tf.float32)
        # Traced once: all signatures share the model.
        self._embed = tf.function(
            lambda images: tf.cast(model(images, training=False), tf.float32),
            input_signature=[self.images_spec],
            autograph=False,
        )

    def encoded(self, image: tf.Tensor, eyes: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """Answers for encoded images, a string tensor `(B,)`."""
        pixels, error = decode_each(self.decoder, image, eyes)
        embedding = self._embed(to_floats(pixels))
        return {
            "embedding": tf.where((error == "")[:, None], embedding, 0.0),
            "error": error,
        }

    def pair(self, first: tf.Tensor, second: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers for pairs of encoded images, string tensors `(B,)`."""
        answers = self.encoded(tf.concat([first, second], axis=0))
        errors = [
            tf.where(error == "", "", tf.strings.join([name, error]))
            for name, error in zip(
                ("first: ", "second: "), tf.split(answers["error"], 2), strict=True
            )
        ]
        both = tf.where((errors[0] != "") & (errors[1] != ""), "; ", "")
        error = tf.strings.join([errors[0], both, errors[1]])
        difference = tf.math.squared_difference(*tf.split(answers["embedding"], 2))
        distance = tf.reduce_sum(difference, axis=1)
        distance = tf.where(error == "", distance, LARGEST_DISTANCE)
        return {
            "distance": distance,
            "same": (error == "") & (distance <= self.threshold),
            "threshold": tf.fill(tf.shape(distance), self.threshold),
            "error": error,
        }

    def examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers for serialized raw `tf.train.Example`s `(B,)`."""
        image, eyes, unread = parse_each(examples)
        answers = self.encoded(image, eyes if self.decoder.alignment else None)
        return {**answers, "error": tf.where(unread == "", answers["error"], unread)}

    def images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers for float32 images `(B, H, W, C)` in [0, 1]."""
        return {"embedding": self._embed(images)}

    def with_requests(self, model: keras.Model, data: Faces) -> dict[str, Signature]:
        """Returns the signatures by name.

        Args:
            model: the trained model, whose answers to the transformed images are the references.
            data: transformed and raw examples.
        """
        embed = compile_embedding(model, self.decoder.shape)
        drawn, raw = _requests(data)
        embeddings = embed(drawn.pixels)
        encoded = np.array([feature_values(example, "image")[0] for example in raw], object)
        nothing = np.array([b""] * len(raw), object)
        embedded = {"embedding": embeddings, "error": nothing}
        text = tf.TensorSpec([None], tf.string)
        signatures = {
            "serving_examples": Signature(
                self.examples,
                {"examples": Input(text)},
                {"examples": np.array(raw, object)},
                embedded,
            ),
            "serving_images": Signature(
                self.images,
                {"images": Input(self.images_spec)},
                {"images": to_floats(drawn.pixels).numpy()},
                {"embedding": embeddings},
            ),
        }
        from_bytes = embedded
        if self.decoder.alignment:
            signatures["serving_aligned"] = Signature(
                self.encoded,
                {"image": Input(text), "eyes": Input(tf.TensorSpec([None, 4], tf.float32))},
                {"image": encoded, "eyes": np.stack([_eyes(example) for example in raw])},
                embedded,
            )
            # The transformed images are aligned; bytes alone do not say where the eyes are.
            pixels, errors = (tensor.numpy() for tensor in decode_each(self.decoder, encoded))
            read = errors == b""
            from_bytes = {
                "embedding": np.where(read[:, None], embed(pixels), 0.0),
                "error": errors,
            }
        pair = self._pair_signature(encoded, from_bytes, drawn.pairs)
        face = Input(text, "a face: @FILE of JPEG, PNG, GIF or BMP", file=True)
        default = Signature(self.encoded, {"image": face}, {"image": encoded}, from_bytes)
        return {"serving_default": default, "serving_pair": pair, **signatures}

    def _pair_signature(
        self, encoded: np.ndarray, answers: Mapping[str, np.ndarray], pairs: Pairs
    ) -> Signature:
        embeddings, read = answers["embedding"], answers["error"] == b""
        distances = squared_distances(embeddings[pairs.first], embeddings[pairs.second])
        # On which side of the threshold a distance lies must not hang on how it was rounded.
        clear = abs(distances - self.threshold) > _TOO_CLOSE
        clear &= read[pairs.first] & read[pairs.second]
        chosen = clear if clear.any() else np.ones_like(clear)
        pairs, distances = pairs.only(chosen), distances[chosen]
        references: dict[str, Any] = {"threshold": np.full(len(pairs), self.threshold)}
        if clear.any():
            references["distance"] = distances.astype(np.float32)
            references["same"] = distances <= self.threshold
            references["error"] = np.array([b""] * len(pairs), object)
        text = tf.TensorSpec([None], tf.string)
        inputs = {
            "first": Input(text, "a face: @FILE", file=True),
            "second": Input(text, "another: @FILE", file=True),
        }
        requests = {"first": encoded[pairs.first], "second": encoded[pairs.second]}
        return Signature(self.pair, inputs, requests, references)


def _requests(data: Faces) -> tuple[PairedImages, list[bytes]]:
    """Returns some pairs of images, and the serialized raw examples of the images."""
    split = request_split(data)
    index = read_index(data, split)
    try:
        pairs = verification_pairs(index, 2 * REQUESTS, seed=0)
        pairs = pairs.only(np.linspace(0, len(pairs), REQUESTS, endpoint=False).astype(int))
    except ValueError:  # There are hardly any pairs: each image with the next one.
        first = np.arange(min(REQUESTS, len(index.ids)))
        second = (first + 1) % len(index.ids)
        pairs = Pairs(first, second, np.zeros(len(first), bool), np.zeros(len(first), np.int64))
    drawn = read_paired(data, split, index, pairs)
    return drawn, raw_examples(data, split, list(drawn.ids))


def _eyes(serialized: bytes) -> np.ndarray:
    eyes = feature_values(serialized, "eyes")
    return np.array(eyes if len(eyes) == 4 else [np.nan] * 4, np.float32)
