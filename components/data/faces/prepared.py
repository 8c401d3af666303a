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
from ..reading.prepared_builder import open_builder
from . import examples, pairs_file
from .options import LfwOptions
from .pairs import Partners, check_people, held_out
from .people import FaceFile, limited

_BATCH = 256
_IMAGE, _LABEL = "image", "label"


class PreparedFaces:
    """A prepared data set with the features `image` and `label`, the name of a person.

    TFDS stores LFW's images in the order of a hash of their names and drops the names. Here they
    are found again: of the names that the people and their numbers of images make possible, the
    hashes are sorted, and where every image then is of the person whom its name says, so are the
    numbers. Else (another data set, or a part of one) images are numbered in stored order, and no
    pairs file can be used.

    Args:
        parameters: `LfwOptions`.
        data_dir: string. The folder of TFDS, which holds a folder for each data set.

    Attributes:
        images: `FaceFile`s in stored order; the path is the split and the place in it.
        chosen: those that are read.
        pairs: those of the pairs file, or `None`.

    Raises:
        BadDataError: the data set is not prepared there or has no such features, a person is in two
            splits, or the pairs file cannot be read or names images that are not there.
    """

    def __init__(self, parameters: LfwOptions, data_dir: str):
        import tensorflow_datasets as tfds

        self._builder = open_builder(parameters.dataset, data_dir)
        features = self._builder.info.features
        named = _LABEL in features and _IMAGE in features
        if not named or not isinstance(features[_IMAGE], tfds.features.Image):
            raise BadDataError(
                "A TFDS data set of faces must have the features 'image' and 'label'. "
                f"Received: {parameters.dataset!r} with {', '.join(sorted(features))}"
            )
        splits = self._builder.info.splits
        self.splits = sorted(name for name in splits if splits[name].num_examples)
        self._starts = {
            name: [0, *itertools.accumulate(splits[name].shard_lengths)] for name in self.splits
        }
        self._parameters = parameters
        renamed = split_names(self.splits)
        self.images = [
            FaceFile(f"{split}/{place}", renamed[split], *names)
            for split in self.splits
            for place, names in enumerate(self._names(split))
        ]
        self._check_splits()
        self.pairs = self._read_pairs()
        named = self._hold_out()
        self.chosen = limited(self.images, parameters.limit, named)

    def read(self, split: str) -> beam.PTransform:
        """Returns a PTransform from the pipeline's root to batches of `(place, image)`."""
        import tensorflow_datasets as tfds

        return beam.ptransform_fn(
            lambda root: (
                root
                | "ReadFromTFDS"
                >> tfds.beam.ReadFromTFDS(
                    self._builder,
                    split=split,
                    batch_size=_BATCH,
                    # The stored bytes, as they are: decoding and encoding again would cost much.
                    decoders={_IMAGE: tfds.decode.SkipDecoding()},
                    read_config=tfds.ReadConfig(add_tfds_id=True),
                )
                | "ToPlaces" >> beam.Map(_placed, split, self._starts[split])
            )
        )()

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
        found = lfw_ids(people, split)
        if found is None:
            if self._parameters.pairs_file:
                raise BadDataError(
                    "A pairs file needs the images' numbers, which TFDS stores in the order of "
                    "LFW only; use --data folder with the images instead. "
                    f"Received: {self._parameters.dataset!r}, whose order is another"
                )
            numbers: collections.Counter[str] = collections.Counter()
            found = []
            for person in people:
                numbers[person] += 1
                found.append(pairs_file.image_id(person, numbers[person]))
        return list(zip(people, found, strict=True))

    def _check_splits(self) -> None:
        splits: dict[str, str] = {}
        for one in self.images:
            if splits.setdefault(one.identity, one.split) != one.split:
                raise BadDataError(
                    "A person must be in one split, or the measures would be of known people. "
                    f"Received: {self._parameters.dataset!r}, where {one.identity!r} is in two"
                )

    def _read_pairs(self) -> list[pairs_file.VerificationPair] | None:
        name = self._parameters.pairs_file
        if not name:
            return None
        pairs = pairs_file.parse(pairs_file.read(name), name)
        pairs_file.check_images(pairs, (one.id for one in self.images), name)
        return pairs

    def _hold_out(self) -> set[str]:
        """Puts people into the split test; returns those of the pairs file."""
        named: set[str] = set()
        people: set[str] = set()
        if self.pairs is not None:
            named = people = {person for pair in self.pairs for person in pair.identities}
        else:
            where = repr(self._parameters.dataset)
            check_people([one.identity for one in self.images], where)
            tested = [one.identity for one in self.images if one.split == "test"]
            if tested:
                check_people(tested, f"the split test of {where}")
            else:
                people = held_out({one.identity for one in self.images}, self._parameters)
        self.images = [
            one._replace(split="test") if one.identity in people else one for one in self.images
        ]
        return named


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
            yield BadRecord(parameters.dataset, place, examples.not_an_image(reason))
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
    found = []
    for name, image in zip(batch["tfds_id"].numpy(), batch[_IMAGE].numpy(), strict=True):
        file, _, place = name.decode().rpartition("__")
        shard = int(file.rpartition("-of-")[0].rpartition("-")[2])
        found.append((f"{split}/{starts[shard] + int(place)}", image))
    return found
