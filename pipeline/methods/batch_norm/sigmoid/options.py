"""What can be set of the sigmoid network and its training."""

from __future__ import annotations

import pydantic

from .....components.base.parameters import HOW, Parameters
from .....components.data.labelled_images.options import TransformOptions
from ..options import check_records


class BinaryOptions(TransformOptions):
    """As for other images, but binary, as in the paper."""

    binarize: bool = pydantic.Field(
        True, description="binary pixels, as in the paper: 0 up to half of the range, else 1"
    )


class TrainerOptions(Parameters):
    """The sigmoid network and its training."""

    compare: bool = pydantic.Field(
        True, description="train the network without batch normalization too"
    )
    repeats: int = pydantic.Field(
        1, ge=1, description="networks of each kind, each with initial weights and order of its own"
    )
    hidden: int = pydantic.Field(3, ge=1, description="hidden layers")
    units: int = pydantic.Field(100, ge=1, description="units of a hidden layer")
    stddev: float = pydantic.Field(
        0.1, gt=0, description="standard deviation of the Gaussian initial weights"
    )
    steps: int = pydantic.Field(50_000, ge=1, description="training steps")
    batch_size: int = pydantic.Field(60, ge=2, description="images a step")
    learning_rate: float = pydantic.Field(0.1, gt=0, description="of plain gradient descent")
    record_every: int = pydantic.Field(
        500, ge=1, description="steps between two records of accuracy and percentiles"
    )
    workers: int = pydantic.Field(
        2,
        ge=1,
        description="networks trained side by side: one small model does not fill two cores",
        json_schema_extra=HOW,
    )

    @pydantic.model_validator(mode="after")
    def _whole_records(self):
        check_records(self.steps, self.record_every)
        return self
