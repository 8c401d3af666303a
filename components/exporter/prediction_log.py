"""TensorFlow Serving's `PredictionLog`, the proto of warm-up requests, without its package.

`tensorflow-serving-api` would bring gRPC stubs for four small messages. They are declared here with
the names and field numbers of `model.proto`, `predict.proto` and `prediction_log.proto` (in
`tensorflow_serving/apis`), which fix the bytes, and in a package of our own, so that the real one
may be loaded beside them.

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

_FILE = """
name: "methodical/prediction_log.proto" package: "methodical.serving" syntax: "proto3"
dependency: "tensorflow/core/framework/tensor.proto"
message_type { name: "ModelSpec"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "signature_name" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL } }
message_type { name: "PredictRequest"
  field { name: "model_spec" number: 1 type: TYPE_MESSAGE label: LABEL_OPTIONAL
          type_name: "ModelSpec" }
  field { name: "inputs" number: 2 type: TYPE_MESSAGE label: LABEL_REPEATED
          type_name: "PredictRequest.InputsEntry" }
  field { name: "output_filter" number: 3 type: TYPE_STRING label: LABEL_REPEATED }
  nested_type { name: "InputsEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "value" number: 2 type: TYPE_MESSAGE label: LABEL_OPTIONAL
            type_name: ".tensorflow.TensorProto" } } }
message_type { name: "PredictLog"
  field { name: "request" number: 1 type: TYPE_MESSAGE label: LABEL_OPTIONAL
          type_name: "PredictRequest" } }
message_type { name: "PredictionLog" oneof_decl { name: "log_type" }
  field { name: "predict_log" number: 6 type: TYPE_MESSAGE label: LABEL_OPTIONAL
          type_name: "PredictLog" oneof_index: 0 } }
"""


@functools.cache
def prediction_log_class() -> Any:
    """Returns the message class `PredictionLog`."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
    from tensorflow.core.framework import tensor_pb2  # noqa: F401 — declares the dependency.

    file = text_format.Parse(_FILE, descriptor_pb2.FileDescriptorProto())
    name = f"{file.package}.PredictionLog"
    pool = descriptor_pool.Default()
    try:
        message = pool.FindMessageTypeByName(name)
    except KeyError:  # This module may be loaded twice: also by its path.
        pool.AddSerializedFile(file.SerializeToString())
        message = pool.FindMessageTypeByName(name)
    return message_factory.GetMessageClass(message)


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
        request.inputs[name].CopyFrom(tf.make_tensor_proto(tf.convert_to_tensor(value)))
    return log.SerializeToString(deterministic=True)


def write_requests(path: str, records: Iterable[bytes]) -> None:
    """Writes serialized `PredictionLog`s as TFRecord."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(path) as writer:
        for record in records:
            writer.write(record)


def read_requests(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each warm-up request as its signature's name and its inputs as NumPy arrays."""
    import tensorflow as tf

    for record in tf.data.TFRecordDataset(path):
        request = prediction_log_class().FromString(record.numpy()).predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        yield request.model_spec.signature_name, inputs
