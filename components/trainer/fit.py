"""What a method hands to the Trainer: one or more fits, and what it says of them at the end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
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
        name: file-name-safe, unique among the fits.
        build: returns a new compiled model. What is random in it draws from a
            `keras.random.SeedGenerator`, as Keras' own layers do, so that it goes on after a kill.
        train: returns the training data, an argument of `fit`: a batched `tf.data.Dataset` of one
            epoch, without `repeat()`. It may shuffle anew each epoch, with or without a seed: the
            Trainer seeds TensorFlow before it calls `build` and then `train`, and after a kill it
            passes over the data of the epochs that are done. With `steps_per_epoch` it repeats.
        validation: returns the validation data, or `None` to validate on nothing; then the best
            epoch is the one with the lowest training loss.
        epochs: number of epochs.
        monitor: the log entry by which the best epoch is kept, for example `val_loss`.
        mode: `"min"` or `"max"`.
        steps_per_epoch: an epoch is so many steps of data that `repeat()`; `None`: one pass.
        prepare: `prepare(report)` is called before `build`, for what takes long before the first
            step; `report(share)` shows which part of it is done, in [0, 1].
        finish: `finish(model)` is called once with the best epoch's weights, before the model is
            saved: statistics over the training data can be set there. If it returns a model, that
            one is saved: where only the last layers are trained, on what fixed ones made of the
            data beforehand, it joins both.
        callbacks: returns further Keras callbacks. After a kill they hear `on_epoch_begin` and
            `on_epoch_end` again for the epochs that are done, before the weights are restored.
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


@dataclasses.dataclass(frozen=True)
class Table:
    """A table about the training, for the report and the results page.

    Args:
        title: one line.
        columns: headings.
        rows: cells by row, each a string, a number, or `None` for none.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]


@dataclasses.dataclass(frozen=True)
class TrainingSummary:
    """What a method says of all its fits, beside one chart a fit.

    Args:
        tables: for the report and the results page.
        figures: SVG texts by title, for the report.
    """

    tables: Sequence[Table] = ()
    figures: Mapping[str, str] = dataclasses.field(default_factory=dict)
