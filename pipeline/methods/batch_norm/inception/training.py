"""The variants and the ensemble, each trained apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from .....components.data.labelled_images import augmentation
from .....components.data.labelled_images.labelled_images import LabelledImages
from .....components.trainer.fit import Fit
from .....models.batch_norm import estimate_population_statistics, inception_network
from ..training import steps_per_execution
from .variants import ENSEMBLE_OF, VARIANTS, Variant

if TYPE_CHECKING:
    from .options import TrainerOptions

L2_DIVISOR = 5
DECAY_SPEED = 6
VALIDATION_ACCURACY = "val_accuracy"
ENSEMBLE_DROPOUT = (0.0, 0.05, 0.1)
"""Section 4.2.3 gives some of the ensemble's networks a dropout of 5 or 10 %."""


def fits(parameters: TrainerOptions, data: LabelledImages) -> list[Fit]:
    """The variants in the paper's order, then the further networks of the ensemble."""
    networks = [
        network_fit(name, VARIANTS[name], parameters, data)
        for name in VARIANTS
        if name in parameters.variants
    ]
    for number in range(1, parameters.ensemble + 1):
        if number == 1 and ENSEMBLE_OF in parameters.variants:
            continue  # bn_x30 itself is the first.
        dropout = ENSEMBLE_DROPOUT[(number - 1) % len(ENSEMBLE_DROPOUT)]
        variant = VARIANTS[ENSEMBLE_OF]
        networks.append(
            network_fit(f"{ENSEMBLE_OF}_{number}", variant, parameters, data, number, dropout)
        )
    return networks


def network_fit(
    name: str,
    variant: Variant,
    parameters: TrainerOptions,
    data: LabelledImages,
    number: int = 1,
    dropout: float | None = None,
) -> Fit:
    """Returns the fit of one network.

    Args:
        name: the fit's name.
        variant: what it is.
        parameters: the Trainer's.
        data: transformed examples.
        number: of the order of its data.
        dropout: in place of the variant's.
    """

    changes = set(parameters.changes) if variant.changed else set()
    classes = len(data.classes)
    batch_size = min(parameters.batch_size, data.count("train"))
    if dropout is None:
        dropout = 0.0 if "dropout" in changes else parameters.dropout

    def build():

        model = inception_network(
            data.image_shape,
            classes,
            width=parameters.width,
            batch_norm=variant.batch_norm,
            activation=variant.activation,
            local_response_norm="local_response_norm" not in changes,
            dropout=dropout,
            l2=parameters.l2 / (L2_DIVISOR if "l2" in changes else 1),
            name=name,
        )
        decay = keras.optimizers.schedules.ExponentialDecay(
            parameters.learning_rate * variant.speed,
            parameters.halve_after / (DECAY_SPEED if "decay" in changes else 1),
            0.5,
        )
        model.compile(
            keras.optimizers.SGD(decay, momentum=0.9),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            steps_per_execution=steps_per_execution(parameters.record_every, 10),
            jit_compile=parameters.jit_compile,
        )
        return model

    def train():
        # Without thorough shuffling the same images meet in the same batches in every pass.
        seed = number if "shuffling" in changes else None
        batches = data.batches("train", batch_size, seed=seed, repeat=True, drop_remainder=True)
        photometric = 0.0 if "distortion" in changes else parameters.photometric
        return augmentation.augment(
            batches,
            seed=number,
            shift=parameters.shift,
            flip=parameters.flip,
            brightness=photometric,
            contrast=photometric,
        )

    def finish(model):

        estimate_population_statistics(model, train(), steps=parameters.population_batches)

    has_eval = data.count("eval") > 0
    return Fit(
        name=name,
        build=build,
        train=train,
        validation=(lambda: data.batches("eval", 250)) if has_eval else None,
        epochs=parameters.steps // parameters.record_every,
        steps_per_epoch=parameters.record_every,
        monitor=VALIDATION_ACCURACY if has_eval else "loss",
        mode="max" if has_eval else "min",
        finish=finish if variant.batch_norm else None,
    )
