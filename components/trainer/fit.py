"""The fits that a method passes to the Trainer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

DONE, MODELS = "done", "models"
"""Where a finished fit's model lies in its checkpoint folder until all fits are published."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """One call of Keras `fit`.

    A method with one model returns one fit; a method that trains a model per slice of the data
    returns one for each.

    Args:
        name: a valid file name, unique among the fits.
        build: returns a new compiled model. What is random in it draws from a
            `keras.random.SeedGenerator`, as Keras' own layers do, so that it resumes after a kill.
        train: returns the training data, an argument of `fit`: a batched `tf.data.Dataset` of one
            epoch, without `repeat()`. It may shuffle anew each epoch, with or without a seed: the
            Trainer seeds TensorFlow before it calls `build` and then `train`, and after a kill it
            passes over the data of the epochs that are done. With `steps_per_epoch` it repeats.
        validation: returns the validation data, or `None` to validate on nothing; then the best
            epoch is the one with the lowest training loss.
        epochs: number of epochs.
        monitor: the log entry by which the best epoch is kept, for example `val_loss`.
        mode: `"min"` or `"max"`.
        steps_per_epoch: number of steps in an epoch, of data that repeats; `None` for one pass.
        prepare: `prepare(report)` is called before `build`, for slow work before the first step;
            `report(share)` shows which part of it is done, in [0, 1].
        finish: `finish(model)` is called once with the best epoch's weights, before the model is
            saved, for example to set statistics of the training data. If it returns a model, that
            model is saved instead: a fit that trains only the last layers, on the outputs of fixed
            ones, can join both here.
        callbacks: returns further Keras callbacks. After a kill, `on_epoch_begin` and
            `on_epoch_end` are called again for the finished epochs before weights are restored.
    """

    name: str
    build: Callable[[], keras.Model]
    train: Callable[[], Any]
    validation: Callable[[], Any] | None = None
    epochs: int = 1
    monitor: str = "val_loss"
    mode: str = "min"
    callbacks: Callable[[], list[keras.callbacks.Callback]] = list
    steps_per_epoch: int | None = None
    finish: Callable[[keras.Model], keras.Model | None] | None = None
    prepare: Callable[[Callable[[float], None]], None] | None = None
