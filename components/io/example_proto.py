"""`tf.train.Example` to and from dicts of lists, without importing TensorFlow.

Beam workers encode and decode examples; importing TensorFlow there would cost each worker seconds
and hundreds of megabytes. The message is declared here in a descriptor pool of its own with the
published field numbers (`tensorflow/core/example/{example,feature}.proto`), so that the bytes are
those that TensorFlow reads and writes, and both may live in one process.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from typing import Any

from .records import BadRecordError, Features

_DESCRIPTOR = """
name: "methodical/example.proto" package: "tensorflow" syntax: "proto3"
message_type {
  name: "BytesList" field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_BYTES }
}
message_type {
  name: "FloatList" field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_FLOAT }
}
message_type {
  name: "Int64List" field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_INT64 }
}
message_type {
  name: "Feature" oneof_decl { name: "kind" }
  field { name: "bytes_list" number: 1 type_name: ".tensorflow.BytesList" oneof_index: 0 }
  field { name: "float_list" number: 2 type_name: ".tensorflow.FloatList" oneof_index: 0 }
  field { name: "int64_list" number: 3 type_name: ".tensorflow.Int64List" oneof_index: 0 }
}
message_type {
  name: "Features"
  field {
    name: "feature" number: 1 label: LABEL_REPEATED type_name: ".tensorflow.Features.FeatureEntry"
  }
  nested_type {
    name: "FeatureEntry" options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type_name: ".tensorflow.Feature" }
  }
}
message_type {
  name: "Example" field { name: "features" number: 1 type_name: ".tensorflow.Features" }
}
"""


@functools.cache
def example_class() -> Any:
    """Returns the message class of `tensorflow.Example`."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_DESCRIPTOR, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


def encode(features: Features) -> bytes:
    """Serializes an example; the same features always give the same bytes.

    Args:
        features: feature names to lists (or one-dimensional arrays) of `int`, of `float`, or of
            `bytes` or `str`. `0`, `0.0` and `""` are values like any other. An empty list is a
            feature with no value: it is kept, with no kind. Floats become float32.

    Returns:
        A serialized `tf.train.Example`.

    Raises:
        BadRecordError: a feature is not a list, mixes kinds, has an unsupported type, or a number
            that int64 or float32 cannot hold.

    Example:

    ```python
    decode(encode({"label": [0], "text": ["a"], "none": []}))
    # {"label": [0], "none": [], "text": [b"a"]}
    ```
    """
    example = example_class()()
    table = example.features.feature
    for name, values in features.items():
        if not isinstance(name, str) or not name:
            raise BadRecordError(f"A feature's name must be a non-empty string. Received: {name!r}")
        values = _as_list(name, values)
        try:
            feature = table[name]
            if values:
                kind, values = _kind_of(name, values)
                getattr(feature, kind).value.extend(values)
        except UnicodeEncodeError as error:
            raise BadRecordError(
                f"Feature {name!r} has text that UTF-8 cannot encode. Received: {error.object!r}"
            ) from error
    return example.SerializeToString(deterministic=True)


def decode(serialized: bytes) -> dict[str, list[Any]]:
    """Parses a serialized example into a dict of lists, sorted by feature name.

    Raises:
        ValueError: the bytes are not a `tf.train.Example`.
    """
    from google.protobuf.message import DecodeError

    try:
        table = example_class().FromString(serialized).features.feature
    except DecodeError as error:
        raise ValueError(
            f"Bytes must be a serialized tf.train.Example ({error}). Received: {serialized[:40]!r}"
        ) from error
    features = {}
    for name in sorted(table):
        feature = table[name]
        kind = feature.WhichOneof("kind")
        features[name] = list(getattr(feature, kind).value) if kind else []
    return features


def _as_list(name: str, values: Any) -> list[Any]:
    if hasattr(values, "tolist"):
        if values.ndim != 1:
            raise BadRecordError(
                f"Feature {name!r} must be one-dimensional. Received: shape {tuple(values.shape)}"
            )
        return values.tolist()
    if isinstance(values, (str, bytes, dict)) or not isinstance(values, Sequence):
        raise BadRecordError(f"Feature {name!r} must be a list of values. Received: {values!r:.80}")
    return list(values)


def _kind_of(name: str, values: list[Any]) -> tuple[str, list[Any]]:
    types = set(map(type, values))
    if any(kind.__module__ == "numpy" for kind in types):
        values = [value.item() if hasattr(value, "item") else value for value in values]
        types = set(map(type, values))
    if types <= {int, bool}:
        try:
            struct.pack(f"<{len(values)}q", *values)
        except struct.error as error:
            raise BadRecordError(
                f"Feature {name!r} must hold 64-bit integers. Received: {_largest(values)}"
            ) from error
        return "int64_list", [int(value) for value in values] if bool in types else values
    if types == {float}:
        try:
            struct.pack(f"<{len(values)}f", *values)
        except OverflowError as error:
            raise BadRecordError(
                f"Feature {name!r} must hold 32-bit floats. Received: {_largest(values)}"
            ) from error
        return "float_list", values
    if types <= {bytes, str}:
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        return "bytes_list", encoded
    names = ", ".join(sorted(kind.__name__ for kind in types))
    raise BadRecordError(
        f"Feature {name!r} must hold only int, only float, or only bytes or str. Received: {names}"
    )


def _largest(values: list[Any]) -> Any:
    finite = [value for value in values if isinstance(value, int) or abs(value) != float("inf")]
    return max(finite, key=abs)
