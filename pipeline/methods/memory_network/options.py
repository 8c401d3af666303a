"""What can be set of bAbI's sources and of the training of memory networks."""

from __future__ import annotations

from typing import Literal

import pydantic

from ....components.base.parameters import HOW, Parameters
from ....components.data.babi.options import FilesOptions
from ....components.data.babi.simulator.parameters import CrossOptions, SimulatorParameters
from ....components.example_gen.component import SplitName

_SPLITS = pydantic.Field(
    {"train": 1},
    min_length=1,
    description=(
        "weights of the hashed splits; the published training questions all train, and the test "
        "files are the split test; {'train': 9, 'eval': 1} keeps a tenth to choose the best epoch"
    ),
)


class SimulatedOptions(SimulatorParameters):
    """The simulator's parameters, and that all its training questions train."""

    splits: dict[SplitName, pydantic.PositiveInt] = _SPLITS


class PublishedOptions(FilesOptions):
    """Which files are read, and that all their training questions train."""

    splits: dict[SplitName, pydantic.PositiveInt] = _SPLITS


class CrossedOptions(CrossOptions):
    """How simulated and published questions are crossed; all training questions train."""

    splits: dict[SplitName, pydantic.PositiveInt] = _SPLITS


class TrainerOptions(Parameters):
    """The memory network, its extensions and its training; `workers` has a default of its own."""

    training: Literal["per_task", "joint"] = pydantic.Field(
        "per_task", description="one model a task, as the paper's table, or one for all tasks"
    )
    adaptive: bool = pydantic.Field(
        True, description="AM: the number of hops and of answer words is learnt"
    )
    ngrams: bool = pydantic.Field(True, description="NG: bags of n-grams beside bags of words")
    nonlinear: bool = pydantic.Field(True, description="NL: two-layer tanh matching")
    embedding_dim: int = pydantic.Field(100, ge=1, description="dimension of the embeddings")
    margin: float = pydantic.Field(0.5, gt=0, description="margin of the ranking losses")
    fact_dropout: float = pydantic.Field(
        0.3, ge=0, lt=1, description="dropout on what looks for the next supporting fact"
    )
    epochs: int = pydantic.Field(40, ge=1, description="passes over the training questions")
    batch_size: int = pydantic.Field(32, ge=1, description="questions a step")
    learning_rate: float = pydantic.Field(0.01, gt=0, description="of Adam, decayed to 0")
    workers: int = pydantic.Field(
        2,
        ge=1,
        description="tasks trained side by side: one small model does not fill two cores",
        json_schema_extra=HOW,
    )
