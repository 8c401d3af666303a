"""Serving without batch normalization, which is folded into the layers before it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import keras

from ....components.data.labelled_images.labelled_images import LabelledImages
from ....components.exporter.serving_model import ServingModel
from ....models.batch_norm import fold_batch_norm
from ..image_classification.serving import serving_model

if TYPE_CHECKING:
    from .options import ExporterOptions


def folded_serving_model(
    model: keras.Model, data: LabelledImages, parameters: ExporterOptions
) -> ServingModel:
    """Returns the signatures of a network, without its batch normalizations if so asked."""
    if not parameters.fold:
        return serving_model(model, model, data)
    folded, report = fold_batch_norm(model)
    served = serving_model(model, folded, data)
    return dataclasses.replace(served, facts={**served.facts, "folding": str(report)})
