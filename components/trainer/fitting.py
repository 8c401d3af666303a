"""One fit of the Trainer: Keras `fit` that ends the same whether or not it was killed on the way.

Imported where a fit runs, not where a pipeline is built: it imports Keras.
"""

from __future__ import annotations

import csv
import gc
import hashlib
import json
import math
import random
import time
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..io import filesystem
from .checkpoints import Checkpoints
from .fit import Fit

_PROGRESS_SECONDS = 0.5

# What the imports made lives as long as the process. Each fit collects garbage twice, and looking
# through all of TensorFlow's objects takes longer than a small fit.
gc.freeze()


class TrainingDivergedError(ArithmeticError):
    """The training loss became infinite or not a number."""


def fit_seed(seed: int, name: str) -> int:
    """Returns a fit's seed: the first 31 bits of SHA-256 of `<seed>/<name>`."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def run_fit(
    fit: Fit,
    *,
    seed: int,
    checkpoint_dir: str,
    log_dir: str,
    checkpoint_seconds: float,
    report: Callable[[str, float, str], None],
) -> dict[str, Any]:
    """Trains one fit, or goes on with it, or finds it finished.

    Args:
        fit: what to train.
        seed: int. The Trainer's seed.
        checkpoint_dir: string. Folder that survives a kill; the fit uses `<name>/` in it and leaves
            its best model in `<name>/done/models/<name>.keras`.
        log_dir: string. Folder for `<name>/epochs.csv` and `<name>/epochs.jsonl`.
        checkpoint_seconds: float. Least time between two checkpoints.
        report: called with the fit's name, the epochs done (a fraction within an epoch), and a
            line about it.

    Returns:
        A dict of JSON values: `best` (`epoch`, `value`, `monitor`, `mode`), `epochs_run`,
        `seconds`, `parameter_count`.

    Raises:
        TrainingDivergedError: the loss became infinite or NaN.
        TypeError: the data is not a `tf.data.Dataset`.
        ValueError: the monitored value is not in the logs.
    """
    checkpoints = Checkpoints(filesystem.join(checkpoint_dir, fit.name))
    finished = checkpoints.finished()
    if finished is None:
        finished = _train(
            fit, fit_seed(seed, fit.name), checkpoints, log_dir, checkpoint_seconds, report
        )
        # The model and its data iterators hold each other. TensorFlow may wait forever for an
        # iterator's threads if it goes only when the interpreter shuts down.
        gc.collect()
    write_logs(filesystem.join(log_dir, fit.name), finished["rows"])
    report(fit.name, float(fit.epochs), f"done after {finished['result']['epochs_run']} epochs")
    return finished["result"]


def _train(
    fit: Fit,
    seed: int,
    checkpoints: Checkpoints,
    log_dir: str,
    checkpoint_seconds: float,
    report: Callable[[str, float, str], None],
) -> dict[str, Any]:
    # Names of layers count up in a process, and seeds are drawn from one generator: both start
    # anew here, so that a fit is the same whatever was trained before it.
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    if fit.prepare is not None:
        fit.prepare(lambda share: report(fit.name, 0.0, f"preparing data, {share:.0%}"))
    report(fit.name, 0.0, "preparing model and data")
    model = fit.build()
    train = _training_data(fit)
    per_call = model.steps_per_execution
    if fit.steps_per_epoch is not None and fit.steps_per_epoch % per_call:
        raise ValueError(
            "A fit's steps_per_epoch must be a multiple of its model's steps_per_execution, to "
            f"which Keras rounds it up. Received: {fit.steps_per_epoch} and {per_call} for "
            f"{fit.name!r}"
        )
    validation = fit.validation() if fit.validation is not None else None
    if validation is not None:
        validation = _dataset(fit.name, "validation", validation)
    if not model.built:
        # A checkpoint can be restored into a model only once its weights exist.
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(next(iter(train)))
        model(inputs)
    monitor, mode = fit.monitor, fit.mode
    if validation is None and monitor.startswith("val_"):
        monitor, mode = "loss", "min"

    callbacks = list(fit.callbacks())
    keeper = _Keeper(
        fit, (monitor, mode), callbacks, checkpoints, log_dir, checkpoint_seconds, report
    )
    state = checkpoints.latest()
    if state is not None:
        keeper.resume(state)
        if fit.steps_per_epoch is not None:
            train = train.skip(state["epoch"] * fit.steps_per_epoch)
        else:
            # Shuffles that reshuffle draw a new seed each time the dataset is iterated: pass over
            # it as often as the killed process did, to be at the same place in that sequence.
            for _ in range(state["epoch"]):
                train.reduce(np.int64(0), lambda count, *_: count + 1)
    if state is None or not state["ended"]:
        with warnings.catch_warnings():
            # Keras says so of every dataset whose size it learns by reading it once.
            warnings.filterwarnings("ignore", message="Your input ran out of data")
            # A model may learn without gradients, as batch normalization learns its statistics.
            warnings.filterwarnings("ignore", message="The model does not have any trainable")
            model.fit(
                train,
                validation_data=validation,
                epochs=fit.epochs,
                steps_per_epoch=fit.steps_per_epoch,
                shuffle=False,
                verbose=0,
                callbacks=[_EpochSeed(seed), *callbacks, keeper],
            )
    model.set_weights(keeper.best_weights(model))
    if fit.finish is not None:
        report(fit.name, fit.epochs - 0.01, "setting what depends on the best weights")
        joined = fit.finish(model)
        model = model if joined is None else joined
    result = {
        "best": {**keeper.best, "monitor": monitor, "mode": mode},
        "epochs_run": len(keeper.rows),
        "seconds": round(sum(row["seconds"] for row in keeper.rows), 3),
        "parameter_count": int(model.count_params()),
    }
    return checkpoints.finish(model, fit.name, {"result": result, "rows": keeper.rows})


def _dataset(name: str, what: str, value: Any) -> tf.data.Dataset:
    if not isinstance(value, tf.data.Dataset):
        raise TypeError(
            f"The {what} data of a fit must be a batched tf.data.Dataset. "
            f"Received: {type(value).__name__} for {name!r}"
        )
    return value


def _training_data(fit: Fit) -> tf.data.Dataset:
    train = _dataset(fit.name, "train", fit.train())
    if int(train.cardinality()) == tf.data.INFINITE_CARDINALITY and fit.steps_per_epoch is None:
        raise ValueError(
            "The train data of a fit must end after one epoch: leave out `repeat()`, or say how "
            f"long an epoch is with `steps_per_epoch`. Received: an infinite dataset for "
            f"{fit.name!r}"
        )
    return train


class _EpochSeed(keras.callbacks.Callback):
    """Makes Python's and NumPy's generators a function of the epoch alone."""

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        random.seed(self.seed + epoch)
        np.random.seed((self.seed + epoch) % 2**32)


class _Keeper(keras.callbacks.Callback):
    """Keeps logs, the best epoch and checkpoints; the last of the callbacks."""

    def __init__(
        self,
        fit: Fit,
        monitor: tuple[str, str],
        others: list[keras.callbacks.Callback],
        checkpoints: Checkpoints,
        log_dir: str,
        checkpoint_seconds: float,
        report: Callable[[str, float, str], None],
    ):
        super().__init__()
        self.fit = fit
        self.monitor, self.mode = monitor
        self.others = others
        self.checkpoints = checkpoints
        self.log_dir = filesystem.join(log_dir, fit.name)
        self.checkpoint_seconds = checkpoint_seconds
        self.report = report
        self.rows: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self._best_weights: list[np.ndarray] | None = None
        self._state: dict[str, Any] | None = None
        self._epoch_began = self._reported = 0.0
        self._steps = 0
        self._kept = time.monotonic()
        self._log: EpochLog | None = None

    def resume(self, state: dict[str, Any]) -> None:
        """Takes over logs and the best epoch; weights follow when `fit` begins."""
        self._state = state
        self.rows = list(state["rows"])
        self.best = state["best"]

    def best_weights(self, model: keras.Model) -> list[np.ndarray]:
        """Returns the weights of the best epoch."""
        if self._best_weights is None:
            self._best_weights = self.checkpoints.best_weights(model, self._state)
        return self._best_weights

    def on_train_begin(self, logs: Any = None) -> None:
        self._log = EpochLog(self.log_dir, self.rows)
        if self._state is None:
            return
        # Callbacks such as ReduceLROnPlateau count epochs: they hear again of those that are done.
        # Whatever they set in the model meanwhile, the checkpoint replaces.
        for row in self.rows:
            for callback in self.others:
                callback.on_epoch_begin(row["epoch"] - 1)
                callback.on_epoch_end(row["epoch"] - 1, dict(row["logs"]))
        self.best_weights(self.model)
        self.checkpoints.restore(self.model, self._state)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch_began = time.monotonic()
        self._steps = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._steps = batch + 1
        loss = (logs or {}).get("loss")
        epoch = len(self.rows) + 1
        if loss is not None and not math.isfinite(float(loss)):
            raise TrainingDivergedError(
                f"Training of {self.fit.name!r} diverged in epoch {epoch}, batch {batch + 1}: the "
                "loss must be finite. A smaller learning rate or gradient clipping may help. "
                f"Received: loss={float(loss)}"
            )
        now = time.monotonic()
        if now - self._reported >= _PROGRESS_SECONDS:
            self._reported = now
            batches = self.params.get("steps")
            within = min((batch + 1) / batches, 1.0) if batches else 0.0
            text = f"epoch {epoch} of {self.fit.epochs}"
            self.report(self.fit.name, epoch - 1 + within, f"{text}, loss {float(loss or 0):.4g}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.fit.steps_per_epoch is not None and self._steps < self.fit.steps_per_epoch:
            raise ValueError(
                "With `steps_per_epoch` the train data of a fit must repeat: end it with "
                f"`repeat()`. Received: data that end after {self._steps} of "
                f"{self.fit.steps_per_epoch} steps in epoch {epoch + 1} of {self.fit.name!r}"
            )
        values = {name: float(value) for name, value in (logs or {}).items()}
        if self.monitor not in values:
            raise ValueError(
                f"The fit {self.fit.name!r} keeps the epoch with the best {self.monitor!r}, which "
                f"must be in the logs. Received: {', '.join(values)}"
            )
        value = values[self.monitor]
        better = self.best is None or math.isnan(self.best["value"])
        if not better:
            sign = 1 if self.mode == "min" else -1
            better = sign * value < sign * self.best["value"]
        if better:
            self.best = {"epoch": epoch + 1, "value": value}
            self._best_weights = [np.array(weight) for weight in self.model.get_weights()]
        seconds = round(time.monotonic() - self._epoch_began, 3)
        self.rows.append({"epoch": epoch + 1, "seconds": seconds, "logs": values})
        self._log.write(self.rows[-1])
        ended = bool(self.model.stop_training) or epoch + 1 >= self.fit.epochs
        due = time.monotonic() - self._kept >= self.checkpoint_seconds
        if ended or due:
            state = {"epoch": epoch + 1, "ended": ended, "best": self.best, "rows": self.rows}
            self.checkpoints.keep(self.model, self._best_weights, state)
            self._kept = time.monotonic()
        shown = ", ".join(f"{name} {values[name]:.4g}" for name in {"loss": 0, self.monitor: 0})
        self.report(self.fit.name, epoch + 1.0, f"epoch {epoch + 1} of {self.fit.epochs}, {shown}")

    def on_train_end(self, logs: Any = None) -> None:
        self._log.close()


class EpochLog:
    """`epochs.csv` and `epochs.jsonl`, a line an epoch, written as the epochs end.

    Both have `epoch` (from 1) and the values that Keras logs; JSON lines also have `seconds`. A
    value that is not finite is empty in CSV and `null` in JSON.

    Args:
        folder: where the files go; earlier ones are replaced.
        rows: the epochs that are done already.
    """

    def __init__(self, folder: str, rows: list[dict[str, Any]]):
        filesystem.make_dirs(folder)
        self._csv = filesystem.open_file(filesystem.join(folder, "epochs.csv"), "w")
        self._json = filesystem.open_file(filesystem.join(folder, "epochs.jsonl"), "w")
        self._columns: list[str] = []
        for row in rows:
            self.write(row)

    def write(self, row: dict[str, Any]) -> None:
        """Adds an epoch."""
        values = {
            name: value if math.isfinite(value) else None for name, value in row["logs"].items()
        }
        writer = csv.writer(self._csv, lineterminator="\n")
        if not self._columns:
            self._columns = list(values)
            writer.writerow(["epoch", *self._columns])
        writer.writerow([row["epoch"], *(values.get(name) for name in self._columns)])
        line = {"epoch": row["epoch"], "seconds": row["seconds"], **values}
        self._json.write(json.dumps(line) + "\n")
        self._csv.flush()
        self._json.flush()

    def close(self) -> None:
        """Closes both files."""
        self._csv.close()
        self._json.close()


def write_logs(folder: str, rows: list[dict[str, Any]]) -> None:
    """Writes both logs of a finished fit."""
    EpochLog(folder, rows).close()
