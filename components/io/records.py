"""What the data stages exchange: records of features, and unusable records."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

Features = Mapping[str, Sequence[Any]]
"""An example's features: names to lists of `int`, of `float`, or of `bytes` (or `str`)."""


@dataclasses.dataclass(frozen=True)
class Record:
    """One example as a source reads it.

    Args:
        key: examples with the same key fall into the same split.
        features: the example. An empty list is a feature with no value; 0, 0.0 and "" are values.
        split: the split that the data prescribes, or `""` to choose it by a hash of the key.
        source: origin for messages: a file name or the name of a simulator.
        position: where in the source, for example `line 12`.
        records: number of the source's records in the example; the fraction of bad records is
            counted in these.
    """

    key: str
    features: Features
    split: str = ""
    source: str = ""
    position: str = ""
    records: int = 1


@dataclasses.dataclass(frozen=True)
class BadRecord:
    """An unusable record, which goes to the dead letters.

    Args:
        source: file name or simulator.
        position: where in the source, for example `line 12`.
        reason: one sentence: what is wrong, `Received: …`.
    """

    source: str
    position: str
    reason: str


class BadRecordError(ValueError):
    """A method's transform cannot use an example; the message is the reason."""


def to_text(value: bytes | str) -> str:
    """Returns a feature's text, which Beam passes as bytes, and JSON and tests as `str`."""
    return value.decode() if isinstance(value, bytes) else value
