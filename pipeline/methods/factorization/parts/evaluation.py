"""Measures how well images are put together from components, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from .....components.data.images.image_files import data_uri, encode_png
from .....components.data.images.pixels import to_floats
from .....components.data.labelled_images.labelled_images import LabelledImages
from .....components.evaluator.metric import Plotted
from .networks import KINDS
from .plotted import plotted, to_pixels

BATCH = 500
WITH_IMAGE = 200
"""Rows whose image is kept: enough to look at, few enough for a small file."""


def evaluate(
    models: Mapping[str, keras.Model], data: LabelledImages, split: str, parameters: Any = None
) -> Iterator[dict[str, Any] | Plotted]:
    """Yields a row for each image, in the order of the files.

    Args:
        models: models from images `(B, H, W, C)` to `codes` `(B, rank)` and `reconstruction`, by
            kind: `nmf`, `pca`, `vq`.
        data: images.
        split: string.
        parameters: of the Evaluator.

    Yields:
        A dict: `id`; for each suffix `error<suffix>`, the root of the mean squared difference of
        the pixels, in [0, 1]; `used<suffix>`, how many components the image is effectively made
        of: `(Σ|a|)² / Σa²` over the contributions `a` of the components, each a code times the
        length of its component; 0 for an image that is coded as nothing. For the first 200
        `details`: `id`, `image` and `reconstruction`, `data:` addresses of PNGs.
    """
    by_suffix = {"" if kind == "nmf" else f"_{kind}": models[kind] for kind in KINDS}
    lengths = {
        suffix: np.linalg.norm(keras.ops.convert_to_numpy(model.coder.components), axis=1)
        for suffix, model in by_suffix.items()
    }
    pictured = 0
    for images, _, ids in data.parsed(split, BATCH):
        inputs = to_floats(images)
        metrics: dict[str, np.ndarray] = {}
        restored = {}
        for suffix, model in by_suffix.items():
            outputs = model(inputs, training=False)
            restored[suffix] = outputs["reconstruction"].numpy()
            difference = restored[suffix] - inputs.numpy()
            metrics[f"error{suffix}"] = np.sqrt((difference**2).mean(axis=(1, 2, 3)))
            contributions = np.abs(outputs["codes"].numpy()) * lengths[suffix]
            total, square = contributions.sum(axis=1), (contributions**2).sum(axis=1)
            metrics[f"used{suffix}"] = np.divide(
                total**2, square, out=np.zeros_like(total), where=square > 0
            )
        main = next(iter(restored.values()))
        for index, identity in enumerate(ids):
            row: dict[str, Any] = {"id": identity.decode()}
            row.update({name: float(values[index]) for name, values in metrics.items()})
            if pictured < WITH_IMAGE:
                row["details"] = {
                    "id": row["id"],
                    "image": data_uri(encode_png(images[index])),
                    "reconstruction": data_uri(encode_png(to_pixels(main[index]))),
                }
                pictured += 1
            yield row
    yield Plotted(plotted(models, data, split))
