"""Reads a few `tf.train.Example`s of an `Examples` artifact without loading TensorFlow.

TensorFlow takes seconds to load, and a run whose stages are all cached ends in less. A TFRecord file
is a row of `uint64 length, uint32 crc, bytes, uint32 crc`; the checksums of the artifact's manifest
cover the whole file, so those inside are skipped. `tf.train.Example` is a small proto, described
here a second time in a descriptor pool of its own.
"""

from __future__ import annotations

import functools
import gzip
import itertools
import struct
from collections.abc import Iterator
from typing import Any

from ..components import filesystem

_HEADER = struct.Struct("<QI")
_FOOTER = 4


def tf_records(path: str) -> Iterator[bytes]:
    """Yields the records of one gzipped TFRecord file.

    Raises:
        ValueError: the file ends inside a record.
    """
    with filesystem.open_file(path, "rb") as raw, gzip.open(raw, "rb") as reader:
        while header := reader.read(_HEADER.size):
            if len(header) < _HEADER.size:
                raise ValueError(f"A TFRecord file ends inside a record. Received: {path}")
            length = _HEADER.unpack(header)[0]
            record = reader.read(length)
            if len(record) < length or len(reader.read(_FOOTER)) < _FOOTER:
                raise ValueError(f"A TFRecord file ends inside a record. Received: {path}")
            yield record


def spread_records(
    paths: list[str], count: int, most: int = 20_000, most_bytes: int = 1 << 26
) -> list[bytes]:
    """Returns a few records that lie evenly over the first `most` ones.

    Args:
        paths: gzipped TFRecord files, read in order.
        count: how many records are returned at most.
        most: how many are looked at at most.
        most_bytes: how many bytes are looked at at most.
    """
    seen, held = [], 0
    every = itertools.chain.from_iterable(tf_records(path) for path in paths)
    for record in itertools.islice(every, most):
        seen.append(record)
        held += len(record)
        if held >= most_bytes:
            break
    step = max(len(seen) / count, 1)
    return [seen[int(index * step)] for index in range(min(count, len(seen)))]


def parse_example(record: bytes) -> dict[str, list[Any]]:
    """Parses a serialized `tf.train.Example`.

    Returns:
        Lists of `int`, of `float` or of `bytes` by feature name; a feature of no kind is an empty
        list.
    """
    example = _example_class().FromString(record)
    features = {}
    for name, feature in sorted(example.features.feature.items()):
        kind = feature.WhichOneof("kind")
        features[name] = list(getattr(feature, kind).value) if kind else []
    return features


@functools.cache
def _example_class() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="example.proto", package="tensorflow", syntax="proto3"
    )

    def message(name: str) -> Any:
        return file.message_type.add(name=name)

    def add(into: Any, name: str, position: int, kind: int, **more: Any) -> Any:
        more.setdefault("label", field.LABEL_OPTIONAL)
        return into.field.add(name=name, number=position, type=kind, **more)

    kinds = {"Bytes": field.TYPE_BYTES, "Float": field.TYPE_FLOAT, "Int64": field.TYPE_INT64}
    feature = message("Feature")
    feature.oneof_decl.add(name="kind")
    for position, (name, kind) in enumerate(kinds.items(), start=1):
        add(message(f"{name}List"), "value", 1, kind, label=field.LABEL_REPEATED)
        add(
            feature,
            f"{name.lower()}_list",
            position,
            field.TYPE_MESSAGE,
            type_name=f".tensorflow.{name}List",
            oneof_index=0,
        )
    features = message("Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    add(entry, "key", 1, field.TYPE_STRING)
    add(entry, "value", 2, field.TYPE_MESSAGE, type_name=".tensorflow.Feature")
    add(
        features,
        "feature",
        1,
        field.TYPE_MESSAGE,
        label=field.LABEL_REPEATED,
        type_name=".tensorflow.Features.FeatureEntry",
    )
    add(message("Example"), "features", 1, field.TYPE_MESSAGE, type_name=".tensorflow.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))
