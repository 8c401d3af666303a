"""The sigmoid network with batch normalization and without, trained side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from .....components.data.labelled_images.labelled_images import LabelledImages
from .....components.trainer.fit import Fit
from .....components.trainer.measured_split import MeasuredSplit
from .....models.batch_norm import (
    ActivationPercentiles,
    estimate_population_statistics,
    sigmoid_network,
)
from ..training import steps_per_execution
from .networks import WITH, WITHOUT

if TYPE_CHECKING:
    from .options import TrainerOptions

WATCHED_IMAGES = 1000
WATCHED_UNIT = 0


def fits(parameters: TrainerOptions, data: LabelledImages) -> list[Fit]:
    """The network with batch normalization and the one without, `repeats` times."""
    kinds = (WITH, WITHOUT) if parameters.compare else (WITH,)
    return [
        network_fit(kind, number, parameters, data)
        for number in range(1, parameters.repeats + 1)
        for kind in kinds
    ]


def network_fit(kind: str, number: int, parameters: TrainerOptions, data: LabelledImages) -> Fit:
    """Returns the fit of one network."""
    batch_size = min(parameters.batch_size, data.count("train"))

    def build() -> keras.Model:
        model = sigmoid_network(
            data.image_shape,
            len(data.classes),
            hidden=parameters.hidden,
            units=parameters.units,
            batch_norm=kind == WITH,
            stddev=parameters.stddev,
            name=f"{kind}_{number}",
        )
        model.compile(
            keras.optimizers.SGD(parameters.learning_rate),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            # Steps of half a millisecond: the way from Python to the graph would take as long.
            steps_per_execution=steps_per_execution(parameters.record_every, 50),
            # XLA gains nothing on layers this small, and compiles for seconds.
            jit_compile=False,
        )
        return model

    def callbacks() -> list[keras.callbacks.Callback]:
        (watched, _) = next(iter(data.batches("train", WATCHED_IMAGES)))
        percentiles = ActivationPercentiles(
            watched.numpy(),
            layers=[f"hidden_{parameters.hidden}_sigmoid"],
            side="input",
            unit=WATCHED_UNIT,
        )
        if not data.count("test"):
            return [percentiles]
        return [percentiles, MeasuredSplit("test", data.batches("test", 1000))]

    def finish(model: keras.Model) -> None:
        # Population statistics over the training split, Algorithm 2.
        batches = data.batches("train", batch_size, seed=0, drop_remainder=True)
        estimate_population_statistics(model, batches)

    has_eval = data.count("eval") > 0
    return Fit(
        name=f"{kind}_{number}",
        build=build,
        # The same order for both kinds: what differs is the network.
        train=lambda: data.batches(
            "train", batch_size, seed=number, repeat=True, drop_remainder=True
        ),
        validation=(lambda: data.batches("eval", 1000)) if has_eval else None,
        epochs=parameters.steps // parameters.record_every,
        steps_per_epoch=parameters.record_every,
        monitor="val_accuracy" if has_eval else "loss",
        mode="max" if has_eval else "min",
        callbacks=callbacks,
        finish=finish if kind == WITH else None,
    )
