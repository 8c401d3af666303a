"""A curriculum by the margin of the triplet loss: easy first, then harder."""

import bisect
from collections.abc import Callable, Mapping
from typing import Any

import keras

from ...backend import trace_steps_anew
from .triplet_loss import TripletLoss


class MarginSchedule(keras.callbacks.Callback):
    """Sets the margin of the model's `TripletLoss` before each epoch, and logs it as `margin`.

    It takes effect in the compiled training step: TensorFlow and PyTorch read the margin as a
    variable in each step; with JAX, whose compiled step holds it as a constant, the step is
    compiled again after each change, so that schedules with few changes are faster there.

    The margin depends on the epoch alone: a training resumed at `initial_epoch` continues with the
    margin of that epoch.

    Example:

    ```python
    labels = np.tile(np.arange(8), 16)
    features = np.random.default_rng(0).normal(labels[:, None], 1.0, (128, 16))
    model = keras.Sequential([keras.Input((16,)), UnitEmbedding(4)])
    model.compile("adagrad", loss=TripletLoss())
    schedule = MarginSchedule(linear_margin(0.05, 0.2, epochs=10))
    model.fit(features, labels, batch_size=64, epochs=20, callbacks=[schedule])
    ```

    Args:
        schedule: function from the epoch, an int from 0, to its margin; see `linear_margin` and
            `stepped_margin`.

    Raises:
        ValueError: if the schedule is not callable; at the start of a training, unless the model's
            loss is, or contains, a `TripletLoss` whose margin is a number.
    """

    def __init__(self, schedule: Callable[[int], float]) -> None:
        super().__init__()
        if not callable(schedule):
            raise ValueError(
                "`schedule` must be a function of the epoch, such as `linear_margin(…)` or "
                f"`stepped_margin(…)`. Received: schedule={schedule!r}"
            )
        self.schedule = schedule
        self._losses: list[TripletLoss] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Finds the losses."""
        parts = keras.tree.flatten(getattr(self.model, "loss", None))
        self._losses = [part for part in parts if isinstance(part, TripletLoss)]
        if not self._losses or any(loss.margin == "soft" for loss in self._losses):
            raise ValueError(
                "The model must be compiled with a `TripletLoss` whose margin is a number. "
                f"Received: loss={self.model.loss!r}"
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets the margin of this epoch."""
        margin = float(self.schedule(epoch))
        if any(loss.margin != margin for loss in self._losses):
            for loss in self._losses:
                loss.margin = margin
            trace_steps_anew(self.model)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs the margin."""
        if logs is not None:
            logs["margin"] = self._losses[0].margin


def linear_margin(first: float, last: float, epochs: int) -> Callable[[int], float]:
    """Returns a schedule: `first` in epoch 0, `last` from epoch `epochs` on, linear between.

    Args:
        first: float, the margin to begin with.
        last: float, the margin to end with.
        epochs: int, at least 1.
    """
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1. Received: epochs={epochs}")

    def schedule(epoch):
        return first + (last - first) * min(epoch / epochs, 1.0)

    return schedule


def stepped_margin(steps: Mapping[int, float]) -> Callable[[int], float]:
    """Returns a schedule that holds each margin until the next.

    Example:

    ```python
    stepped_margin({0: 0.05, 5: 0.1, 10: 0.2})
    ```

    Args:
        steps: dict from the first epoch of a margin to the margin; epoch 0 must be among them.
    """
    if 0 not in steps:
        raise ValueError(f"`steps` must have a margin for epoch 0. Received: steps={steps}")
    epochs = sorted(steps)

    def schedule(epoch):
        return steps[epochs[bisect.bisect_right(epochs, epoch) - 1]]

    return schedule
