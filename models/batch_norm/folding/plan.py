"""Which batch normalizations of one graph can be folded, into what, and why the rest cannot."""

import keras
import numpy as np

from .algebra import (
    BATCH_NORMALIZATIONS,
    KINDS,
    LinearTransform,
    affine_of,
    channel_axis,
    kind_of,
)
from .graph import Graph

_IDENTITIES = (
    keras.layers.ActivityRegularization,
    keras.layers.AlphaDropout,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)


class _CannotFoldError(Exception):
    """The reason why a batch normalization cannot be folded."""


class FoldPlan:
    """The folds of one graph; models nested in it have plans of their own.

    Args:
        graph: the `Graph`. Its layers are only read.
        obstacle: the reason, if nothing may be folded.

    Attributes:
        transforms: the new weights of a linear layer, by its name.
        folds: for each folded batch normalization's name, its `(layer name, position)` pairs.
        reasons: for each batch normalization's name that is not folded, why.
    """

    def __init__(self, graph: Graph, obstacle: str | None = None) -> None:
        self.graph = graph
        self.transforms: dict[str, LinearTransform] = {}
        self.folds: dict[str, list[tuple[str, str]]] = {}
        names = [n for n, op in graph.operations.items() if isinstance(op, BATCH_NORMALIZATIONS)]
        progress = obstacle is None
        self.reasons = dict.fromkeys(names, obstacle) if obstacle else {}
        # A batch norm that is folded opens the way to the next one behind it.
        while progress:
            progress = False
            for name in names:
                if name not in self.folds:
                    progress |= self._try(name)

    def _try(self, name):
        try:
            folds = self._find(name)
            transforms = self._transform(name, folds)
        except _CannotFoldError as error:
            self.reasons[name] = str(error)
            return False
        self.transforms.update(transforms)
        self.folds[name] = folds
        self.reasons.pop(name, None)
        return True

    def _find(self, name):
        """Returns the `(layer name, position)` pairs that take all calls of a batch norm."""
        layer = self.graph.operations[name]
        if type(layer) not in BATCH_NORMALIZATIONS:
            raise _CannotFoldError(
                f"its class {type(layer).__name__} is a subclass, which may compute something else"
            )
        calls = self.graph.calls[name]
        unfollowed, folds = [], []
        for call in calls:
            if call.training:
                raise _CannotFoldError("it is called with training=True")
            try:
                folds.append((self._followed(call), "follows"))
            except _CannotFoldError as error:
                unfollowed.append((call, str(error)))
        for call, obstacle in unfollowed:
            try:
                for taker in self._preceded(call, [each for each, _ in unfollowed]):
                    folds.append((taker, "precedes"))
            except _CannotFoldError as error:
                place = f"call {call.number + 1} of {len(calls)}: " if len(calls) > 1 else ""
                raise _CannotFoldError(f"{place}{obstacle}; {error}") from None
        return list(dict.fromkeys(folds))

    def _transform(self, name, folds):
        scale, shift = affine_of(self.graph.operations[name])
        new: dict[str, LinearTransform] = {}
        for taker, position in folds:
            layer = self.graph.operations[taker]
            transform = new.get(taker) or self.transforms.get(taker) or KINDS[type(layer)](layer)
            if position == "follows":
                transform = transform.followed_by(scale, shift)
            else:
                if transform.padding() and np.any(shift):
                    raise _CannotFoldError(
                        f"it precedes {self._title(taker)}, which {transform.padding()}"
                    )
                transform = transform.preceded_by(scale, shift)
            dtype = transform.overflow()
            if dtype:
                title = self._title(taker)
                raise _CannotFoldError(f"the weights of {title} would not be finite in {dtype}")
            new[taker] = transform
        return new

    def _followed(self, call):
        """Returns the linear layer that a batch norm's call follows."""
        maker, tensor = self._up(call)
        if maker is None:
            raise _CannotFoldError(f"it follows {self._title(tensor.operation)}")
        taker = maker.operation
        title = self._title(taker)
        self._check(taker, call, "follows")
        activation = self.graph.operations[taker].activation
        if activation is not keras.activations.linear:
            named = getattr(activation, "__name__", None) or type(activation).__name__
            raise _CannotFoldError(f"it follows {title}, whose activation is {named}")
        for made in self.graph.calls[taker]:
            self._check(taker, self._only_user(made, call, title), "follows")
        return taker

    def _only_user(self, made, call, title):
        """Returns the only call that uses a linear layer's output, of the same batch norm."""
        shared = len(self.graph.calls[made.operation]) > 1
        while True:
            if made.output in self.graph.ends:
                raise _CannotFoldError(f"it follows {title}, whose output is a model output too")
            users = self.graph.users.get(made.output, [])
            if len(users) == 1 and users[0].operation == call.operation:
                return users[0]
            if len(users) == 1 and self._is_identity(users[0], call):
                made = users[0]
            elif shared:
                raise _CannotFoldError(
                    f"it follows {title}, which is shared and not followed by it at each call"
                )
            else:
                names = " and ".join(sorted({self._title(user.operation) for user in users}))
                raise _CannotFoldError(f"it follows {title}, whose output goes to {names}")

    def _preceded(self, call, calls):
        """Returns the linear layers that a batch norm's call precedes.

        `calls` are all calls of the batch norm that are to be folded this way.
        """
        if not keras.backend.is_float_dtype(call.dtype):
            raise _CannotFoldError(f"its input is {call.dtype}, which only it makes floating-point")
        takers, pending = [], [call]
        while pending:
            made = pending.pop()
            if made.output in self.graph.ends:
                raise _CannotFoldError("its output is a model output")
            for user in self.graph.users.get(made.output, []):
                if self._is_identity(user, call):
                    pending.append(user)
                    continue
                self._check(user.operation, call, "precedes")
                if not all(self._up(each)[0] in calls for each in self.graph.calls[user.operation]):
                    raise _CannotFoldError(
                        f"it precedes {self._title(user.operation)}, which is shared and not "
                        "preceded by it at each call"
                    )
                takers.append(user.operation)
        return takers

    def _up(self, call):
        """Returns the call, or None, and the tensor before a call's input, identities skipped."""
        tensor = call.sources[0]
        maker = self.graph.maker(tensor)
        while maker is not None and self._is_identity(maker, call):
            tensor = maker.sources[0]
            maker = self.graph.maker(tensor)
        return maker, tensor

    def _is_identity(self, call, like):
        """Returns whether a call changes nothing at inference, the dtype of `like` included."""
        layer = self.graph.operations[call.operation]
        identity = (
            call.operation in self.folds
            or type(layer) in _IDENTITIES
            or (
                type(layer) is keras.layers.Activation
                and layer.activation is keras.activations.linear
            )
        )
        if not identity or call.training or len(call.sources) != 1:
            return False
        return layer.compute_dtype == self.graph.operations[like.operation].compute_dtype

    def _check(self, taker, call, position):
        """Raises if the batch norm of `call` cannot be folded into a layer, in any position."""
        layer = self.graph.operations[taker]
        batch_norm = self.graph.operations[call.operation]
        where = f"it {position} {self._title(taker)}"
        if kind_of(layer) is None:
            if isinstance(layer, tuple(KINDS)):
                raise _CannotFoldError(f"{where}, a subclass, which may compute something else")
            if isinstance(layer, keras.Model):
                raise _CannotFoldError(f"{where}, and folding stops where a model begins or ends")
            raise _CannotFoldError(f"{where}, which is not a Dense or convolution layer")
        quantization = getattr(layer, "quantization_mode", None)
        if quantization:
            raise _CannotFoldError(f"{where}, which is quantized ({quantization})")
        if getattr(layer, "lora_enabled", False):
            raise _CannotFoldError(f"{where}, which has LoRA weights")
        if layer.compute_dtype != batch_norm.compute_dtype:
            dtypes = f"{layer.compute_dtype}, it in {batch_norm.compute_dtype}"
            raise _CannotFoldError(f"{where}, which computes in {dtypes}")
        rank = len(call.shape)
        axis, channels = batch_norm.axis % rank, channel_axis(layer, rank)
        if axis != channels:
            raise _CannotFoldError(f"{where}, whose channels are on axis {channels}, not {axis}")
        if any(map(self._misplaces_bias, self.graph.calls[taker])):
            raise _CannotFoldError(
                f"{where}, whose bias Keras adds along the last axis on TensorFlow, that axis "
                "being as long as the channels or of no known length"
            )

    def _misplaces_bias(self, call):
        # keras.ops.add takes (1, C, 1, 1) for a bias of the last axis where that has C elements.
        layer = self.graph.operations[call.operation]
        rank = len(call.shape)
        if keras.backend.backend() != "tensorflow" or channel_axis(layer, rank) == rank - 1:
            return False
        shape = layer.compute_output_shape(call.shape)
        return shape[-1] in (None, shape[1])

    def _title(self, name):
        layer = self.graph.operations[name]
        if isinstance(layer, keras.layers.InputLayer):
            return f"the input {name!r} of its model"
        return f"{type(layer).__name__} {name!r}"
