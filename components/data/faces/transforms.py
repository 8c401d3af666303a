"""Beam transforms: learn the identities and the shape of faces, decode them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam

from ...base.errors import BadDataError
from ...io.records import BadRecordError, to_text
from ..images.image_shapes import common_shape, count_names_and_shapes, image_shape
from ..reading.count_features import Counters
from .cropping import Crop
from .options import TransformOptions


class Analyze(beam.PTransform):
    """Learns the identities and the images' shape from training examples.

    Assets: `identities`, sorted, one per line; `image_shape`, height, width and channels, those of
    the options or else the most common ones after the crop; `crop`, one line of JSON: `{"fraction":
    0.64}` or `{"box": [45, 45, 205, 205]}`, and where images are aligned `"align": {"eye_distance":
    0.4, "eye_height": 0.4}`.

    Args:
        parameters: `TransformOptions`.
    """

    def __init__(self, parameters: TransformOptions):
        super().__init__()
        self.parameters = parameters

    def expand(self, features: beam.PCollection) -> beam.PCollection:
        """Counts identities and shapes."""
        return (
            features
            | "CountIdentitiesAndShapes"
            >> beam.CombineGlobally(count_names_and_shapes("identity", self.parameters))
            | "ToAssets" >> beam.FlatMap(_assets, self.parameters)
        )


class Decode:
    """Turns an example's encoded image into pixels and its identity into a number.

    Args:
        parameters: `TransformOptions`.
        assets: what `Analyze` learned.

    Call arguments:
        features: a raw example.

    Returns:
        `pixels`, the H·W·C bytes of the image; `label`, the identity's index among those of
        training, -1 for others; `identity`, `id`, `partners` and `folds` as they are.

    Raises:
        BadRecordError: the image cannot be decoded, its box does not lie in it, or its eyes, by
            which it is to be aligned, are not known, not finite or at one place.
    """

    def __init__(self, parameters: TransformOptions, assets: Mapping[str, Sequence[str]]):
        import tensorflow as tf

        from ..images import pixels
        from . import decoder

        self.decoder = decoder.FaceDecoder.from_assets(assets["image_shape"], assets["crop"])
        self.labels = {name: number for number, name in enumerate(assets["identities"])}
        self.needs_eyes = parameters.align and parameters.without_eyes == "bad"
        self._failed = tf.errors.InvalidArgumentError
        self._reason = pixels.reason

    def __call__(self, features: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Returns the pixels and the label of one example."""
        eyes = self._eyes(features) if self.decoder.alignment else ()
        try:
            pixels = self.decoder.of_bytes(features["image"][0], eyes)
        except self._failed as error:
            raise BadRecordError(
                f"An image must be a whole JPEG, PNG, GIF or BMP file that holds what is cut out. "
                f"Received: {features['image'][0][:20]!r}…: {self._reason(error)}"
            ) from error
        name = to_text(features["identity"][0])
        return {
            "pixels": [pixels.tobytes()],
            "label": [self.labels.get(name, -1)],
            "identity": list(features["identity"]),
            "id": list(features["id"]),
            "partners": list(features.get("partners", ())),
            "folds": list(features.get("folds", ())),
        }

    def _eyes(self, features: Mapping[str, Any]) -> list[float]:
        eyes = [float(value) for value in features.get("eyes", ())]
        if not eyes and not self.needs_eyes:
            return []
        possible = len(eyes) == 4 and all(map(math.isfinite, eyes))
        if not possible or math.dist(eyes[:2], eyes[2:]) < 1:
            raise BadRecordError(
                "An image must have its eyes, [lx, ly, rx, ry] at least a pixel apart, to be "
                "aligned; --set transform.without_eyes=crop crops those without. "
                f"Received: {eyes}"
            )
        return eyes


def _assets(counted: Counters, parameters: TransformOptions) -> Iterator[tuple[str, list[str]]]:
    identities, shapes = counted
    crop = Crop.of(parameters.crop)
    common = common_shape(shapes)
    cropped = (*crop.size(*common[:2]), common[2]) if common else None
    shape = image_shape(parameters, cropped, sum(shapes.values()))
    if len(identities) < 2:
        raise BadDataError(
            "The training images must be of at least two people; each is a folder of its own. "
            f"Received: {', '.join(sorted(identities)) or 'nobody'}"
        )
    settings = crop.settings
    if parameters.align:
        settings["align"] = {
            "eye_distance": parameters.eye_distance,
            "eye_height": parameters.eye_height,
        }
    yield "identities", sorted(identities)
    yield "image_shape", shape
    yield "crop", [json.dumps(settings, sort_keys=True)]
