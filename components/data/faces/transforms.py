"""Beam transforms: learn the identities and the shape of faces, decode them."""

from __future__ import annotations

import collections
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam

from ...base.errors import BadDataError
from ...io.records import BadRecordError
from ..images import image_files
from .cropping import Crop
from .options import TransformOptions


class Analyze(beam.PTransform):
    """Learns the identities and the images' shape from training examples.

    Assets: `identities`, sorted, one a line; `image_shape`, height, width and channels, those of
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
            | "CountIdentitiesAndShapes" >> beam.CombineGlobally(_Count(self.parameters))
            | "ToAssets" >> beam.FlatMap(_assets, self.parameters)
        )


class Decode:
    """Turns an example's encoded image into pixels and its identity into a number.

    Args:
        parameters: `TransformOptions`.
        assets: what `Analyze` learnt.

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
        name = image_files.to_text(features["identity"][0])
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


class _Count(beam.CombineFn):
    """The set of the identities and a counter of the images' shapes."""

    def __init__(self, parameters: TransformOptions):
        super().__init__()
        self._measures = not (parameters.height and parameters.width and parameters.channels)

    def create_accumulator(self):
        return set(), collections.Counter()

    def add_input(self, accumulator, features):
        identities, shapes = accumulator
        identities.add(image_files.to_text(features["identity"][0]))
        if self._measures:
            try:
                shapes[image_files.shape(features["image"][0])] += 1
            except ValueError:
                # Not of one shape: `Decode` makes it a dead letter with the reason.
                shapes[None] += 1
        return accumulator

    def merge_accumulators(self, accumulators):
        identities, shapes = self.create_accumulator()
        for other_identities, other_shapes in accumulators:
            identities.update(other_identities)
            shapes.update(other_shapes)
        return identities, shapes

    def extract_output(self, accumulator):
        return accumulator


def _assets(
    counted: tuple[set[str], collections.Counter], parameters: TransformOptions
) -> Iterator[tuple[str, list[str]]]:
    identities, shapes = counted
    crop = Crop.of(parameters.crop)
    known = [shape for shape in shapes if shape is not None]
    common = max(known, key=lambda shape: (shapes[shape], shape), default=(0, 0, 0))
    kept = (*crop.size(*common[:2]), common[2]) if known else common
    wanted = (parameters.height, parameters.width, parameters.channels)
    chosen = [mine or found for mine, found in zip(wanted, kept, strict=True)]
    if not all(chosen):
        raise BadDataError(
            f"The training images must have a height, a width and channels; set what is missing, "
            f"for example --set transform.height=64. Received: {chosen} from "
            f"{sum(shapes.values())} images, none of which can be decoded"
        )
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
    yield "image_shape", [str(size) for size in chosen]
    yield "crop", [json.dumps(settings, sort_keys=True)]
