"""Accuracy of the networks with batch normalization and without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras

from .....components.data.labelled_images.labelled_images import LabelledImages
from ...image_classification import evaluation
from .networks import WITH, WITHOUT, of_kind


def evaluate(
    models: Mapping[str, keras.Model], data: LabelledImages, split: str, parameters: Any
) -> Iterator[dict[str, Any]]:
    """Yields a row for each image."""
    metrics = {"accuracy": of_kind(models, WITH), "accuracy_without": of_kind(models, WITHOUT)}
    trained = {name: networks for name, networks in metrics.items() if networks}
    return evaluation.rows(trained, data, split)
