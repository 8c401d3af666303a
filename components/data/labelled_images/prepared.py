"""Reads data sets that `tensorflow-datasets` has prepared on disk; nothing is downloaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam

from ...base.errors import BadDataError
from ...io.records import Record
from ..reading.prepared_builder import nonempty_splits, open_builder
from . import examples

_BATCH = 256


@dataclasses.dataclass(frozen=True)
class PreparedDataset:
    """A prepared data set of labelled images.

    Args:
        builder: `tfds.core.DatasetBuilder`.
        image: name of the feature that holds the image.
        label: name of the feature that holds the class.
    """

    builder: Any
    image: str
    label: str

    @classmethod
    def find(cls, name: str, data_dir: str) -> PreparedDataset:
        """Opens a data set.

        Args:
            name: string, as in `tfds.builder`.
            data_dir: string. The folder of TFDS, which holds a folder for each data set.

        Raises:
            BadDataError: there is no such data set, it is not prepared there, or has no images
                with labels.
        """
        import tensorflow_datasets as tfds

        builder = open_builder(name, data_dir)
        keys = builder.info.supervised_keys or ("image", "label")
        features = builder.info.features
        missing = [key for key in keys if not isinstance(key, str) or key not in features]
        if missing or len(keys) != 2 or not isinstance(features[keys[0]], tfds.features.Image):
            raise BadDataError(
                f"A TFDS data set must have images with labels: its supervised keys, or else "
                f"'image' and 'label'. Received: {name!r} with {', '.join(sorted(features))}"
            )
        return cls(builder, *keys)

    @property
    def splits(self) -> list[str]:
        """Names of the splits that have examples, sorted."""
        return nonempty_splits(self.builder)

    def read(self, split: str, into: str, limit: int) -> beam.PTransform:
        """Returns a PTransform from the pipeline's root to `Record`s.

        Args:
            split: string. One of `splits`.
            into: string. The split of the records.
            limit: integer. The largest number of images, 0 for all.
        """
        import tensorflow_datasets as tfds

        cut = 0 < limit < self.builder.info.splits[split].num_examples
        read = "ReadFromTFDS" >> tfds.beam.ReadFromTFDS(
            self.builder,
            split=f"{split}[:{limit}]" if cut else split,
            # Batches cost a third of single examples, but TFDS cannot cut them.
            batch_size=None if cut else _BATCH,
            # Keep the stored bytes: decoding and encoding them again would be expensive.
            decoders={self.image: tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(add_tfds_id=True),
        )
        return read | "ToRecords" >> beam.FlatMap(self._records, into)

    def _records(self, batch: Mapping[str, Any], split: str) -> Iterator[Record]:
        feature = self.builder.info.features[self.label]
        images, labels, identities = (
            batch[name].numpy() if batch[name].shape.rank else [batch[name].numpy()]
            for name in (self.image, self.label, "tfds_id")
        )
        for image, label, identity in zip(images, labels, identities, strict=True):
            name = feature.int2str(int(label)) if hasattr(feature, "int2str") else label
            yield examples.to_record(
                image,
                name.decode() if isinstance(name, bytes) else str(name),
                identity.decode(),
                split,
                self.builder.info.full_name,
            )
