"""Beam transforms: read labelled images, learn their classes and shape, decode them."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam

from ...base.natural_sort import natural_key
from ...io import filesystem
from ...io.records import BadRecordError, Record, to_text
from ..images import folders, image_files
from ..images.image_shapes import common_shape, count_names_and_shapes, image_shape
from ..images.image_sources import ReadImageFiles
from ..reading.count_features import Counters
from . import examples, idx
from .options import BundledOptions, FolderOptions, IdxOptions, TfdsOptions, TransformOptions

IMAGES_PER_ELEMENT = 500
"""Image files that one Beam element reads: few fat elements cost less than many small ones."""


class ReadBundled(beam.PTransform):
    """Reads scikit-learn's 1,797 digits of 8 × 8 pixels as `Record`s.

    Their 17 gray levels become 0 to 255. A hash of seed and number puts some in the split `test`;
    the others are hashed by ExampleGen.

    Args:
        parameters: `BundledOptions`.
    """

    def __init__(self, parameters: BundledOptions, data_dir: str | None = None):
        super().__init__()
        self.parameters = parameters

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Reads all digits as one element."""
        return (
            root
            | "Bundled" >> beam.Create(["bundled"])
            | "ReadBundled" >> beam.FlatMap(_bundled_records, self.parameters)
        )


class ReadIdx(beam.PTransform):
    """Images of IDX files as `Record`s of PNGs; the files `t10k` make the split `test`.

    Args:
        parameters: `IdxOptions`.
        data_dir: folder of the files, gzipped or not.

    Raises:
        BadDataError: the files are missing or, once the pipeline runs, broken.
    """

    def __init__(self, parameters: IdxOptions, data_dir: str):
        super().__init__()
        self.pairs = idx.find_pairs(data_dir)
        self.limit = parameters.limit

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Reads one pair of files per element, as a stream."""
        return (
            root
            | "IdxFiles" >> beam.Create(self.pairs, reshuffle=True)
            | "ReadIdx" >> beam.FlatMap(_idx_records, self.limit)
        )


class ReadTfds(beam.PTransform):
    """Images of a prepared TFDS data set as `Record`s, with their stored bytes.

    The split `validation` becomes `eval`; without one, `train` is hashed by ExampleGen.

    Args:
        parameters: `TfdsOptions`.
        data_dir: folder of TFDS.

    Raises:
        BadDataError: the data set is not prepared there, or has no images with labels.
    """

    def __init__(self, parameters: TfdsOptions, data_dir: str):
        super().__init__()
        from . import prepared

        self.dataset = prepared.PreparedDataset.find(parameters.dataset, data_dir)
        self.limit = parameters.limit

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Reads each split with `tfds.beam.ReadFromTFDS`."""
        renamed = folders.split_names(self.dataset.splits)
        read = [
            root | f"Read-{split}" >> self.dataset.read(split, renamed[split], self.limit)
            for split in self.dataset.splits
        ]
        return read | "Splits" >> beam.Flatten()


