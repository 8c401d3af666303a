"""A callback that follows a measure on a split which nothing in the training depends on."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class MeasuredSplit(keras.callbacks.Callback):
    """Evaluates the model at the end of each epoch and logs the metrics as `<prefix>_<metric>`.

    For curves over training, such as the test accuracy by step in a paper's figure. These logs do
    not choose the best epoch; a fit's `monitor` does.

    Args:
        prefix: string. What the names of the logs begin with, for instance `test`.
        data: batches, as `evaluate` takes them.
    """

    def __init__(self, prefix: str, data: tf.data.Dataset):
        super().__init__()
        self.prefix = prefix
        self.data = data

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the measures to the logs."""
        # After a kill the Trainer replays the finished epochs with their logs.
        if logs is None or f"{self.prefix}_loss" in logs:
            return
        measures = self.model.evaluate(self.data, verbose=0, return_dict=True)
        logs.update({f"{self.prefix}_{name}": value for name, value in measures.items()})
