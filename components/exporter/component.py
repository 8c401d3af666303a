"""Exporter: writes the models as one SavedModel for TensorFlow Serving."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from ..base.artifacts import Examples, Model, ModelBlessing, SavedModel, TransformGraph
from ..base.component import Component, ExecutionContext
from ..base.transformed_data import TransformedData
from ..io import filesystem
from .serving_model import EXTRA, SIGNATURES, ServingModel, Signature

REFERENCES = "references.npz"


class Exporter(Component):
    """Exports the signatures that the method's `serve` returns.

    The artifact has

    - `Format-Serving/`: the SavedModel, written by `keras.export.ExportArchive`, with vocabularies
      under `assets/` and warm-up requests (of one row each) in
      `assets.extra/tf_serving_warmup_requests`;
    - `references.npz`: under `<signature>/<output>` what the trained Keras models answer; row i
      belongs to warm-up request i of that signature;
    - `signatures.json`: every signature's inputs and outputs with `dtype` and `shape` (`null` for
      the batch and other free dimensions), the inputs with `help` and `file` too. The same file
      stands in the SavedModel under `assets.extra/`: a model describes its own inputs and outputs.

    A signature's function is traced as it is, without AutoGraph, as Keras does it; a method that
    needs AutoGraph decorates its function with `tf.function`.
    """

    INPUTS: ClassVar = {
        "examples": Examples,
        "transformed_examples": Examples,
        "transform_graph": TransformGraph,
        "model": Model,
        "blessing": ModelBlessing,
    }
    OPTIONAL_INPUTS: ClassVar = frozenset({"blessing"})
    OUTPUTS: ClassVar = {"saved_model": SavedModel}
    FUNCTIONS: ClassVar = {
        "serve": "serve(models, data, parameters) returns the ServingModel",
        "data": "class of the kind of data, a `TransformedData`",
    }
    OPTIONAL_FUNCTIONS: ClassVar = frozenset({"data"})

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        """Exports, with warm-up requests and references."""
        from ..base.model_loading import load_models

        inputs = context.inputs
        data = context.functions.get("data", TransformedData)(
            inputs["transformed_examples"], inputs["transform_graph"], inputs["examples"]
        )
        models = load_models(inputs["model"])
        context.progress(None, "tracing the signatures")
        serving = context.functions["serve"](models, data, context.parameters)
        output = context.outputs["saved_model"]
        described = _export(serving, output.path(SavedModel.FOLDER))
        text = json.dumps(described, indent=1, ensure_ascii=False)
        filesystem.make_dirs(output.path(SavedModel.FOLDER, EXTRA))
        for path in (output.path(SIGNATURES), output.path(SavedModel.FOLDER, EXTRA, SIGNATURES)):
            with filesystem.open_file(path, "w") as writer:
                writer.write(text)

        context.progress(None, "writing warm-up requests")
        requests = _write_requests(serving, output, context.model_name)
        size = sum(filesystem.size(output.path(name)) for name in filesystem.walk(output.uri))
        output.properties.update(
            signatures=sorted(serving.signatures),
            warm_up_requests=requests,
            bytes=size,
            facts=dict(serving.facts),
            referenced=sorted(
                name for name, signature in serving.signatures.items() if signature.references
            ),
        )
        context.counters.update(signatures=len(serving.signatures), warm_up_requests=requests)
        context.summary = (
            f"{len(serving.signatures)} signatures, {size / 1e6:.1f} MB, "
            f"{requests} warm-up requests"
        )
        first_lines = [text.partition("\n")[0] for text in serving.facts.values()]
        context.summary = ", ".join([context.summary, *first_lines])


def _export(serving: ServingModel, folder: str) -> dict[str, Any]:
    import keras

    if "serving_default" not in serving.signatures:
        raise ValueError(
            "A ServingModel must have the signature 'serving_default'. Received: "
            f"{', '.join(serving.signatures) or 'none'}"
        )
    archive = keras.export.ExportArchive()
    for trackable in serving.track:
        archive.track(trackable)
    described = {}
    for name, signature in serving.signatures.items():
        function = _traced(name, signature)
        archive.add_endpoint(name, function)
        described[name] = _description(signature, function)
    archive.write_out(folder, verbose=False)
    return described


def _traced(name: str, signature: Signature) -> Any:
    """Returns a `tf.function` whose inputs and outputs have the signature's names."""
    import tensorflow as tf

    def serve(**inputs: Any) -> Mapping[str, Any]:
        outputs = signature.function(**inputs)
        if not isinstance(outputs, Mapping):
            raise TypeError(
                f"The function of the signature {name!r} must return a dict of tensors, so that "
                f"the outputs have names. Received: {type(outputs).__name__}"
            )
        return {key: tf.identity(value, name=key) for key, value in outputs.items()}

    specs = {
        key: tf.TensorSpec(entry.spec.shape, entry.spec.dtype, name=key)
        for key, entry in signature.inputs.items()
    }
    for key, spec in specs.items():
        if spec.shape.rank is None or spec.shape.rank < 1 or spec.shape[0] is not None:
            raise ValueError(
                f"Inputs of a signature must have a free first dimension, the batch. Received: "
                f"shape {spec.shape} for {key!r} of {name!r}"
            )
    function = tf.function(serve, autograph=False)
    function.get_concrete_function(**specs)
    return function


