"""What can be set of the Inception networks and their training."""

from __future__ import annotations

from typing import get_args

import pydantic

from .....components.base.parameters import HOW, Parameters
from ..options import check_records
from .variants import EVERY_CHANGE, Change, Network


class TrainerOptions(Parameters):
    """The networks, what accompanies batch normalization in the paper, and their training."""

    variants: list[Network] = pydantic.Field(
        list(get_args(Network)), min_length=1, description="networks to train"
    )
    ensemble: int = pydantic.Field(
        0, ge=0, description="networks of the ensemble of bn_x30, 6 in the paper; 0 for none"
    )
    changes: list[Change] = pydantic.Field(
        list(EVERY_CHANGE),
        description=(
            "what the ×5 and ×30 networks do otherwise: no dropout, a fifth of the L2 penalty, "
            "6 times faster decay of the learning rate, no local response normalization, batches "
            "drawn anew in each pass, no photometric distortion"
        ),
    )
    width: float = pydantic.Field(0.75, gt=0, description="scales the number of feature maps")
    steps: int = pydantic.Field(3000, ge=1, description="training steps")
    batch_size: int = pydantic.Field(32, ge=2, description="images a step")
    learning_rate: float = pydantic.Field(
        0.03, gt=0, description="of the baseline: gradient descent with momentum 0.9"
    )
    halve_after: int = pydantic.Field(
        3000, ge=1, description="steps in which the baseline's learning rate decays to its half"
    )
    dropout: float = pydantic.Field(0.2, ge=0, lt=1, description="of the baseline")
    l2: float = pydantic.Field(1e-4, ge=0, description="L2 penalty on the baseline's kernels")
    photometric: float = pydantic.Field(
        0.2, ge=0, le=1, description="distortion of brightness and contrast for the baseline"
    )
    shift: int = pydantic.Field(4, ge=0, description="pixels by which images are shifted at random")
    flip: bool = pydantic.Field(True, description="mirror half of the images; not for digits")
    record_every: int = pydantic.Field(
        100, ge=1, description="steps between two records of the validation accuracy"
    )
    population_batches: int = pydantic.Field(
        200, ge=1, description="training batches over which population statistics are averaged"
    )
    jit_compile: bool = pydantic.Field(True, description="compile the steps with XLA")
    workers: int = pydantic.Field(
        2, ge=1, description="networks trained side by side", json_schema_extra=HOW
    )

    @pydantic.model_validator(mode="after")
    def _whole_records(self):
        check_records(self.steps, self.record_every)
        return self

    @pydantic.field_validator("variants", "changes")
    @classmethod
    def _named_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError(f"each may be named once. Received: {', '.join(value)}")
        return value
