"""The networks of Figure 3: with and without batch normalization, and what else they change."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Literal

Change = Literal["dropout", "l2", "decay", "local_response_norm", "shuffling", "distortion"]
"""What the paper changes beside adding batch normalization and raising the learning rate."""

EVERY_CHANGE: tuple[Change, ...] = (
    "dropout", "l2", "decay", "local_response_norm", "shuffling", "distortion",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Variant:
    """A network of Figure 3.

    Args:
        batch_norm: whether it is batch-normalized.
        speed: its learning rate in units of the baseline's.
        activation: its nonlinearity.
        changed: whether the accompanying changes are made.
    """

    batch_norm: bool
    speed: float
    activation: str
    changed: bool


Network = Literal["inception", "bn_baseline", "bn_x5", "bn_x30", "bn_x5_sigmoid", "sigmoid"]
BASELINE = "inception"
VARIANTS: dict[str, Variant] = {
    BASELINE: Variant(False, 1, "relu", False),
    "bn_baseline": Variant(True, 1, "relu", False),
    "bn_x5": Variant(True, 5, "relu", True),
    "bn_x30": Variant(True, 30, "relu", True),
    "bn_x5_sigmoid": Variant(True, 5, "sigmoid", True),
    "sigmoid": Variant(False, 1, "sigmoid", False),
}
ENSEMBLE_OF = "bn_x30"
SERVED_FIRST = ("bn_x5", *VARIANTS)
"""The network that is served: the first of these that was trained."""


def served_name(names: Iterable[str]) -> str:
    """Returns the name of the network that is served."""
    names = list(names)
    return next((name for name in SERVED_FIRST if name in names), names[0])
