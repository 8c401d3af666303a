"""Reads data sets of faces that `tensorflow-datasets` has prepared on disk, LFW first of all."""

from __future__ import annotations

import collections
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam

from ...base.errors import BadDataError
from ...io.records import BadRecord, Record
from ..images.folders import split_names
from ..images.image_files import not_an_image
from ..reading.prepared_builder import nonempty_splits, open_builder
from . import examples, pairs_file
from .options import LfwOptions
from .pairs import Partners, check_splits, people_to_hold_out
from .people import FaceFile, limited

_BATCH = 256
_IMAGE, _LABEL = "image", "label"


class PreparedFaces:
    """A prepared data set with the features `image` and `label`, the name of a person.

    TFDS stores LFW's images in the order of a hash of their names and drops the names. They are
    recovered here: the names that the people and their numbers of images allow are sorted by hash;
    if every image is then of the person in its name, the numbers are right too. Otherwise (another
    data set, or a part of one) images are numbered in stored order, and no pairs file can be used.

    Args:
        parameters: `LfwOptions`.
        data_dir: string. The folder of TFDS, which holds a folder for each data set.

    Attributes:
        images: `FaceFile`s in stored order; the path is the split and the place in it.
        chosen: those that are read.
        pairs: those of the pairs file, or `None`.

    Raises:
        BadDataError: the data set is not prepared there or has no such features, a person is in two
            splits, or the pairs file cannot be read or names missing images.
    """

    def __init__(self, parameters: LfwOptions, data_dir: str):
        import tensorflow_datasets as tfds

        self._builder = open_builder(parameters.dataset, data_dir)
        features = self._builder.info.features
        has_features = _LABEL in features and _IMAGE in features
        if not has_features or not isinstance(features[_IMAGE], tfds.features.Image):
            raise BadDataError(
                "A TFDS data set of faces must have the features 'image' and 'label'. "
                f"Received: {parameters.dataset!r} with {', '.join(sorted(features))}"
            )
        self.splits = nonempty_splits(self._builder)
        self._starts = {
            name: [0, *itertools.accumulate(self._builder.info.splits[name].shard_lengths)]
            for name in self.splits
        }
        self._parameters = parameters
        renamed = split_names(self.splits)
        self.images = [
            FaceFile(f"{split}/{place}", renamed[split], *names)
            for split in self.splits
            for place, names in enumerate(self._names(split))
        ]
        people = [(image.identity, image.split) for image in self.images]
        check_splits(people, repr(parameters.dataset))
        self.pairs = self._read_pairs()
        named = {person for pair in self.pairs or () for person in pair.identities}
        test = (
            named
            if self.pairs is not None
            else people_to_hold_out(people, parameters, repr(parameters.dataset))
        )
        self.images = [
            image._replace(split="test") if image.identity in test else image
            for image in self.images
        ]
        self.chosen = limited(self.images, parameters.limit, named)

    def read(self, split: str) -> beam.PTransform:
        """Returns a PTransform from the pipeline's root to batches of `(place, image)`."""
        import tensorflow_datasets as tfds

        read = "ReadFromTFDS" >> tfds.beam.ReadFromTFDS(
            self._builder,
            split=split,
            batch_size=_BATCH,
            # Keep the stored bytes: decoding and encoding them again would be expensive.
            decoders={_IMAGE: tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(add_tfds_id=True),
        )
        return read | "ToPlaces" >> beam.Map(_placed, split, self._starts[split])

    def _names(self, split: str) -> list[tuple[str, str]]:
        """Returns identity and id of the images, in stored order."""
        import tensorflow_datasets as tfds

        feature = self._builder.info.features[_LABEL]
        stored = self._builder.as_dataset(
            split=split,
            decoders=tfds.decode.PartialDecoding({_LABEL: True}),
            read_config=tfds.ReadConfig(interleave_cycle_length=1),
        )
        people = []
        for batch in stored.batch(_BATCH).as_numpy_iterator():
            for label in batch[_LABEL]:
                text = label if isinstance(label, bytes) else feature.int2str(int(label))
                people.append(text.decode() if isinstance(text, bytes) else text)
        ids = lfw_ids(people, split)
        if ids is None:
            if self._parameters.pairs_file:
                raise BadDataError(
                    "A pairs file needs the images' numbers, which TFDS stores in the order of "
                    "LFW only; use --data folder with the images instead. "
                    f"Received: {self._parameters.dataset!r}, whose order is another"
                )
            numbers: collections.Counter[str] = collections.Counter()
            ids = []
            for person in people:
                numbers[person] += 1
                ids.append(pairs_file.image_id(person, numbers[person]))
        return list(zip(people, ids, strict=True))

    def _read_pairs(self) -> list[pairs_file.VerificationPair] | None:
        name = self._parameters.pairs_file
        if not name:
            return None
        pairs = pairs_file.parse(pairs_file.read(name), name)
        pairs_file.check_images(pairs, (image.id for image in self.images), name)
        return pairs


def lfw_ids(people: Sequence[str], split: str) -> list[str] | None:
    """Returns the ids of LFW's images by the people in the order in which TFDS has stored them.

    Args:
        people: name of the person of each image, in stored order.
        split: name of the split, which salts TFDS' hash.

    Returns:
        Ids as `Aaron_Peirsol/Aaron_Peirsol_0001`; `None` if the order is not that of these names.
    """
    ids = [
        pairs_file.image_id(person, number + 1)
        for person, images in collections.Counter(people).items()
        for number in range(images)
    ]
    ids.sort(key=lambda name: hashlib.md5(f"{split}{name}.jpg".encode()).digest())
    same = all(name.startswith(f"{person}/") for name, person in zip(ids, people, strict=True))
    return ids if same else None


def records(
    batch: Sequence[tuple[str, bytes]],
    partners: Mapping[str, Partners],
    files: Mapping[str, FaceFile],
    parameters: LfwOptions,
) -> Iterator[Record | BadRecord]:
    """Yields the records of the images of a batch that are among `files`, by place."""
    for place, image in batch:
        file = files.get(place)
        if file is None:
            continue
        reason = examples.problem(image, parameters.min_size, parameters.max_pixels)
        if reason:
            yield BadRecord(parameters.dataset, place, not_an_image(reason))
        else:
            yield examples.to_record(
                image,
                file.identity,
                file.id,
                file.split,
                parameters.dataset,
                position=place,
                partners=partners.get(file.id),
            )


def _placed(batch: Mapping[str, Any], split: str, starts: list[int]) -> list[tuple[str, bytes]]:
    """Returns the images of a batch with their places; TFDS names shard and place in it."""
    images = []
    for name, image in zip(batch["tfds_id"].numpy(), batch[_IMAGE].numpy(), strict=True):
        file, _, place = name.decode().rpartition("__")
        shard = int(file.rpartition("-of-")[0].rpartition("-")[2])
        images.append((f"{split}/{starts[shard] + int(place)}", image))
    return images
