"""Accuracy of the variants, and of the ensemble."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras

from .....components.data.labelled_images.labelled_images import LabelledImages
from ...image_classification import evaluation
from .variants import ENSEMBLE_OF, VARIANTS, served_name


def evaluate(
    models: Mapping[str, keras.Model], data: LabelledImages, split: str, parameters: Any
) -> Iterator[dict[str, Any]]:
    """Yields a row for each image."""
    averaged = {"accuracy": [models[served_name(models)]]}
    averaged |= {name: [models[name]] for name in VARIANTS if name in models}
    members = [model for name, model in models.items() if name.startswith(ENSEMBLE_OF)]
    ensembles = {"ensemble": members} if len(members) > 1 else {}
    return evaluation.rows(averaged, data, split, ensembles)
