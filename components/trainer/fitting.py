"""One fit of the Trainer: Keras `fit` with the same result whether or not it was killed midway.

Imported where a fit runs, not where a pipeline is built: it imports Keras.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..io import filesystem
from . import callbacks
from .checkpoints import Checkpoints
from .epoch_log import EpochLog
from .fit import Fit

# What the imports made lives as long as the process. Each fit collects garbage twice, and looking
# through all of TensorFlow's objects takes longer than a small fit.
gc.freeze()


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
    """Trains a fit, resumes it, or returns the result of a finished one.

    Args:
        fit: what to train.
        seed: int. The Trainer's seed.
        checkpoint_dir: string. Folder that survives a kill; the fit uses `<name>/` in it and leaves
            its best model in `<name>/done/models/<name>.keras`.
        log_dir: string. Folder for `<name>/epochs.csv` and `<name>/epochs.jsonl`.
        checkpoint_seconds: float. Minimum time between two checkpoints.
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
    EpochLog(filesystem.join(log_dir, fit.name), finished["rows"]).close()
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
    # Names of layers count up in a process, and seeds are drawn from one generator: both are
    # reset here, so that a fit does not depend on what was trained before it.
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    if fit.prepare is not None:
        fit.prepare(lambda share: report(fit.name, 0.0, f"preparing data, {share:.0%}"))
    report(fit.name, 0.0, "preparing model and data")
    model = fit.build()
    train = _training_data(fit)
    _check_steps(fit, model)
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

    state = checkpoints.latest() or callbacks.START
    own_callbacks = list(fit.callbacks())
    best = callbacks.KeepBestWeights(fit, monitor, mode, state["best"])
    log = callbacks.LogEpochs(filesystem.join(log_dir, fit.name), state["rows"])
    if state["ended"]:
        best.weights = checkpoints.best_weights(model, state)
    else:
        with warnings.catch_warnings(), contextlib.closing(log):
            # Keras warns about every dataset whose size it learns by reading it once.
            warnings.filterwarnings("ignore", message="Your input ran out of data")
            # A model may learn without gradients, as batch normalization learns its statistics.
            warnings.filterwarnings("ignore", message="The model does not have any trainable")
            model.fit(
                _without_finished(fit, train, state["epoch"]),
                validation_data=validation,
                epochs=fit.epochs,
                steps_per_epoch=fit.steps_per_epoch,
                shuffle=False,
                verbose=0,
                callbacks=[
                    callbacks.SeedEpochs(seed),
                    *own_callbacks,
                    callbacks.CheckLoss(fit),
                    callbacks.CheckSteps(fit),
                    best,
                    log,
                    callbacks.BackUp(
                        fit, checkpoints, state, checkpoint_seconds, best, log, own_callbacks
                    ),
                    callbacks.ReportProgress(fit, monitor, report),
                ],
            )
    model.set_weights(best.weights)
    if fit.finish is not None:
        report(fit.name, fit.epochs - 0.01, "setting what depends on the best weights")
        finished = fit.finish(model)
        model = model if finished is None else finished
    result = {
        "best": {**best.best, "monitor": monitor, "mode": mode},
        "epochs_run": len(log.rows),
        "seconds": round(sum(row["seconds"] for row in log.rows), 3),
        "parameter_count": int(model.count_params()),
    }
    return checkpoints.finish(model, fit.name, {"result": result, "rows": log.rows})


def _check_steps(fit: Fit, model: keras.Model) -> None:
    per_call = model.steps_per_execution
    if fit.steps_per_epoch is not None and fit.steps_per_epoch % per_call:
        raise ValueError(
            "A fit's steps_per_epoch must be a multiple of its model's steps_per_execution, to "
            f"which Keras rounds it up. Received: {fit.steps_per_epoch} and {per_call} for "
            f"{fit.name!r}"
        )


def _without_finished(fit: Fit, train: tf.data.Dataset, epochs: int) -> tf.data.Dataset:
    """Returns the training data as it is after some epochs."""
    if fit.steps_per_epoch is not None:
        return train.skip(epochs * fit.steps_per_epoch)
    # A dataset that reshuffles draws a new seed for each iteration: iterate as often as the killed
    # process did, to be at the same place in that sequence.
    for _ in range(epochs):
        train.reduce(np.int64(0), lambda count, *_: count + 1)
    return train


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
            "The train data of a fit must end after one epoch: leave out `repeat()`, or set "
            f"the length of an epoch with `steps_per_epoch`. Received: an infinite dataset for "
            f"{fit.name!r}"
        )
    return train
