"""Serves the first network with batch normalization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras

from .....components.data.labelled_images.labelled_images import LabelledImages
from .....components.exporter.serving_model import ServingModel
from ..serving import folded_serving_model
from .networks import WITH, of_kind

if TYPE_CHECKING:
    from ..options import ExporterOptions


def serve(
    models: Mapping[str, keras.Model], data: LabelledImages, parameters: ExporterOptions
) -> ServingModel:
    """Returns signatures for encoded images, serialized examples and pixels."""
    return folded_serving_model(of_kind(models, WITH)[0], data, parameters)
