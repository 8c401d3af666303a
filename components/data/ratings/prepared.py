"""Reads ratings that `tensorflow-datasets` has prepared on disk; nothing is downloaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam

from ...base.errors import BadDataError
from ...base.suggestions import did_you_mean
from ...io.records import BadRecord
from ..reading.prepared_builder import nonempty_splits, open_builder
from .options import TfdsOptions
from .rows import Part, parts_of_columns

_BATCH = 8192


@dataclasses.dataclass(frozen=True)
class PreparedRatings:
    """A prepared data set of ratings.

    Args:
        builder: `tfds.core.DatasetBuilder`.
        parameters: which features are read.
    """

    builder: Any
    parameters: TfdsOptions

    @classmethod
    def find(cls, parameters: TfdsOptions, data_dir: str) -> PreparedRatings:
        """Opens a data set.

        Args:
            parameters: `TfdsOptions`.
            data_dir: string. The folder of TFDS, which holds a folder for each data set.

        Raises:
            BadDataError: there is no such data set, it is not prepared there, or has no such
                features.
        """
        name = parameters.dataset
        builder = open_builder(name, data_dir)
        known = sorted(builder.info.features)
        for key, feature in _features(parameters).items():
            if feature not in known:
                raise BadDataError(
                    f"The data set {name!r} must have the feature {feature!r}, or another with "
                    f"--set example_gen.{key}_feature=NAME{did_you_mean(feature, known)} "
                    f"Received: {', '.join(known)}"
                )
        return cls(builder, parameters)

    @property
    def splits(self) -> list[str]:
        """Names of the splits that have examples, sorted."""
        return nonempty_splits(self.builder)

    def read(self, split: str) -> beam.PTransform:
        """Returns a PTransform from the root to `(user, part)`s and `BadRecord`s of a split."""
        import tensorflow_datasets as tfds

        # Decode only the features that are used: films also have lists of genres, for instance.
        names = _features(self.parameters).values()
        features = {name: self.builder.info.features[name] for name in names}
        read = "ReadFromTFDS" >> tfds.beam.ReadFromTFDS(
            self.builder,
            split=split,
            batch_size=_BATCH,
            decoders=tfds.decode.PartialDecoding(features),
            read_config=tfds.ReadConfig(add_tfds_id=True),
        )
        return read | "ToParts" >> beam.FlatMap(self._parts)

    def _parts(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, Part] | BadRecord]:
        names = _features(self.parameters)
        timestamps = batch[names["timestamp"]].numpy() if "timestamp" in names else None
        return parts_of_columns(
            users=_texts(batch[names["user"]].numpy()),
            items=_texts(batch[names["item"]].numpy()),
            ratings=batch[names["rating"]].numpy().tolist(),
            timestamps=None if timestamps is None else timestamps.tolist(),
            places=_texts(batch["tfds_id"].numpy()),
            limits=self.parameters,
            source=self.builder.info.full_name,
        )


def _features(parameters: TfdsOptions) -> dict[str, str]:
    keys = ("user", "item", "rating", "timestamp")
    named = {key: getattr(parameters, f"{key}_feature") for key in keys}
    return {key: feature for key, feature in named.items() if feature}


def _texts(values: Any) -> list[str]:
    return [
        value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
        for value in values.tolist()
    ]