def _description(signature: Signature, function: Any) -> dict[str, Any]:
    def tensor(spec: Any) -> dict[str, Any]:
        return {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}

    (concrete,) = function._list_all_concrete_functions()
    return {
        "inputs": {
            name: {**tensor(entry.spec), "help": entry.help, "file": entry.file}
            for name, entry in signature.inputs.items()
        },
        "outputs": {name: tensor(spec) for name, spec in concrete.structured_outputs.items()},
    }


def _write_requests(serving: ServingModel, output: SavedModel, model_name: str) -> int:
    """Writes warm-up requests of one row each and the references that belong to them."""
    import numpy as np

    from . import prediction_log

    most = prediction_log.MOST_WARM_UP_REQUESTS // len(serving.signatures)
    records: list[bytes] = []
    references: dict[str, Any] = {}
    for name, signature in serving.signatures.items():
        requests = _arrays(name, signature)
        rows = min(len(next(iter(requests.values()))), most)
        for row in range(rows):
            inputs = {key: value[row : row + 1] for key, value in requests.items()}
            records.append(prediction_log.serialized_request(model_name, name, inputs))
        for key, value in (signature.references or {}).items():
            array = np.asarray(value)
            if len(array) != len(next(iter(requests.values()))):
                raise ValueError(
                    f"References must have a row for each request of the signature {name!r}. "
                    f"Received: {len(array)} rows of {key!r}"
                )
            references[f"{name}/{key}"] = _storable(array[:rows], f"{name}/{key}")
    path = output.path(
        SavedModel.FOLDER, prediction_log.WARM_UP_FOLDER, prediction_log.WARM_UP_FILE
    )
    prediction_log.write_requests(path, records)
    content = io.BytesIO()
    np.savez_compressed(content, **references)
    with filesystem.open_file(output.path(REFERENCES), "wb") as writer:
        writer.write(content.getvalue())
    return len(records)


def _arrays(name: str, signature: Signature) -> dict[str, Any]:
    """Returns the requests as arrays of the inputs' dtypes, checked."""
    import numpy as np

    if set(signature.requests) != set(signature.inputs):
        raise ValueError(
            f"Requests of the signature {name!r} must have its inputs "
            f"{', '.join(sorted(signature.inputs))}. Received: "
            f"{', '.join(sorted(signature.requests)) or 'none'}"
        )
    arrays = {}
    for key, entry in signature.inputs.items():
        # NumPy's own strings end before a NUL byte, with which a serialized example may end.
        dtype = entry.spec.dtype.as_numpy_dtype
        arrays[key] = np.asarray(signature.requests[key], dtype=dtype)
    lengths = {key: len(value) for key, value in arrays.items()}
    if len(set(lengths.values())) != 1 or not min(lengths.values()):
        raise ValueError(
            f"Requests of the signature {name!r} must have the same number of rows in all inputs, "
            f"at least one. Received: {lengths}"
        )
    return arrays


def _storable(array: Any, name: str) -> Any:
    """Returns an array that `.npz` holds without pickle: strings as fixed-width bytes."""
    import numpy as np

    if array.dtype.kind not in "OSU":
        return array
    encoded = [
        entry.encode() if isinstance(entry, str) else bytes(entry) for entry in array.ravel()
    ]
    if any(entry.endswith(b"\0") for entry in encoded):
        raise ValueError(
            f"References that are strings must not end with a NUL byte. Received: {name!r}"
        )
    return np.array(encoded, dtype=bytes).reshape(array.shape)
