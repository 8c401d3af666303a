"""Percentiles and drift of activations over training."""

import difflib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import tree

from .. import backend
from ..checks import is_integer

STEP = "percentiles/step"


class ActivationPercentiles(keras.callbacks.Callback):
    """Records percentiles, mean and variance of chosen activations while a model trains.

    Ioffe & Szegedy 2015 (arXiv 1502.03167), Figure 1 (b, c): the 15th, 50th and 85th percentiles
    of the inputs of a typical sigmoid of the last hidden layer, whose change is the internal
    covariate shift. One fixed batch `inputs` is measured in inference mode, by weights and moving
    averages as they are: when training begins, after each epoch, and, with `every_steps`, within.

    For each layer it records

    - `{layer}/p15`, `{layer}/p50`, `{layer}/p85`: the percentiles, linearly interpolated;
    - `{layer}/mean` and `{layer}/variance` (biased);
    - `{layer}/mean_drift`: `|mean_t − mean_{t−1}| / √variance_{t−1}`;
    - `{layer}/variance_drift`: `ln(variance_t / variance_{t−1})`;

    where `t − 1` is the previous measurement. A drift is NaN if a variance is 0, and in the first
    measurement.

    After each epoch it adds them, and `percentiles/step`, to Keras's `logs`, and so to the history,
    to loggers and to later callbacks. When a training resumes after an interruption, and replays
    the logs of completed epochs, the values are taken from these logs.

    Example:

    ```python
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, name="hidden"),
            keras.layers.Activation("sigmoid", name="sigmoid"),
        ]
    )
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(64, 4))
    watch = ActivationPercentiles(x, "sigmoid", unit=0)
    model.fit(x, x[:, :3], epochs=2, callbacks=[watch], verbose=0)
    watch.as_arrays()["sigmoid/p50"]  # shape (3,): at the start and after two epochs
    ```

    Args:
        inputs: the batch to measure, as the model takes it: an array, or a structure of arrays.
        layers: name of a layer or list of names; a layer of a nested model is `"model/layer"`.
        side: `"input"` or `"output"`: which side of the layers to measure.
        unit: int, the unit or channel (index of the last axis) to measure; `None`: all together.
        percentiles: numbers in [0, 100].
        every_steps: int, the number of training steps between additional measurements; `None`:
            only after each epoch.
        prefix: string put before the names, so that two such callbacks can watch the same layer.

    Attributes:
        history: a list of dicts, one per measurement of the last or current `fit`: `step`
            (training steps so far), `epoch` (from 1; 0 at the start), and the values by name.

    Raises:
        ValueError: an argument is out of its range. When training begins: the model has no graph
            of layers (it is neither functional nor a built `Sequential`), lacks a layer or the
            unit, calls a layer more than once, or passes it several tensors. When an epoch ends:
            the logs already contain one of the names.
    """

    def __init__(
        self,
        inputs: Any,
        layers: str | Sequence[str],
        side: str = "input",
        unit: int | None = None,
        percentiles: float | Sequence[float] = (15, 50, 85),
        every_steps: int | None = None,
        prefix: str = "",
    ) -> None:
        super().__init__()
        if side not in ("input", "output"):
            raise ValueError(f'`side` must be "input" or "output". Received: side={side!r}')
        if isinstance(percentiles, (int, float)):
            percentiles = [percentiles]
        if not all(0 <= percentile <= 100 for percentile in percentiles):
            raise ValueError(
                f"`percentiles` must be in [0, 100]. Received: percentiles={percentiles}"
            )
        if unit is not None and not is_integer(unit):
            raise ValueError(
                f"`unit` must be an integer, or `None` for all units. Received: unit={unit!r}"
            )
        if every_steps is not None and (every_steps < 1 or every_steps != int(every_steps)):
            raise ValueError(
                "`every_steps` must be a positive integer, or `None` for the ends of epochs alone. "
                f"Received: every_steps={every_steps}"
            )
        self.inputs = inputs
        named = [layers] if isinstance(layers, (str, keras.layers.Layer)) else list(layers)
        self.layers = [name for name in named if isinstance(name, str)]
        if len(self.layers) < len(named) or len(set(self.layers)) < len(named):
            raise ValueError(
                "`layers` must be names of layers, such as `layer.name`, each given once. "
                f"Received: layers={layers!r}"
            )
        if not self.layers:
            raise ValueError(f"`layers` must name at least one layer. Received: layers={layers!r}")
        self.side = side
        self.unit = unit
        self.percentiles = tuple(percentiles)
        self.every_steps = every_steps
        self.prefix = prefix
        self.history: list[dict[str, Any]] = []
        self._probe: Any = None
        self._epoch = self._step = self._epoch_began = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Measures before the first step."""
        self._probe = _probe(self.model, self.layers, self.side)
        self.history = []
        self._epoch = self._step = self._epoch_began = 0
        self._record(0, self._measure())

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stores the step at which the epoch begins."""
        self._epoch = epoch + 1
        self._epoch_began = self._step

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Measures every `every_steps` steps."""
        before, self._step = self._step, self._epoch_began + batch + 1
        if self.every_steps and self._step // self.every_steps > before // self.every_steps:
            self._record(self._step, self._measure())

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measures and extends the logs, or reads the logs of an epoch completed earlier."""
        logs = {} if logs is None else logs
        names = [name for name in self.history[0] if name not in ("step", "epoch")]
        present = [name for name in names if name in logs]
        if self._step == self._epoch_began:
            if len(present) == len(names) and STEP in logs:
                self._step = int(logs[STEP])
                self._record(self._step, {name: float(logs[name]) for name in names})
            return
        if present:
            raise ValueError(
                "The logs must not contain the names of the values: give this callback a `prefix`. "
                f"Received: {', '.join(present)} in the logs already"
            )
        if self.history[-1]["step"] != self._step:
            self._record(self._step, self._measure())
        logs.update({name: self.history[-1][name] for name in names})
        logs[STEP] = self._step

    def as_arrays(self) -> dict[str, np.ndarray]:
        """Returns the columns of `history` by name, each an array over the measurements."""
        rows = self.history
        return {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}

    def _record(self, step, values):
        self.history.append({"step": step, "epoch": self._epoch, **values})

    def _measure(self):
        """Returns the current values by name."""
        backend.synchronize_weights(self.model)
        outputs = self._probe.predict_on_batch(self.inputs)
        values = {}
        for layer, output in zip(self.layers, tree.flatten(outputs), strict=True):
            values.update(self._describe(self.prefix + layer, np.asarray(output, "float64")))
        return values

    def _describe(self, name, activations):
        if self.unit is not None:
            units = activations.shape[-1]
            if not -units <= self.unit < units:
                raise ValueError(
                    f"`unit` must be one of the {units} units at the {self.side} of {name!r}. "
                    f"Received: unit={self.unit}"
                )
            activations = activations[..., self.unit]
        mean, variance = np.mean(activations), np.var(activations)
        mean_drift = variance_drift = np.nan
        if self.history:
            before = self.history[-1]
            if before[f"{name}/variance"] > 0 and variance > 0:
                mean_drift = abs(mean - before[f"{name}/mean"]) / before[f"{name}/variance"] ** 0.5
                variance_drift = np.log(variance / before[f"{name}/variance"])
        values = {f"p{p:g}": np.percentile(activations, p) for p in self.percentiles}
        values |= {"mean": mean, "variance": variance}
        values |= {"mean_drift": mean_drift, "variance_drift": variance_drift}
        return {f"{name}/{key}": float(value) for key, value in values.items()}


