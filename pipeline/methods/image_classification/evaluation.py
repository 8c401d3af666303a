"""Classifies the images of a split and compares the classes with the truth, row by row."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ....components.data.images.image_files import data_uri, encode_png
from ....components.data.images.pixels import to_floats
from ....components.data.labelled_images.labelled_images import LabelledImages
from .predicting import BATCH, compile_models

WITH_IMAGE = 200
"""Wrong answers whose image is kept: enough to look at, few enough for a small file."""

NO_ANSWER = "none"
"""What a model answers whose probabilities are not numbers; it is always wrong."""

_TOP = 3


def rows(
    averaged: Mapping[str, Sequence[keras.Model]],
    data: LabelledImages,
    split: str,
    ensembles: Mapping[str, Sequence[keras.Model]] | None = None,
    main: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Yields a row for each image, in the order of the files.

    Args:
        averaged: models by the name of a metric: the mean of their accuracies.
        data: transformed examples.
        split: string.
        ensembles: models by the name of a metric: the accuracy of the class with the largest mean
            of the models' probabilities.
        main: string. The metric by which an answer counts as wrong; by default the first.

    Yields:
        A dict: `id` and `class` (the true one), strings; under each name in `averaged` the share of
        these models that are right, in [0, 1]; under each in `ensembles` 0.0 or 1.0; of the models
        of the main metric `predicted`, the class that most of them answer (of several the one with
        the largest mean probability), and, where they differ, `answers`, how many give which class;
        where one of them is wrong `details`: `id`, `class`, `predicted` (the most frequent wrong
        class), `wrong` (how many of them are), `probabilities` (means of the three largest, by
        class), and for the first 200 `image`, a `data:` address of a PNG. A model whose
        probabilities are not numbers answers `none`, which is wrong.

    Raises:
        ValueError: there is no metric, a metric has no model, or `main` is none of them.
    """
    ensembles = ensembles or {}
    metrics = {**averaged, **ensembles}
    main = main or next(iter(metrics), None)
    if main not in metrics or not all(metrics.values()) or averaged.keys() & ensembles.keys():
        counts = {name: len(models) for name, models in metrics.items()}
        raise ValueError(
            f"Each metric must have models and a name of its own, and main be one of them. "
            f"Received: models by metric {counts}, main={main!r}"
        )
    compiled = compile_models([model for models in metrics.values() for model in models], data)
    # What is not a number has the index -1.
    names = [*data.classes, NO_ANSWER]
    with_image = 0
    for images, labels, ids in data.parsed(split, BATCH):
        inputs = to_floats(images)
        predicted = {key: predict(inputs).numpy() for key, predict in compiled.items()}
        probabilities = {
            name: np.stack([predicted[id(model)] for model in models])
            for name, models in metrics.items()
        }
        for name in ensembles:
            probabilities[name] = probabilities[name].mean(axis=0, keepdims=True)
        answers = {
            name: np.where(np.isfinite(values).all(axis=-1), values.argmax(axis=-1), -1)
            for name, values in probabilities.items()
        }
        right = {name: (values == labels).mean(axis=0) for name, values in answers.items()}
        means = np.nan_to_num(probabilities[main].mean(axis=0))
        for index, label in enumerate(labels):
            row: dict[str, Any] = {
                "id": ids[index].decode(),
                "class": names[label],
                **{name: float(values[index]) for name, values in right.items()},
            }
            votes: collections.Counter[int] = collections.Counter(answers[main][:, index].tolist())
            row["predicted"] = names[_most(votes, means[index])]
            if len(votes) > 1:
                row["answers"] = {names[answer]: votes[answer] for answer in sorted(votes)}
            if row[main] < 1:
                row["details"] = _details(row, names, label, votes, means[index])
                if with_image < WITH_IMAGE:
                    row["details"]["image"] = data_uri(encode_png(images[index]))
                    with_image += 1
            yield row


def _most(votes: Mapping[int, int], means: np.ndarray) -> int:
    return max(votes, key=lambda answer: (votes[answer], means[answer]))


def _details(
    row: Mapping[str, Any],
    names: Sequence[str],
    label: int,
    votes: Mapping[int, int],
    means: np.ndarray,
) -> dict[str, Any]:
    wrong = {answer: count for answer, count in votes.items() if answer != label}
    top = np.argsort(-means, kind="stable")[:_TOP]
    return {
        "id": row["id"],
        "class": row["class"],
        "predicted": names[_most(wrong, means)],
        "wrong": f"{sum(wrong.values())} of {sum(votes.values())}",
        "probabilities": {names[number]: round(float(means[number]), 4) for number in top},
    }
