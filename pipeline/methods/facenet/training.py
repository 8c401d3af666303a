"""How FaceNet's networks and its baseline are trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ....components.base.errors import BadDataError
from .options import TrainerOptions, networks

if TYPE_CHECKING:
    import keras
    import numpy as np

    from ....components.base.transformed_data import TransformedData
    from ....components.trainer.fit import Fit, TrainingSummary

METRIC = "lmnn"
LEAST_SIDES = {"convolutional": 32, "fisher": 42}
"""Pixels of an image that the networks need."""
COMPONENTS = "principal_components"
METRIC_STEPS = 300


def fits(parameters: TrainerOptions, data: TransformedData) -> list[Fit]:
    """The network, those it is compared with, and the baseline.

    Raises:
        BadDataError: the images are too small or too few for the parameters.
    """
    _check_data(parameters, data)
    found = [_network_fit(name, chosen, data) for name, chosen in networks(parameters).items()]
    return [*found, _metric_fit(parameters, data)] if parameters.baselines else found


def _check_data(parameters: TrainerOptions, data: TransformedData) -> None:
    """Refuses what would fail in the networks or in the first batch, with the options to change."""
    from ....components.data.faces import parsing

    chosen = networks(parameters).values()
    height, width, _ = parsing.image_shape(data)
    least = max(_least_side(each) for each in chosen)
    if min(height, width) < least:
        raise BadDataError(
            f"The network takes images of at least {least} × {least} pixels; give "
            f"--set transform.height={max(height, least)} "
            f"--set transform.width={max(width, least)}, or larger ones. "
            f"Received: images {height} high and {width} wide"
        )
    numbers = [each.embedding_size for each in chosen if each.network == "fisher"]
    if max(numbers, default=0) > parsing.count(data, "train"):
        raise BadDataError(
            "The network fisher needs as many images in the split train as an embedding has "
            f"numbers; give --set trainer.embedding_size={parsing.count(data, 'train')} or less. "
            f"Received: {max(numbers)} numbers"
        )
    counts = parsing.identity_counts(data, "train")
    for each in chosen:
        _check_batches(each, counts)


def _least_side(parameters: TrainerOptions) -> int:
    """Returns how many pixels the sides of an image must have for a network."""
    shrink = parameters.shrink if parameters.network == "convolutional" else 1
    return math.ceil(LEAST_SIDES[parameters.network] * shrink)


def _check_batches(parameters: TrainerOptions, counts: np.ndarray) -> None:
    """Refuses batches that people with so many images do not fill."""
    from ....components.data.faces.identity_batches import most_identities

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


def _network_fit(name: str, parameters: TrainerOptions, data: TransformedData) -> Fit:
    if parameters.network == "fisher":
        return _fisher_fit(name, parameters, data)
    from ....components.data.faces import parsing

    def build():
        from ....models.facenet.networks import resized, small_network

        height, width, channels = shape = parsing.image_shape(data)
        smaller = round(height / parameters.shrink), round(width / parameters.shrink), channels
        model = small_network(
            smaller,
            parameters.embedding_size,
            maps=tuple(parameters.maps),
            dropout=parameters.dropout,
        )
        return _compiled(model if smaller == shape else resized(model, shape), parameters)

    def finish(model):
        from ....models.facenet.networks import mirrored

        return mirrored(model) if parameters.mirrored else model

    return _triplet_fit(
        name,
        parameters,
        data,
        build=build,
        train=lambda augment: _batches(parameters, data, augment=augment),
        finish=finish,
    )


def _fisher_fit(name: str, parameters: TrainerOptions, data: TransformedData) -> Fit:
    """Returns the fit of a projection of Fisher vectors, which are computed once, at its start."""
    fixed = None

    def prepare(report):
        from .fisher_training import FisherTraining

        nonlocal fixed
        fixed = FisherTraining.of(
            data, parameters.mixture, parameters.whitened, parameters.strides, report
        )

    def build():
        from ....models.facenet import fisher_head

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
        rows=lambda pixels: fixed.vectors(pixels),
        finish=lambda head: fixed.network(head),
        prepare=prepare,
    )


def _compiled(model: keras.Model, parameters: TrainerOptions) -> keras.Model:
    import keras

    from ....models.facenet import TripletLoss

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
    data: TransformedData,
    build: Callable[[], keras.Model],
    train: Callable[[bool], Any],
    rows: Callable[[np.ndarray], np.ndarray] | None = None,
    finish: Callable[[keras.Model], keras.Model] | None = None,
    prepare: Callable[[Callable[[float], None]], None] | None = None,
) -> Fit:
    """Returns the fit of a model to triplets, measured on held-out people."""
    from ....components.trainer.fit import Fit

    epochs = parameters.steps // parameters.record_every
    held_out = _has_pairs(data, "eval")

    def callbacks():
        from ....models.facenet import CollapseMonitor, MarginSchedule, linear_margin
        from .measured_verification import MeasuredVerification

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


def _metric_fit(parameters: TrainerOptions, data: TransformedData) -> Fit:
    """Returns the fit of the large margin metric on principal components."""
    from ....components.data.faces import parsing
    from ....components.trainer.fit import Fit

    def build():
        import keras

        from ....components.data.images.pixels import to_floats
        from ....models.facenet import LargeMarginLoss, PrincipalProjection
        from ....models.facenet.large_margin import pixel_metric_network

        images = to_floats(parsing.array(data, "train")[0]).numpy()
        projection = PrincipalProjection(
            min(parameters.components, len(images)), whiten=True, name=COMPONENTS
        )
        projection.adapt(images)
        model = pixel_metric_network(parsing.image_shape(data), projection)
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
    data: TransformedData,
    augment: bool,
    vectors: np.ndarray | None = None,
) -> Any:
    from ....components.data.faces import augmentation, parsing

    batches = parsing.balanced_batches(
        data,
        "train",
        identities=parameters.people,
        images=parameters.images,
        singles=parameters.singles,
        seed=1,
        vectors=vectors,
    )
    return augmentation.augment(batches, seed=1) if augment else batches


def _has_pairs(data: TransformedData, split: str) -> bool:
    """Returns whether verification can be measured on a split."""
    from .pairs.paired_images import drawn_images

    try:
        drawn_images(data, split, 4, seed=0)
    except ValueError:
        return False
    return True


def summarize_training(
    parameters: TrainerOptions, logs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> TrainingSummary:
    """Returns a table of the networks: how long each was trained, and what it came to."""
    from ....components.trainer.fit import Table, TrainingSummary

    measured = {
        "held_out_area": "best area under the ROC, held-out people",
        "held_out_accuracy": "accuracy then",
        "held_out_val": "VAL at FAR 0.01 then",
        "active_triplets": "active triplets then",
    }
    rows = []
    for name, each in networks(parameters).items():
        best = max(logs[name], key=lambda row: row.get("held_out_area", -row["loss"]))
        minutes = sum(row["seconds"] for row in logs[name]) / 60
        rows.append(
            [name, each.network, each.people * each.images + each.singles]
            + [len(logs[name]) * each.record_every, round(minutes, 2)]
            + [None if key not in best else round(best[key], 4) for key in measured]
        )
    columns = ["network", "kind", "images a step", "steps", "minutes", *measured.values()]
    return TrainingSummary([Table("Networks", columns, rows)])
