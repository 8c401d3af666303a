"""Folding of batch normalizations into the linear layers beside them."""

import keras

from .algebra import BATCH_NORMALIZATIONS
from .copy import copy_layer, copy_state
from .graph import Graph, Tensor, has_graph, map_structure
from .plan import FoldPlan
from .report import Folded, FoldReport, LeftAlone


def fold_batch_norm(model: keras.Model) -> tuple[keras.Model, FoldReport]:
    """Returns a model for inference without the batch normalizations that algebra can remove.

    At inference a batch normalization is an affine map of each channel, `y = s·x + t` with
    `s = γ / √(σ² + ε)` and `t = β − μ·s`. Together with a linear layer `W u + b` before or after
    it, it is again one linear layer:

    ```
    follows:   s·(W u + b) + t  =  (s·W) u + (s·b + t)
    precedes:  W (s·u + t) + b  =  (W·s) u + (b + W t)
    ```

    The linear layers are `Dense`, `Conv1D`, `2D` and `3D`, `DepthwiseConv1D` and `2D`,
    `SeparableConv1D` and `2D`, and `Conv1DTranspose`, `2D` and `3D`; the batch normalizations are
    this package's and Keras's. Layers that do nothing at inference (dropouts, noise, `Identity`,
    a linear `Activation`) may stand between. A layer that is shared, or whose output goes to
    several places, is folded only if the result is exact at every place.

    *Precedes* is exact for `Dense` and for convolutions without padding: a padded zero would lack
    the shift `t`. With mixed precision the new weights are computed in float64 and stored in the
    layer's own dtype; a layer in half precision that a batch normalization *precedes* then receives
    and rounds values that are no longer normalized. Fold before quantizing: quantized layers are
    left alone.

    Args:
        model: a built Functional or Sequential model, nested models included. It is not changed
            and shares no weights with the result. A model with its own `call` has no graph to
            read: it is returned as it is, and the report says so.

    Returns:
        `(folded, report)`: a model with the names, inputs, outputs and their structure, dtype
        policies and masks of the given one, of the plain Functional or Sequential class and not
        compiled; and a `FoldReport`. Outputs agree up to rounding. A batch normalization that
        was itself an output leaves a linear `Activation` of its name, so that output names stay.

    Raises:
        ValueError: if the model is not built, or a layer cannot be recreated from its
            configuration.

    Example:

    >>> inputs = keras.Input((32, 32, 3))
    >>> x = keras.layers.Conv2D(8, 3, use_bias=False, name="conv")(inputs)
    >>> x = keras.layers.BatchNormalization(name="norm")(x)
    >>> model = keras.Model(inputs, keras.layers.ReLU()(x), name="net")
    >>> folded, report = fold_batch_norm(model)
    >>> print(report)
    net: 1 of 1 batch normalizations folded
      norm  follows     conv

    Reference:

    - [Ioffe and Szegedy, 2015](https://arxiv.org/abs/1502.03167), sections 3.1 and 3.2
    """
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(
            "fold_batch_norm expects a built model; call it once on data, or begin a Sequential "
            f"model with a keras.Input. Received: model={model}"
        )
    if not has_graph(model):
        return model, FoldReport(model.name, left_alone=tuple(_inside(model, "")))
    folded: list[Folded] = []
    left_alone: list[LeftAlone] = []
    new = _fold(model, "", folded, left_alone)
    return new, FoldReport(model.name, tuple(folded), tuple(left_alone))


def _fold(model, path, folded, left_alone, obstacle=None):
    """Returns the folded copy of a model that has a graph; extends the two lists.

    With `obstacle`, a reason, nothing in it is folded.
    """
    graph = Graph(model)
    plan = FoldPlan(graph, obstacle)
    copies = {}
    for name, operation in graph.operations.items():
        if name in plan.folds:
            folded += [Folded(path + name, path + taker, side) for taker, side in plan.folds[name]]
            if any(call.output in graph.ends for call in graph.calls[name]):
                copies[name] = keras.layers.Activation(
                    "linear", name=name, dtype=operation.dtype_policy
                )
        elif _is_nested(operation):
            trains = any(call.training for call in graph.calls[name])
            inner = obstacle or ("its model is called with training=True" if trains else None)
            copies[name] = _fold(operation, f"{path}{name}/", folded, left_alone, inner)
        else:
            changes = {"use_bias": True} if name in plan.transforms else {}
            copies[name] = copy_layer(operation, **changes)
            if name in plan.reasons:
                left_alone.append(LeftAlone(path + name, plan.reasons[name]))
            elif isinstance(operation, keras.Layer):
                left_alone += _inside(operation, path + name)
    new = _assemble(model, graph, copies, plan.folds)
    for name, layer in copies.items():
        original = graph.operations[name]
        if name in plan.transforms:
            plan.transforms[name].assign(layer)
        elif name not in plan.folds and not _is_nested(original):
            copy_state(original, layer)
    return new


def _is_nested(operation):
    return isinstance(operation, keras.Model) and has_graph(operation)


def _assemble(model, graph, copies, gone):
    """Returns a model of the copies, called as in the graph, without the layers `gone`."""
    options = {"name": model.name, "trainable": model.trainable}
    if isinstance(model, keras.Sequential):
        inputs = [name for name, calls in graph.calls.items() if not calls]
        names = [*inputs, *(layer.name for layer in model.layers)]
        new = keras.Sequential([copies[name] for name in names if name in copies], **options)
    else:
        tensors = {
            Tensor(name, 0, 0): copies[name].output
            for name, calls in graph.calls.items()
            if not calls
        }
        for call in graph.in_order():
            if call.operation in gone:
                made = tensors[call.sources[0]]
                if call.operation in copies:
                    made = copies[call.operation](made)
            else:
                args, kwargs = call.fill(tensors)
                made = copies[call.operation](*args, **kwargs)
            for index, tensor in enumerate(keras.tree.flatten(made)):
                tensors[call.output._replace(output=index)] = tensor
        for tensor in tensors.keys() - graph.users.keys():
            if not graph.calls[tensor.operation]:
                keras.layers.Identity()(tensors[tensor])  # Keras 3.12 refuses an unused input.
        inputs = map_structure(tensors.__getitem__, graph.inputs)
        outputs = map_structure(tensors.__getitem__, graph.outputs)
        new = keras.Model(inputs, outputs, **options)
    if new.dtype_policy != model.dtype_policy:
        new.dtype_policy = model.dtype_policy
    return new


def _inside(layer, path):
    """Returns a `LeftAlone` for each batch normalization that a layer without a graph holds."""
    reason = f"it is inside {type(layer).__name__} {layer.name!r}, which has no graph to read"
    left_alone, pending, seen = [], [(layer, path)], {id(layer)}
    while pending:
        holder, place = pending.pop()
        for value in keras.tree.flatten(list(vars(holder).values())):
            if isinstance(value, keras.Layer) and id(value) not in seen:
                seen.add(id(value))
                inner = f"{place}/{value.name}" if place else value.name
                pending.append((value, inner))
                if isinstance(value, BATCH_NORMALIZATIONS):
                    left_alone.append(LeftAlone(inner, reason))
    return left_alone
