"""The example of a layer, a model or a loss for the conformance suite: instance and inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class LayerExample:
    """A tiny instance of a layer, a model or a loss, on which all conformance tests run.

    Args:
        name: shown in the test's id.
        build: returns a new, unbuilt object with a fixed seed.
        inputs: returns the inputs of a seeded batch as an array or a dict of arrays; for a loss the
            pair `(y_true, y_pred)`.
        targets: returns the targets of the batch; `None` if they are part of the inputs.
        loss: the loss that a model is compiled with; `None` if it has its own.
        integer_inputs: whether the inputs are ids, so that the NaN test does not apply.
        skip: the checks that do not apply, by name, each with the reason.
    """

    name: str
    build: Callable[[], Any]
    inputs: Callable[[int], Any]
    targets: Callable[[int], Any] | None = None
    loss: Any = None
    integer_inputs: bool = False
    skip: dict[str, str] = dataclasses.field(default_factory=dict)
