"""The Keras callbacks that the Trainer adds to a fit's own, each with one job.

Keras' own callbacks do not suffice: `TerminateOnNaN` ends training as if it were complete,
`CSVLogger` and `ModelCheckpoint` support neither remote folders nor resuming, and for
`BackupAndRestore` see `Checkpoints`.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from .checkpoints import Checkpoints
from .epoch_log import EpochLog
from .fit import Fit

START: dict[str, Any] = {"epoch": 0, "ended": False, "best": {}, "rows": []}
"""The state of a fit without a checkpoint."""

_PROGRESS_SECONDS = 0.5


class TrainingDivergedError(ArithmeticError):
    """The training loss became infinite or not a number."""


class SeedEpochs(keras.callbacks.Callback):
    """Makes Python's and NumPy's generators a function of the epoch alone."""

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Seeds both generators."""
        random.seed(self.seed + epoch)
        np.random.seed((self.seed + epoch) % 2**32)


class CheckLoss(keras.callbacks.Callback):
    """Raises `TrainingDivergedError` if the loss is infinite or not a number."""

    def __init__(self, fit: Fit):
        super().__init__()
        self.fit = fit
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes the epoch."""
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Checks the loss."""
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(float(loss)):
            raise TrainingDivergedError(
                f"Training of {self.fit.name!r} diverged in epoch {self.epoch}, batch {batch + 1}: "
                "the loss must be finite. A smaller learning rate or gradient clipping may help. "
                f"Received: loss={float(loss)}"
            )


class CheckSteps(keras.callbacks.Callback):
    """Raises `ValueError` if the data ends before an epoch of `steps_per_epoch` is complete."""

    def __init__(self, fit: Fit):
        super().__init__()
        self.fit = fit
        self.steps = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts the steps."""
        self.steps = batch + 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Checks the count."""
        if self.fit.steps_per_epoch is not None and self.steps < self.fit.steps_per_epoch:
            raise ValueError(
                "With `steps_per_epoch` the train data of a fit must repeat: end it with "
                f"`repeat()`. Received: data that end after {self.steps} of "
                f"{self.fit.steps_per_epoch} steps in epoch {epoch + 1} of {self.fit.name!r}"
            )


class KeepBestWeights(keras.callbacks.Callback):
    """Keeps the weights of the best epoch.

    Attributes:
        best: `epoch` (from 1) and `value` of the best epoch so far.
        weights: its weights.
    """

    def __init__(self, fit: Fit, monitor: str, mode: str, best: dict[str, Any]):
        super().__init__()
        self.fit = fit
        self.monitor = monitor
        self.sign = 1 if mode == "min" else -1
        self.best = best
        self.weights: list[np.ndarray] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Copies the model's weights if this is the best epoch."""
        logs = logs or {}
        if self.monitor not in logs:
            raise ValueError(
                f"The fit {self.fit.name!r} keeps the epoch with the best {self.monitor!r}, which "
                f"must be in the logs. Received: {', '.join(logs)}"
            )
        value = float(logs[self.monitor])
        if (
            not self.best
            or math.isnan(self.best["value"])
            or self.sign * value < self.sign * self.best["value"]
        ):
            self.best = {"epoch": epoch + 1, "value": value}
            self.weights = [np.array(weight) for weight in self.model.get_weights()]


class LogEpochs(keras.callbacks.Callback):
    """Collects one row per epoch and writes it to the log.

    Attributes:
        rows: `epoch` (from 1), `seconds` and `logs` of the epochs that are done.
    """

    def __init__(self, folder: str, rows: Sequence[dict[str, Any]]):
        super().__init__()
        self.folder = folder
        self.rows = list(rows)
        self._began = 0.0
        self._log: EpochLog | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Opens the log."""
        self._log = EpochLog(self.folder, self.rows)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock."""
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the epoch."""
        seconds = round(time.monotonic() - self._began, 3)
        values = {name: float(value) for name, value in (logs or {}).items()}
        self.rows.append({"epoch": epoch + 1, "seconds": seconds, "logs": values})
        if self._log is not None:
            self._log.write(self.rows[-1])

    def close(self) -> None:
        """Closes the log, even if training failed."""
        if self._log is not None:
            self._log.close()


class BackUp(keras.callbacks.Callback):
    """Writes checkpoints and resumes from the one that a killed process left.

    Args:
        fit: the fit.
        checkpoints: where they are stored.
        state: the checkpoint to resume from, or `START`.
        seconds: least time between two of them.
        best: its best epoch is saved in each checkpoint.
        log: its rows are saved in each checkpoint.
        others: the fit's own callbacks. Some, such as `ReduceLROnPlateau`, count epochs, so the
            finished epochs are replayed to them.
    """

    def __init__(
        self,
        fit: Fit,
        checkpoints: Checkpoints,
        state: dict[str, Any],
        seconds: float,
        best: KeepBestWeights,
        log: LogEpochs,
        others: Sequence[keras.callbacks.Callback],
    ):
        super().__init__()
        self.fit = fit
        self.checkpoints = checkpoints
        self.state = state
        self.seconds = seconds
        self.best = best
        self.log = log
        self.others = others
        self._kept = time.monotonic()

    def on_train_begin(self, logs: Any = None) -> None:
        """Restores the checkpoint, if there is one."""
        if not self.state["epoch"]:
            return
        # The checkpoint replaces whatever the callbacks set in the model here.
        for row in self.log.rows:
            for callback in self.others:
                callback.on_epoch_begin(row["epoch"] - 1)
                callback.on_epoch_end(row["epoch"] - 1, dict(row["logs"]))
        self.best.weights = self.checkpoints.best_weights(self.model, self.state)
        self.checkpoints.restore(self.model, self.state)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes a checkpoint after the last epoch and whenever `seconds` have passed."""
        ended = bool(self.model.stop_training) or epoch + 1 >= self.fit.epochs
        if ended or time.monotonic() - self._kept >= self.seconds:
            best, rows = self.best.best, self.log.rows
            state = {"epoch": epoch + 1, "ended": ended, "best": best, "rows": rows}
            self.checkpoints.keep(self.model, self.best.weights, state)
            self._kept = time.monotonic()


class ReportProgress(keras.callbacks.Callback):
    """Reports the progress of a fit.

    Args:
        fit: the fit.
        monitor: log entry that is shown with the loss at the end of an epoch.
        report: as in `run_fit`.
    """

    def __init__(self, fit: Fit, monitor: str, report: Callable[[str, float, str], None]):
        super().__init__()
        self.fit = fit
        self.shown = dict.fromkeys(("loss", monitor))
        self.report = report
        self._epoch = 0
        self._reported = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Reports every half second."""
        now = time.monotonic()
        if now - self._reported >= _PROGRESS_SECONDS:
            self._reported = now
            batches = self.params.get("steps")
            within = min((batch + 1) / batches, 1.0) if batches else 0.0
            loss = float((logs or {}).get("loss") or 0)
            self._report(self._epoch + within, f"loss {loss:.4g}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Reports the whole epoch."""
        values = logs or {}
        texts = (f"{name} {float(values[name]):.4g}" for name in self.shown if name in values)
        self._report(epoch + 1.0, ", ".join(texts))

    def _report(self, epochs_done: float, text: str) -> None:
        text = f"epoch {self._epoch + 1} of {self.fit.epochs}, {text}"
        self.report(self.fit.name, epochs_done, text)
