"""The Beam side of ExampleValidator: looks for examples that show the anomalies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
from tensorflow_metadata.proto.v0 import schema_pb2

from ..beam.read_examples import read_examples
from ..io import filesystem
from .schema_checks import Finding, example_shows

_SHOWN_LENGTH = 200


class FindExamples(beam.DoFn):
    """Turns `(split, TFRecord file)` into rows that name the first examples with an anomaly.

    Args:
        findings: the anomalies of each split.
        schema: the serialized schema.
        count: number of examples of each anomaly and file.
        token: of the progress.
    """

    def __init__(
        self, findings: Mapping[str, list[Finding]], schema: bytes, count: int, token: str
    ):
        super().__init__()
        self._findings = findings
        self._schema = schema
        self._count = count
        self._token = token

    def process(self, element: tuple[str, str]) -> Iterator[dict[str, Any]]:
        """Searches one file, no further than needed."""
        split, path = element
        schema = schema_pb2.Schema.FromString(self._schema)
        features = {feature.name: feature for feature in schema.feature}
        missing = dict.fromkeys(self._findings[split], self._count)
        for index, example in enumerate(read_examples(path, self._token)):
            if not missing:
                return
            for finding in list(missing):
                values = example_shows(finding, features.get(finding.feature), example)
                if values is None:
                    continue
                yield {
                    "split": split,
                    "file": filesystem.base_name(path),
                    "index": index,
                    "feature": finding.feature,
                    "anomaly": finding.kind,
                    "value": _shown(values),
                }
                missing[finding] -= 1
                if not missing[finding]:
                    del missing[finding]


def _shown(values: list[Any]) -> str:
    texts = (
        value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
        for value in values[:10]
    )
    text = ", ".join(repr(value) for value in texts) if values else "(no value)"
    return text if len(text) <= _SHOWN_LENGTH else text[:_SHOWN_LENGTH] + "…"
