"""How FaceNet's networks and its baseline are trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ....components.base.errors import BadDataError
from ....components.data.faces import augmentation
from ....components.data.faces.faces import Faces
from ....components.data.faces.identity_batches import most_identities
from ....components.data.images.pixels import to_floats
from ....components.trainer.fit import Fit
from ....models.facenet import (
    CollapseMonitor,
    LargeMarginLoss,
    MarginSchedule,
    PrincipalProjection,
    TripletLoss,
    fisher_head,
    linear_margin,
    mirrored,
    resized,
    small_network,
)
from ....models.facenet.large_margin.pixel_metric_network import pixel_metric_network
from .fisher_training import FisherTraining
from .measured_verification import MeasuredVerification
from .networks import COMPONENTS, METRIC, networks
from .pairs.paired_images import drawn_images

if TYPE_CHECKING:
    from .options import TrainerOptions

LEAST_SIDES = {"convolutional": 32, "fisher": 42}
"""Pixels of an image that the networks need."""
METRIC_STEPS = 300


def fits(parameters: TrainerOptions, data: Faces) -> list[Fit]:
    """The network, those it is compared with, and the baseline.

    Raises:
        BadDataError: the images are too small or too few for the parameters.
    """
    _check_data(parameters, data)
    fits = [_network_fit(name, chosen, data) for name, chosen in networks(parameters).items()]
    return [*fits, _metric_fit(parameters, data)] if parameters.baselines else fits


def _check_data(parameters: TrainerOptions, data: Faces) -> None:
    """Refuses what would fail in the networks or in the first batch, with the options to change."""

    chosen = networks(parameters).values()
    height, width, _ = data.image_shape
    least = max(_least_side(network) for network in chosen)
    if min(height, width) < least:
        raise BadDataError(
            f"The network takes images of at least {least} × {least} pixels; give "
            f"--set transform.height={max(height, least)} "
            f"--set transform.width={max(width, least)}, or larger ones. "
            f"Received: images {height} high and {width} wide"
        )
    numbers = [network.embedding_size for network in chosen if network.network == "fisher"]
    if max(numbers, default=0) > data.count("train"):
        raise BadDataError(
            "The network fisher needs as many images in the split train as an embedding has "
            f"numbers; give --set trainer.embedding_size={data.count('train')} or less. "
            f"Received: {max(numbers)} numbers"
        )
    counts = data.identity_counts("train")
    for network in chosen:
        _check_batches(network, counts)


def _least_side(parameters: TrainerOptions) -> int:
    """Returns how many pixels the sides of an image must have for a network."""
    shrink = parameters.shrink if parameters.network == "convolutional" else 1
    return math.ceil(LEAST_SIDES[parameters.network] * shrink)


def _check_batches(parameters: TrainerOptions, counts: np.ndarray) -> None:
    """Refuses batches that people with so many images do not fill."""

    people, images, singles = parameters.people, parameters.images, int((counts == 1).sum())
    fitting = {size: most_identities(counts, size) for size in range(images, 1, -1)}
    received = (
        f"Received: people={people}, images={images}, singles={parameters.singles}, and in the "
        f"split train {len(counts) - singles:,} people with two images or more and {singles:,} "
        "with one"
    )
    if fitting[2] < 2:
        raise BadDataError(
            "Triplets need two people with two images each or more in the split train; give more "
            f"images. {received}"
        )
    if fitting[images] < people:
        most, fewer = fitting[images], next((n for n, most in fitting.items() if most >= people), 0)
        choices = [f"--set trainer.people={most}"] if most > 1 else []
        choices += [f"--set trainer.images={fewer}"] if fewer else []
        if not choices:
            choices = [f"--set trainer.people={fitting[2]} --set trainer.images=2"]
        raise BadDataError(
            "A batch needs `people` people with `images` images of each; with this data give at "
            f"most {' or '.join(choices)}. {received}"
        )
    if parameters.singles > singles:
        raise BadDataError(
            "The singles of a batch are people of whom there is one image; with this data give at "
            f"most --set trainer.singles={singles}. {received}"
        )


def _network_fit(name: str, parameters: TrainerOptions, data: Faces) -> Fit:
    if parameters.network == "fisher":
        return _fisher_fit(name, parameters, data)

    def build():
        height, width, channels = shape = data.image_shape
        smaller = round(height / parameters.shrink), round(width / parameters.shrink), channels
        model = small_network(
            smaller,
            parameters.embedding_size,
            maps=tuple(parameters.maps),
            dropout=parameters.dropout,
        )
        return _compiled(model if smaller == shape else resized(model, shape), parameters)

    def finish(model):
        return mirrored(model) if parameters.mirrored else model

    return _triplet_fit(
        name,
        parameters,
        data,
        build=build,
        train=lambda augment: _batches(parameters, data, augment=augment),
        finish=finish,
    )


def _fisher_fit(name: str, parameters: TrainerOptions, data: Faces) -> Fit:
    """Returns the fit of a projection of Fisher vectors, which are computed once, at its start."""
    fixed = FisherTraining(data, parameters.mixture, parameters.whitened, parameters.strides)

    def build() -> keras.Model:
        head = fisher_head(fixed.projection, parameters.embedding_size, parameters.dropout)
        return _compiled(head, parameters)

    return _triplet_fit(
        name,
        parameters,
        data,
        build=build,
        train=lambda augment: _batches(
            parameters, data, augment=False, vectors=fixed.training_vectors
        ),
        rows=fixed.vectors,
        finish=fixed.network,
        prepare=fixed.prepare,
    )


def _compiled(model: keras.Model, parameters: TrainerOptions) -> keras.Model:

    warm_up = parameters.steps // 20
    rate = keras.optimizers.schedules.CosineDecay(
        parameters.learning_rate / 20,
        parameters.steps - warm_up,
        warmup_target=parameters.learning_rate,
        warmup_steps=warm_up,
    )
    model.compile(
        keras.optimizers.Adam(rate),
        TripletLoss(parameters.margin, selection=parameters.selection, average=parameters.average),
    )
    return model


def _triplet_fit(
    name: str,
    parameters: TrainerOptions,
    data: Faces,
    build: Callable[[], keras.Model],
    train: Callable[[bool], Any],
    rows: Callable[[np.ndarray], np.ndarray] | None = None,
    finish: Callable[[keras.Model], keras.Model] | None = None,
    prepare: Callable[[Callable[[float], None]], None] | None = None,
) -> Fit:
    """Returns the fit of a model to triplets, measured on held-out people."""
    epochs = parameters.steps // parameters.record_every
    held_out = _has_pairs(data, "eval")

    def callbacks():
        watched, labels = next(iter(train(False)))
        chosen = [CollapseMonitor(watched.numpy(), labels.numpy())]
        if held_out:
            measured = MeasuredVerification(data, "eval", prefix="held_out", far=0.01, prepare=rows)
            chosen.append(measured)
        if parameters.first_margin:
            margins = linear_margin(parameters.first_margin, parameters.margin, epochs - 1)
            chosen.append(MarginSchedule(margins))
        return chosen

    return Fit(
        name=name,
        build=build,
        train=lambda: train(parameters.augment),
        epochs=epochs,
        steps_per_epoch=parameters.record_every,
        monitor="held_out_area" if held_out else "loss",
        mode="max" if held_out else "min",
        callbacks=callbacks,
        finish=finish,
        prepare=prepare,
    )


def _metric_fit(parameters: TrainerOptions, data: Faces) -> Fit:
    """Returns the fit of the large margin metric on principal components."""

    def build():

        images = to_floats(data.array("train")[0]).numpy()
        projection = PrincipalProjection(
            min(parameters.components, len(images)), whiten=True, name=COMPONENTS
        )
        projection.adapt(images)
        model = pixel_metric_network(data.image_shape, projection)
        model.compile(keras.optimizers.Adam(1e-3), LargeMarginLoss())
        return model

    return Fit(
        name=METRIC,
        build=build,
        train=lambda: _batches(parameters, data, augment=False),
        epochs=max(1, min(METRIC_STEPS, parameters.steps) // parameters.record_every),
        steps_per_epoch=parameters.record_every,
        monitor="loss",
    )


def _batches(
    parameters: TrainerOptions,
    data: Faces,
    augment: bool,
    vectors: np.ndarray | None = None,
) -> Any:

    batches = data.balanced_batches(
        "train",
        identities=parameters.people,
        images=parameters.images,
        singles=parameters.singles,
        seed=1,
        vectors=vectors,
    )
    return augmentation.augment(batches, seed=1) if augment else batches


def _has_pairs(data: Faces, split: str) -> bool:
    """Returns whether verification can be measured on a split."""

    try:
        drawn_images(data, split, 4, seed=0)
    except ValueError:
        return False
    return True
