"""The population statistics of Algorithm 2, exactly, from one pass over a data set."""

import contextlib
import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import tree

from .statistics_pass import compiled_pass, layers_in_training


@dataclasses.dataclass(frozen=True)
class PopulationStatistics:
    """The statistics that `estimate_population_statistics` computed and set.

    Args:
        batches: the number of batches that were read.
        examples: the number of examples in them.
        mean: the new `moving_mean` of each layer by its `path`, float64, `(channels,)`.
        variance: the new `moving_variance`, in the same way.
        unchanged: the paths of the layers that were not changed, because they do not use the batch
            when the model trains.
    """

    batches: int
    examples: int
    mean: dict[str, np.ndarray]
    variance: dict[str, np.ndarray]
    unchanged: tuple[str, ...]


def estimate_population_statistics(
    model: keras.Layer,
    dataset: Iterable[Any],
    steps: int | None = None,
    over: str = "batches",
    verbose: int = 0,
) -> PopulationStatistics:
    """Computes the exact inference statistics of every `BatchNormalization` in a model.

    Ioffe & Szegedy 2015 (arXiv 1502.03167), Algorithm 2, steps 8 to 12: rather than by moving
    averages, over batches `B` of the training data with the weights as they are,

    ```
    E[x]   = E_B[μ_B]
    Var[x] = E_B[m/(m−1) · σ²_B]
    ```

    All batches have the same weight; each has its own `m`, the number of its values per channel. A
    batch (or a group, with `ghost_batch_size`) of fewer than two values is skipped. All batches but
    the last should have the size that was used in training.

    `over="examples"` instead pools all values: mean and variance are those of NumPy,
    `mean(x)` and `var(x, ddof=1)`, over all of a layer's inputs. This includes the variance between
    batches, which `over="batches"` excludes.

    The pass normalizes by the statistics of each batch, as training does, so that each layer
    receives the inputs that it received in training. Everything else runs in inference mode, since
    there is no dropout or augmentation at inference. Sums are kept in float64 on the host. No other
    weight changes, and no weight at all if an error is raised.

    Nested models, layers inside layers, and shared layers (each call is a batch of its own) are
    handled. Layers that do not use the batch when the model trains are left alone: those with
    `trainable = False`, and those that a subclassed model calls with `training=False`. Keras's own
    `BatchNormalization` is left alone too.

    Example:

    ```python
    model = keras.Sequential([keras.Input((8,)), BatchNormalization()])
    batches = np.random.default_rng(0).normal(size=(10, 32, 8)).astype("float32")
    estimate_population_statistics(model, batches)
    ```

    Args:
        model: a `keras.Model` or layer.
        dataset: an iterable of batches: `x`, or tuples or lists `(x,)`, `(x, y)` or `(x, y, w)`, of
            which only `x` is used: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a
            `torch.utils.data.DataLoader`, or a list or array whose first axis is the batches'.
        steps: int, the largest number of batches to read; `None`: all.
        over: `"batches"` or `"examples"`.
        verbose: 0, or 1 for a progress bar.

    Returns:
        A `PopulationStatistics`.

    Raises:
        ValueError: `over` is unknown; the model has no `BatchNormalization` that trains on the
            batch; the data have no batches, or no end, or are not batched; a channel has fewer than
            two values; the statistics are not finite.
    """
    if over not in _ACCUMULATORS:
        raise ValueError(f'`over` must be "batches" or "examples". Received: over={over!r}')
    if steps is not None and steps < 1:
        raise ValueError(f"`steps` must be positive, or `None` for all. Received: steps={steps}")
    batches, length = _batches(dataset, steps)
    first = next(batches, None)
    if first is None:
        raise ValueError(
            "`dataset` must have at least one batch; an iterator has none left after one pass. "
            f"Received: {type(dataset).__name__} without batches"
        )
    _check_batched(model, first)
    layers, unchanged = layers_in_training(model, first)
    if not layers:
        raise ValueError(
            "`model` must have a `methodical.models.batch_norm.BatchNormalization` that uses the "
            "batch in training; `keras.layers.BatchNormalization` and frozen layers do not count. "
            f"Received: {type(model).__name__} {model.name!r} with "
            f"{', '.join(layer.path for layer in unchanged) or 'none at all'}"
        )
    accumulators = [_ACCUMULATORS[over]() for _ in layers]
    run = compiled_pass(model, layers)
    progress = keras.utils.Progbar(length, verbose=verbose, unit_name="batch")
    count = examples = 0
    for batch in itertools.chain([first], batches):
        for accumulator, calls in zip(accumulators, run(batch), strict=True):
            for statistics in calls:
                accumulator.add(*(np.asarray(array, "float64") for array in statistics))
        count += 1
        examples += len(tree.flatten(batch)[0])
        progress.update(count, finalize=False)
    progress.update(count, finalize=True)
    means: dict[str, np.ndarray] = {}
    variances: dict[str, np.ndarray] = {}
    for layer, accumulator in zip(layers, accumulators, strict=True):
        name = _new_name(layer.path, means)
        means[name], variances[name] = accumulator.result(name)
    for layer, name in zip(layers, means, strict=True):
        layer.moving_mean.assign(means[name])
        layer.moving_variance.assign(variances[name])
    return PopulationStatistics(
        batches=count,
        examples=examples,
        mean=means,
        variance=variances,
        unchanged=tuple(layer.path for layer in unchanged),
    )


