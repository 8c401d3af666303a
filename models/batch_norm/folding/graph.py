"""The graph of a Functional or Sequential model, read from its public configuration."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras

from .copy import cannot_copy


class Tensor(NamedTuple):
    """A tensor of the graph: output number `output` of call number `call` of an operation."""

    operation: str
    call: int
    output: int


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One call of an operation in the graph.

    Attributes:
        operation: the operation's name.
        number: the index of this call among the calls of the operation.
        arguments: positional and keyword arguments as the configuration has them.
        needs: the tensors it is called on.
        sources: the same without masks.
        shape: the first source's shape.
        dtype: the first source's dtype.
    """

    operation: str
    number: int
    arguments: Any
    needs: tuple[Tensor, ...]
    sources: tuple[Tensor, ...]
    shape: tuple
    dtype: str

    @property
    def output(self) -> Tensor:
        """Its first output."""
        return Tensor(self.operation, self.number, 0)

    @property
    def training(self) -> bool:
        """Whether it is called with `training=True`, at inference too."""
        return bool(self.arguments[1].get("training"))

    def fill(self, tensors: dict[Tensor, Any]) -> tuple[Any, Any]:
        """Returns `(args, kwargs)` with the graph's tensors replaced by those in `tensors`."""
        return _revive(self.arguments, tensors)


class Graph:
    """The operations of a model, their calls, and the uses of their outputs.

    Args:
        model: a model for which `has_graph` holds.

    Attributes:
        operations: the operations (layers and `keras.ops`) by name.
        calls: the calls of each operation by name; none for an input.
        inputs: the model's inputs as `Tensor`s, in their structure.
        outputs: the model's outputs as `Tensor`s, in their structure.
        ends: the set of the tensors that are outputs.
        users: the calls that use a tensor, once per use.
    """

    def __init__(self, model: keras.Model) -> None:
        view = functional_view(model)
        for operation in view.operations:
            try:
                operation.get_config()
            except NotImplementedError as error:
                raise cannot_copy(operation, error) from error
        config = view.get_config()
        self.operations = {operation.name: operation for operation in view.operations}
        self.calls = {
            entry["name"]: [
                _call(entry["name"], number, node)
                for number, node in enumerate(entry["inbound_nodes"])
            ]
            for entry in config["layers"]
        }
        self.inputs = map_structure(self._end, config["input_layers"])
        self.outputs = map_structure(self._end, config["output_layers"])
        self.ends: set[Tensor] = set()
        map_structure(self.ends.add, self.outputs)
        self.users: dict[Tensor, list[Call]] = {}
        for calls in self.calls.values():
            for call in calls:
                for tensor in call.sources:
                    self.users.setdefault(tensor, []).append(call)

    def maker(self, tensor: Tensor) -> Call | None:
        """Returns the call that makes a tensor, or None for an input of the model."""
        calls = self.calls[tensor.operation]
        return calls[tensor.call] if calls else None

    def in_order(self) -> Iterator[Call]:
        """Yields all calls, each after those that make what it needs."""
        made = {name for name, calls in self.calls.items() if not calls}
        pending = [call for calls in self.calls.values() for call in calls]
        while pending:
            waiting = []
            for call in pending:
                if all(n.operation in made or n[:2] in made for n in call.needs):
                    made.add(call.output[:2])
                    yield call
                else:
                    waiting.append(call)
            if len(waiting) == len(pending):
                raise ValueError(
                    "fold_batch_norm expects a graph whose calls can be ordered. "
                    f"Received: calls of {sorted({call.operation for call in waiting})} that wait "
                    "for each other"
                )
            pending = waiting

    def _end(self, leaf):
        """Only here Keras counts a nested model's own graph as its first call."""
        name, call, index = leaf
        return Tensor(name, call - isinstance(self.operations[name], keras.Function), index)


def has_graph(model: keras.Model) -> bool:
    """Returns whether a model is described completely by its graph of layers.

    True for a Functional model and a built Sequential one, unless a subclass changes `call`.
    """
    if isinstance(model, keras.Sequential):
        return hasattr(model, "inputs") and type(model).call is keras.Sequential.call
    return (
        isinstance(model, keras.Function)
        and isinstance(model, keras.Model)
        and (type(model).call is type(functional_view(model)).call)
    )


def functional_view(model: keras.Model) -> keras.Model:
    """Returns a plain Functional model of the same layers, whatever the model's class is."""
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs, model.outputs, name=model.name)
    return keras.Model(model.input, model.output, name=model.name)


def _call(name, number, node):
    args, kwargs = node["args"], node["kwargs"]
    tensors = _tensors((args, {k: v for k, v in kwargs.items() if k != "mask"}))
    first: dict[str, Any] = tensors[0]["config"] if tensors else {"shape": (), "dtype": ""}
    return Call(
        operation=name,
        number=number,
        arguments=(args, kwargs),
        needs=tuple(map(_history, _tensors((args, kwargs)))),
        sources=tuple(map(_history, tensors)),
        shape=tuple(first["shape"]),
        dtype=first["dtype"],
    )


def _is_tensor(value):
    return isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"


def _history(value):
    return Tensor(*value["config"]["keras_history"])


def _tensors(value):
    """Returns the serialized tensors in nested arguments."""
    if _is_tensor(value):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


def _revive(value, tensors):
    if _is_tensor(value):
        return tensors[_history(value)]
    if isinstance(value, (list, tuple)):
        return type(value)(_revive(item, tensors) for item in value)
    if isinstance(value, dict) and "class_name" not in value:
        return {key: _revive(item, tensors) for key, item in value.items()}
    return keras.saving.deserialize_keras_object(value)


def map_structure(function: Callable[[Any], Any], value: Any) -> Any:
    """Applies a function to the `[name, call, index]` leaves of a model's inputs or outputs."""
    if isinstance(value, dict):
        return {key: map_structure(function, item) for key, item in value.items()}
    if isinstance(value, Tensor) or isinstance(value[0], str):
        return function(value)
    return type(value)(map_structure(function, item) for item in value)
