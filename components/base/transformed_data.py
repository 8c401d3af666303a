"""Transformed examples with their assets: the base of the data that stages pass to methods."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from .artifacts import Examples, TransformGraph

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class TransformedData:
    """Transformed examples with their raw examples.

    A kind of data extends it with what its examples hold: shapes, classes, batches.

    Args:
        transformed: output of Transform.
        transform_graph: assets, vocabularies for instance.
        raw: output of ExampleGen; `None` in the Trainer, which sees transformed examples only.
    """

    transformed: Examples
    transform_graph: TransformGraph
    raw: Examples | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Cached contents of files stay in the process that read them.
        return type(self), (self.transformed, self.transform_graph, self.raw)

    @property
    def splits(self) -> dict[str, int]:
        """Splits with their numbers of examples."""
        return self.transformed.splits

    def count(self, split: str) -> int:
        """Returns the number of examples of a split, 0 if there is no such split."""
        return self.splits.get(split, 0)

    def asset(self, name: str) -> list[str]:
        """Reads an asset's lines."""
        return self.transform_graph.asset(name)

    def asset_path(self, name: str) -> str:
        """Returns the path of an asset file."""
        return self.transform_graph.asset_path(name)

    def serialized(self, split: str, raw: bool = False) -> tf.data.Dataset:
        """Returns the serialized `tf.train.Example`s of a split, in file order.

        Transform keeps the order of the examples inside each shard and the number of shards, so
        that raw and transformed examples correspond one to one where none was dropped; match them
        by a feature if the method's transform may drop examples.
        """
        import tensorflow as tf

        examples = self.raw if raw else self.transformed
        if examples is None:
            raise ValueError("Raw examples are given to Evaluator and Exporter only.")
        return tf.data.TFRecordDataset(examples.files(split), compression_type="GZIP")