def _probe(model, layers, side):
    """Returns a model from the model's inputs to one side of each layer."""
    if not _is_graph(model):
        raise ValueError(
            "The model must be functional, or a `Sequential` that is built (give it a "
            f"`keras.Input`). Received: {type(model).__name__} {model.name!r}"
        )
    paths = _paths(model)
    for layer in layers:
        if layer not in paths:
            close = difflib.get_close_matches(layer, paths, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"`layers` must name layers of the model.{hint} Received: {layer!r}; there are "
                f"{', '.join(paths)}"
            )
    return keras.Model(_graph(model).input, [_tensor(model, layer, side) for layer in layers])


def _is_graph(model):
    # A subclassed model has no `inputs`, nor has a `Sequential` that is not built.
    return isinstance(model, keras.Model) and bool(getattr(model, "inputs", None))


def _graph(model):
    """Returns the functional model; a `Sequential` has one inside."""
    return getattr(model, "_functional", None) or model


def _tensor(model, path, side):
    """Returns the tensor of the graph at one side of a layer."""
    name, _, rest = path.partition("/")
    layer = model.get_layer(name)
    inside = {id(node) for nodes in _graph(model)._nodes_by_depth.values() for node in nodes}
    calls = [node for node in layer._inbound_nodes if id(node) in inside]
    if len(calls) != 1:
        raise ValueError(
            f"A layer must be called once in the model to be measured. Received: {name!r}, which "
            f"{model.name!r} calls {len(calls)} times"
        )
    if rest:
        inner = keras.Model(layer.inputs, _tensor(layer, rest, side))
        return inner(list(calls[0].input_tensors))
    tensors = calls[0].input_tensors if side == "input" else calls[0].output_tensors
    if len(tensors) != 1:
        raise ValueError(
            f"The {side} of a layer must be one tensor to be measured. Received: {name!r} with "
            f"{len(tensors)}"
        )
    return tensors[0]


def _paths(model):
    """Returns the names of all layers, those of nested models as paths."""
    paths = []
    for layer in model.layers:
        paths.append(layer.name)
        if _is_graph(layer):
            paths += [f"{layer.name}/{path}" for path in _paths(layer)]
    return paths
