"""Beam transforms that read faces: drawn ones, folders of people, prepared data sets."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam

from ...io.records import Record
from ..images.image_sources import ReadImageFiles
from . import examples, people
from .options import FolderOptions, LfwOptions, PairOptions, SimulatorOptions
from .pairs import Partners, draw_id_pairs, held_out
from .pairs_file import VerificationPair, by_first_image
from .simulator import simulator

IMAGES_PER_ELEMENT = 200
"""Image files that one Beam element reads: few fat elements cost less than many small ones."""


class Simulate(beam.PTransform):
    """Drawn faces as `Record`s; a part of the people is the split `test`, with drawn pairs.

    Args:
        parameters: `SimulatorOptions`.
    """

    def __init__(self, parameters: SimulatorOptions, data_dir: str | None = None):
        super().__init__()
        self.parameters = parameters

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Draws the images of several people per element."""
        images = simulated_images(self.parameters)
        partners = _partners(root, images, None, self.parameters)
        splits = {image.identity: image.split for image in images}
        numbers = [
            number
            for number in range(self.parameters.identities)
            if simulator.identity_name(number) in splits
        ]
        size = max(1, IMAGES_PER_ELEMENT // self.parameters.images)
        parts = [numbers[first : first + size] for first in range(0, len(numbers), size)]
        return (
            root
            | "People" >> beam.Create(parts, reshuffle=True)
            | "DrawFaces"
            >> beam.FlatMap(
                _simulated_records, beam.pvalue.AsDict(partners), splits, self.parameters
            )
        )


class ReadFolder(beam.PTransform):
    """Images of a folder or .zip as `Record`s with the files' own bytes, and `BadRecord`s.

    A folder is a person; see `people.find_people` for splits, `examples.problem` for the checks.

    Args:
        parameters: `FolderOptions`.
        data_dir: folder or .zip file.

    Raises:
        BadDataError: see `people.find_people` and, when it runs, `pairs.draw_id_pairs`.
    """

    def __init__(self, parameters: FolderOptions, data_dir: str):
        super().__init__()
        self.parameters = parameters
        self.data = data_dir
        self.people = people.find_people(parameters, data_dir)

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Reads and decodes several files per element."""
        partners = _partners(root, self.people.images, self.people.pairs, self.parameters)
        problem = functools.partial(
            examples.problem,
            min_size=self.parameters.min_size,
            max_pixels=self.parameters.max_pixels,
        )
        return root | "ReadFaceFiles" >> ReadImageFiles(
            self.data,
            [*self.people.images, *self.people.bad],
            IMAGES_PER_ELEMENT,
            problem,
            _file_record,
            beam.pvalue.AsDict(partners),
        )


class ReadLfw(beam.PTransform):
    """Images of a prepared TFDS data set of faces as `Record`s, and `BadRecord`s.

    Args:
        parameters: `LfwOptions`.
        data_dir: folder of TFDS.

    Raises:
        BadDataError: see `prepared.PreparedFaces` and, when it runs, `pairs.draw_id_pairs`.
    """

    def __init__(self, parameters: LfwOptions, data_dir: str):
        super().__init__()
        from . import prepared

        self.parameters = parameters
        self.dataset = prepared.PreparedFaces(parameters, data_dir)

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Reads each split with `tfds.beam.ReadFromTFDS`."""
        from . import prepared

        partners = _partners(root, self.dataset.chosen, self.dataset.pairs, self.parameters)
        files = {image.path: image for image in self.dataset.chosen}
        read = [root | f"Read-{split}" >> self.dataset.read(split) for split in self.dataset.splits]
        return (
            read
            | "Splits" >> beam.Flatten()
            | "ToRecords"
            >> beam.FlatMap(prepared.records, beam.pvalue.AsDict(partners), files, self.parameters)
        )


class DrawPairs(beam.PTransform):
    """Draws verification pairs: from `(identity, id)` of images to `(id, Partners)`.

    What is drawn depends on the set of images and the options alone, not on their order. A pair is
    given once, under its first image.

    Args:
        parameters: `PairOptions`.
    """

    def __init__(self, parameters: PairOptions):
        super().__init__()
        self.parameters = parameters

    def expand(self, images: beam.PCollection) -> beam.PCollection:
        """Gathers the names and draws."""
        return (
            images
            | "GatherNames" >> beam.CombineGlobally(beam.combiners.ToListCombineFn())
            | "DrawPairs" >> beam.FlatMap(_drawn, self.parameters)
        )


def simulated_images(parameters: SimulatorOptions) -> list[people.FaceFile]:
    """Returns the names and splits of the images that are drawn; they have no path."""
    names = [simulator.identity_name(number) for number in range(parameters.identities)]
    test = held_out(names, parameters)
    images = [
        people.FaceFile("", "test" if name in test else "", name, simulator.image_id(number, image))
        for number, name in enumerate(names)
        for image in range(parameters.images)
    ]
    return people.limited(images, parameters.limit)


def _partners(
    root: Any,
    images: Iterable[people.FaceFile],
    pairs: Iterable[VerificationPair] | None,
    parameters: PairOptions,
) -> beam.PCollection:
    """Returns partners by id: of the pairs that a file gives, or else of drawn ones."""
    if pairs is not None:
        return root | "Pairs" >> beam.Create(list(by_first_image(pairs).items()))
    names = [(image.identity, image.id) for image in images if image.split == "test"]
    return root | "TestImages" >> beam.Create(names) | "Pairs" >> DrawPairs(parameters)


def _simulated_records(
    numbers: Iterable[int],
    partners: Mapping[str, Partners],
    splits: Mapping[str, str],
    parameters: SimulatorOptions,
) -> Iterator[Record]:
    for number in numbers:
        identity = simulator.identity_name(number)
        for face in simulator.simulate_identity(parameters, number):
            yield examples.to_record(
                face.image,
                identity,
                face.id,
                splits[identity],
                "simulator",
                face.eyes,
                partners=partners.get(face.id),
            )


def _file_record(
    image: bytes, file: people.FaceFile, source: str, partners: Mapping[str, Partners]
) -> Record:
    pairs = partners.get(file.id)
    return examples.to_record(
        image, file.identity, file.id, file.split, source, file.eyes, file.path, pairs
    )


def _drawn(
    images: list[tuple[str, str]], parameters: PairOptions
) -> Iterator[tuple[str, Partners]]:
    pairs = draw_id_pairs(images, parameters.pairs, parameters.folds, parameters.seed)
    yield from by_first_image(pairs).items()
