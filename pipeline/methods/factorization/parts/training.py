"""The factorization of images, and its two baselines, which are computed at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from .....components.data.labelled_images.labelled_images import LabelledImages
from .....components.trainer.fit import Fit
from .....models.factorization import (
    NonNegativeFactorization,
    PartsModel,
    PrincipalComponents,
    VectorQuantization,
)
from .networks import KINDS

if TYPE_CHECKING:
    from .options import TrainerOptions


def fits(parameters: TrainerOptions, data: LabelledImages) -> list[Fit]:
    """The factorization, and the baselines, which are computed at once."""
    return [_fit(kind, parameters, data) for kind in KINDS]


def _fit(kind: str, parameters: TrainerOptions, data: LabelledImages) -> Fit:
    size = data.count("train")
    batch_size = min(parameters.batch_size, size)
    has_eval = data.count("eval") > 0

    def build() -> keras.Model:
        model = PartsModel(_coder(kind, parameters, data, 1 - batch_size / size), name=kind)
        model.build((None, *data.image_shape))
        model.compile()
        return model

    return Fit(
        name=kind,
        build=build,
        train=lambda: data.batches("train", batch_size, seed=1, drop_remainder=True),
        validation=(lambda: data.batches("eval", batch_size)) if has_eval else None,
        epochs=parameters.epochs if kind == "nmf" else 1,
        monitor="val_loss" if has_eval else "loss",
    )


def _coder(kind: str, parameters: TrainerOptions, data: LabelledImages, momentum: float) -> Any:
    if kind == "nmf":
        return NonNegativeFactorization(
            parameters.rank,
            loss=parameters.loss,
            update="multiplicative",
            iterations=parameters.iterations,
            momentum=momentum,
        )
    coder = {"pca": PrincipalComponents, "vq": VectorQuantization}[kind](parameters.rank)
    images, _ = data.arrays("train")
    coder.adapt(images.reshape(len(images), -1) / 255.0)
    return coder