def _new_name(path, taken):
    """Returns a layer's path, numbered if it is taken: nested models may repeat names."""
    names = (path if number == 1 else f"{path} ({number})" for number in itertools.count(1))
    return next(name for name in names if name not in taken)


def _batches(dataset, steps):
    """Returns an iterator over the inputs, and the number of batches or None."""
    length, batches = None, dataset
    if isinstance(dataset, keras.utils.PyDataset):
        length = dataset.num_batches
        endless = length is None
        if not endless:
            batches = (dataset[number] for number in range(length))
    else:
        cardinality = getattr(dataset, "cardinality", None)
        endless = cardinality is not None and int(cardinality()) == -1
        # A `tf.data.Dataset` has `len`, which raises if the length is unknown.
        with contextlib.suppress(TypeError):
            length = len(dataset)
    if endless and steps is None:
        raise ValueError(
            f"`dataset` must end, or `steps` must be given. Received: an endless "
            f"{type(dataset).__name__}, steps=None"
        )
    if steps is not None:
        length = steps if length is None else min(length, steps)
    inputs = (keras.utils.unpack_x_y_sample_weight(batch)[0] for batch in batches)
    return itertools.islice(inputs, steps), length


def _check_batched(model, batch):
    """Raises an error if the inputs of a functional model lack the batch axis."""
    expected = tree.flatten(getattr(model, "inputs", None) or [])
    for value, symbol in zip(tree.flatten(batch), expected, strict=False):
        rank = len(np.shape(value))
        if rank < len(symbol.shape) and (rank == 0 or symbol.shape[-1] != 1):
            raise ValueError(
                "`dataset` must yield batches: call `.batch(…)` of a `tf.data.Dataset`, or put one "
                f"batch into a list. Received: a first element of shape {tuple(np.shape(value))} "
                f"for an input of shape {tuple(symbol.shape)}"
            )


class _OverBatches:
    """Averages over batches: Algorithm 2."""

    def __init__(self):
        self.batches = self.mean = self.variance = 0.0

    def add(self, count, mean, variance):
        """Adds the statistics `(groups, channels)` of a batch."""
        enough = count > 1
        unbiased = variance * count / np.maximum(count - 1, 1)
        self.batches = self.batches + np.sum(enough, axis=0)
        self.mean = self.mean + np.sum(np.where(enough, mean, 0), axis=0)
        self.variance = self.variance + np.sum(np.where(enough, unbiased, 0), axis=0)

    def result(self, path):
        """Returns mean and variance."""
        if not np.all(self.batches):
            raise ValueError(
                "Each channel needs a batch with at least two values: use larger batches, or "
                f'`over="examples"`. Received: {path!r} without'
            )
        return _finite(self.mean / self.batches, self.variance / self.batches, path)


class _OverExamples:
    """Pools all values by the pairwise update of Chan, Golub & LeVeque (1979)."""

    def __init__(self):
        self.count = self.mean = self.squares = 0.0

    def add(self, count, mean, variance):
        """Adds the statistics `(groups, channels)` of a batch."""
        for n, mu, sigma2 in zip(count, mean, variance, strict=True):
            total = self.count + n
            delta = np.where(n > 0, mu - self.mean, 0)
            share = n / np.maximum(total, 1)
            self.mean = self.mean + delta * share
            self.squares = self.squares + sigma2 * n + np.square(delta) * self.count * share
            self.count = total

    def result(self, path):
        """Returns mean and variance."""
        if not np.all(np.asarray(self.count) > 1):
            raise ValueError(
                "Each channel needs at least two values over all batches. "
                f"Received: {path!r} without"
            )
        return _finite(self.mean, self.squares / (self.count - 1), path)


def _finite(mean, variance, path):
    if not (np.all(np.isfinite(mean)) and np.all(np.isfinite(variance))):
        raise ValueError(
            "The statistics must be finite: look for NaN or infinity in the data and the weights. "
            f"Received: {path!r} with mean {mean} and variance {variance}"
        )
    return mean, variance


_ACCUMULATORS: dict[str, type[_OverBatches] | type[_OverExamples]] = {
    "batches": _OverBatches,
    "examples": _OverExamples,
}
