"""What a layer or a loss hands to the conformance suite: how to build it, and what to feed it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class LayerExample:
    """A tiny instance of a layer, a model or a loss, which every conformance test runs.

    Args:
        name: shown in the test's id.
        build: returns a new, unbuilt object with a fixed seed.
        inputs: returns `batch` seeded examples as NumPy arrays: what `object(...)` takes (an
            array, or a dict of arrays). For a loss: the pair `(y_true, y_pred)`.
        targets: for a model that `fit` trains with targets: the same for the targets; `None` if the
            targets are part of the inputs.
        loss: the loss that such a model is compiled with; `None` if it has its own.
        integer_inputs: the inputs are ids, so the NaN test does not apply.
        skip: conformance checks that do not apply, each with the reason.
    """

    name: str
    build: Callable[[], Any]
    inputs: Callable[[int], Any]
    targets: Callable[[int], Any] | None = None
    loss: Any = None
    integer_inputs: bool = False
    skip: dict[str, str] = dataclasses.field(default_factory=dict)