class ReadImages(beam.PTransform):
    """Image files as `Record`s with the files' own bytes, and `BadRecord`s.

    Folders are classes, the folders around them splits, see `folders.find_images`: `test` stays
    `test`, `validation` and its like become `eval`; without one, `train` is hashed by ExampleGen.

    Args:
        parameters: `FolderOptions`.
        data_dir: folder or .zip file.

    Raises:
        BadDataError: there are no images in folders of classes.
    """

    def __init__(self, parameters: FolderOptions, data_dir: str):
        super().__init__()
        self.data = data_dir
        images, bad = folders.find_images(data_dir, parameters.limit)
        self.files = [*images, *bad]

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Reads and decodes several files per element."""
        return root | "ReadImageFiles" >> ReadImageFiles(
            self.data, self.files, IMAGES_PER_ELEMENT, examples.problem, _file_record
        )


class Analyze(beam.PTransform):
    """Learns the classes and the images' shape from training examples.

    Assets: `classes`, sorted, numbers in them by value; `image_shape`, height, width and channels,
    those of the options or else the most common ones; `binarize`, `true` or `false`.

    Args:
        parameters: `TransformOptions`.
    """

    def __init__(self, parameters: TransformOptions):
        super().__init__()
        self.parameters = parameters

    def expand(self, features: beam.PCollection) -> beam.PCollection:
        """Counts classes and shapes."""
        return (
            features
            | "CountClassesAndShapes"
            >> beam.CombineGlobally(count_names_and_shapes("label", self.parameters))
            | "ToAssets" >> beam.FlatMap(_assets, self.parameters)
        )


class Decode:
    """Turns an example's encoded image into pixels and its class into a number.

    Args:
        parameters: `TransformOptions`.
        assets: what `Analyze` learned.

    Call arguments:
        features: `image`, `label` and `id` of a raw example.

    Returns:
        `pixels`, the H·W·C bytes of the image; `label`, the number of its class, or -1 where the
        options keep unknown ones; `id`.

    Raises:
        BadRecordError: the image cannot be decoded, or training has no image of its class and the
            options do not keep such images.
    """

    def __init__(self, parameters: TransformOptions, assets: Mapping[str, Sequence[str]]):
        import tensorflow as tf

        from ..images import pixels
        from . import decoder

        self.decoder = decoder.ImageDecoder.from_assets(assets["image_shape"], assets["binarize"])
        self.labels = {name: number for number, name in enumerate(assets["classes"])}
        self.unknown_classes = parameters.unknown_classes
        self._failed = tf.errors.InvalidArgumentError
        self._reason = pixels.reason

    def __call__(self, features: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Returns the pixels and the label of one example."""
        name = to_text(features["label"][0])
        if name not in self.labels and not self.unknown_classes:
            raise BadRecordError(
                f"A class must occur in the training examples. Received: {name!r}, training has "
                f"{len(self.labels)} others"
            )
        try:
            pixels = self.decoder.of_bytes(features["image"][0])
        except self._failed as error:
            raise BadRecordError(
                f"An image must be a whole JPEG, PNG, GIF or BMP file. "
                f"Received: {features['image'][0][:20]!r}…: {self._reason(error)}"
            ) from error
        return {
            "pixels": [pixels.tobytes()],
            "label": [self.labels.get(name, -1)],
            "id": list(features["id"]),
        }


def _bundled_records(source: str, parameters: BundledOptions) -> Iterator[Record]:
    import numpy as np
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    read: collections.Counter[str] = collections.Counter()
    for number, (image, label) in enumerate(zip(pixels, digits.target, strict=True)):
        digest = hashlib.sha256(f"{parameters.seed}/{number}".encode()).digest()
        is_test = int.from_bytes(digest[:8], "big") < parameters.test_fraction * 2**64
        split = "test" if is_test else ""
        read[split] += 1
        if not parameters.limit or read[split] <= parameters.limit:
            image = image_files.encode_png(image)
            yield examples.to_record(image, str(label), str(number), split, source)


def _idx_records(pair: idx.IdxPair, limit: int) -> Iterator[Record]:
    source = filesystem.base_name(pair.images)
    split = "" if pair.split == "train" else pair.split
    number = 0
    for images, labels in idx.read_pair(pair, limit):
        for image, label in zip(images, labels, strict=True):
            identity = f"{pair.split}/{number}"
            yield examples.to_record(
                image_files.encode_png(image), str(label), identity, split, source
            )
            number += 1


def _file_record(image: bytes, file: folders.ImageFile, source: str) -> Record:
    return examples.to_record(image, file.label, file.path, file.split, source)


def _assets(counted: Counters, parameters: TransformOptions) -> Iterator[tuple[str, list[str]]]:
    classes, shapes = counted
    yield "classes", sorted(classes, key=natural_key)
    yield "image_shape", image_shape(parameters, common_shape(shapes), sum(shapes.values()))
    yield "binarize", ["true" if parameters.binarize else "false"]
