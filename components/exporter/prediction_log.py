"""TensorFlow Serving's `PredictionLog`, the proto of warm-up requests, without its package.

`tensorflow-serving-api` would bring gRPC stubs for four small messages. They are declared here with
the package, names and field numbers of `model.proto`, `predict.proto` and `prediction_log.proto`
(in `tensorflow_serving/apis`), in a descriptor pool of their own, so that the real package may be
loaded beside them.

This module imports nothing of the project: InfraValidator's clean process loads it by its path.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

WARM_UP_FOLDER = "assets.extra"
WARM_UP_FILE = "tf_serving_warmup_requests"
MOST_WARM_UP_REQUESTS = 1000
"""TensorFlow Serving refuses a model with more."""

_PACKAGE = "tensorflow.serving"


@functools.cache
def prediction_log_class() -> Any:
    """Returns the message class `tensorflow.serving.PredictionLog`."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from tensorflow.core.framework import tensor_pb2

    pool = descriptor_pool.DescriptorPool()
    _add_with_dependencies(pool, tensor_pb2.DESCRIPTOR, set())
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="methodical/prediction_log.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[tensor_pb2.DESCRIPTOR.name],
    )

    def message(name: str, *fields: Any, parent: Any = None) -> Any:
        made = file.message_type.add() if parent is None else parent.nested_type.add()
        made.name = name
        made.field.extend(fields)
        return made

    def text(name: str, number: int, label: int = field.LABEL_OPTIONAL) -> Any:
        return field(name=name, number=number, type=field.TYPE_STRING, label=label)

    def part(name: str, number: int, kind: str, label: int = field.LABEL_OPTIONAL) -> Any:
        kind = kind if kind.startswith(".") else f".{_PACKAGE}.{kind}"
        return field(name=name, number=number, type=field.TYPE_MESSAGE, type_name=kind, label=label)

    message("ModelSpec", text("name", 1), text("signature_name", 3))
    request = message(
        "PredictRequest",
        part("model_spec", 1, "ModelSpec"),
        part("inputs", 2, "PredictRequest.InputsEntry", field.LABEL_REPEATED),
        text("output_filter", 3, field.LABEL_REPEATED),
    )
    entry = message(
        "InputsEntry", text("key", 1), part("value", 2, ".tensorflow.TensorProto"), parent=request
    )
    entry.options.map_entry = True
    message("PredictLog", part("request", 1, "PredictRequest"))
    log = message("PredictionLog", part("predict_log", 6, "PredictLog"))
    log.oneof_decl.add(name="log_type")
    log.field[0].oneof_index = 0
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.PredictionLog"))


def _add_with_dependencies(pool: Any, descriptor: Any, added: set[str]) -> None:
    from google.protobuf import descriptor_pb2

    for dependency in descriptor.dependencies:
        _add_with_dependencies(pool, dependency, added)
    if descriptor.name not in added:
        added.add(descriptor.name)
        file = descriptor_pb2.FileDescriptorProto()
        descriptor.CopyToProto(file)
        pool.Add(file)


def serialized_request(model: str, signature: str, inputs: Mapping[str, Any]) -> bytes:
    """Returns a serialized `PredictionLog` of one request.

    Args:
        model: name under which the model is served.
        signature: name of the signature.
        inputs: arrays or tensors by input name, with the batch dimension.
    """
    import tensorflow as tf

    log = prediction_log_class()()
    request = log.predict_log.request
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        tensor = value if isinstance(value, tf.Tensor) else tf.convert_to_tensor(value)
        proto = tf.make_tensor_proto(tensor)
        request.inputs[name].ParseFromString(proto.SerializeToString())
    return log.SerializeToString(deterministic=True)


def write_requests(path: str, records: Iterable[bytes]) -> int:
    """Writes serialized `PredictionLog`s as TFRecord and returns their number."""
    import tensorflow as tf

    count = 0
    with tf.io.TFRecordWriter(path) as writer:
        for record in records:
            writer.write(record)
            count += 1
    return count


def read_requests(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each warm-up request as its signature's name and its inputs as NumPy arrays."""
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    for record in tf.data.TFRecordDataset(path):
        log = prediction_log_class().FromString(record.numpy())
        request = log.predict_log.request
        inputs = {}
        for name, value in request.inputs.items():
            proto = tensor_pb2.TensorProto.FromString(value.SerializeToString())
            inputs[name] = tf.make_ndarray(proto)
        yield request.model_spec.signature_name, inputs
