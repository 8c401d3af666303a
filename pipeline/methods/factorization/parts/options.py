"""What can be set of the parts and how they are learned."""

from __future__ import annotations

from typing import Literal

import pydantic

from .....components.base.parameters import Parameters
from .....components.data.labelled_images.options import TransformOptions


class UnlabelledOptions(TransformOptions):
    """As for other images, but a face may be of a person whom the training images lack."""

    unknown_classes: bool = pydantic.Field(
        True, description="keep images of classes that training lacks: labels are not looked at"
    )


class TrainerOptions(Parameters):
    """The parts and how they are learned."""

    rank: int = pydantic.Field(16, ge=1, description="components of each kind")
    loss: Literal["euclidean", "divergence"] = pydantic.Field(
        "divergence", description="what the factorization minimises"
    )
    epochs: int = pydantic.Field(100, ge=1, description="passes over the images")
    batch_size: int = pydantic.Field(
        2000, ge=1, description="images a step; fewer than there are: past steps count on"
    )
    iterations: int = pydantic.Field(
        30, ge=1, description="rounds of the multiplicative rule that find an image's codes"
    )
