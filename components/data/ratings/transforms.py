"""Beam transforms: read or simulate ratings by user, learn the ids, turn ids into indices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam

from ...base.errors import BadDataError
from ...base.natural_sort import natural_key
from ...io import filesystem
from ...io.records import BadRecord, Record, to_text
from ..reading.count_features import Counters, CountFeatures
from . import files, grouping, movielens, rows, simulator
from .examples import to_record
from .folds import assign_folds
from .options import (
    FoldOptions,
    MovieLensOptions,
    SimulatorOptions,
    TextOptions,
    TfdsOptions,
    TransformOptions,
)

_TEXT_ENDS = (".csv", ".tsv", ".txt", ".data", ".dat")


class Simulate(beam.PTransform):
    """Ratings drawn from the model of `simulator` as `Record`s, one per user.

    Args:
        parameters: `SimulatorOptions`.
    """

    def __init__(self, parameters: SimulatorOptions, data_dir: str | None = None):
        super().__init__()
        self.parameters = parameters

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Draws one block of whole users per element, so that nothing has to be grouped."""
        blocks = range(-(-self.parameters.users // simulator.USERS_PER_BLOCK))
        return (
            root
            | "Blocks" >> beam.Create(list(blocks), reshuffle=True)
            | "SimulateBlock" >> beam.FlatMap(_simulated_records, self.parameters)
        )


class ReadMovieLens(beam.PTransform):
    """MovieLens' ratings as `Record`s, one per user, and `BadRecord`s.

    Args:
        parameters: `MovieLensOptions`.
        data_dir: folder, archive or file.

    Raises:
        BadDataError: files are missing.
    """

    def __init__(self, parameters: MovieLensOptions, data_dir: str):
        super().__init__()
        self.parameters = parameters
        self.data = data_dir
        self.files = movielens.find_files(parameters, data_dir)

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Reads one file per element; an archive is one element."""
        elements = [self.files] if files.is_archive(self.data) else [[file] for file in self.files]
        published = self.parameters.split_by.startswith("published")
        return (
            root
            | "MovieLensFiles" >> beam.Create(elements, reshuffle=True)
            | "ReadMovieLens" >> beam.FlatMap(_movielens_parts, self.data, self.parameters)
            | "ByUser" >> GroupByUser(self.parameters, published)
        )


class ReadText(beam.PTransform):
    """Ratings in CSV, TSV and similar files as `Record`s, one per user, and `BadRecord`s.

    Args:
        parameters: `TextOptions`.
        data_dir: a file, or a folder or archive in which all files named `.csv`, `.tsv`, `.txt`,
            `.data` or `.dat` (`.gz` or not) hold ratings.

    Raises:
        BadDataError: there is no such file, or a header lacks a column.
        ValueError: there is no header, and a column is not named by a number.
    """

    def __init__(self, parameters: TextOptions, data_dir: str):
        super().__init__()
        self.parameters = parameters
        self.data = data_dir
        names = files.list_files(data_dir)
        if names != [""]:
            names = [name for name in names if _holds_text(name)]
        if not names:
            raise BadDataError(
                f"There must be files named {', '.join(_TEXT_ENDS)}, gzipped or not. "
                f"Received: {data_dir} without"
            )
        self.names = sorted(names)
        if not parameters.header:
            rows.numbered_columns(parameters)

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Reads one file per element; an archive is one element."""
        archive = files.is_archive(self.data)
        elements = [self.names] if archive else [[name] for name in self.names]
        return (
            root
            | "TextFiles" >> beam.Create(elements, reshuffle=True)
            | "ReadText" >> beam.FlatMap(_text_parts, self.data, self.parameters)
            | "ByUser" >> GroupByUser(self.parameters)
        )


class ReadTfds(beam.PTransform):
    """Ratings of a prepared TFDS data set as `Record`s, one per user, and `BadRecord`s.

    Args:
        parameters: `TfdsOptions`.
        data_dir: folder of TFDS.

    Raises:
        BadDataError: the data set is not prepared there, or lacks a feature.
    """

    def __init__(self, parameters: TfdsOptions, data_dir: str):
        super().__init__()
        from . import prepared

        self.parameters = parameters
        self.dataset = prepared.PreparedRatings.find(parameters, data_dir)

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Reads all splits with `tfds.beam.ReadFromTFDS`."""
        read = [root | f"Read-{split}" >> self.dataset.read(split) for split in self.dataset.splits]
        return read | "Splits" >> beam.Flatten() | "ByUser" >> GroupByUser(self.parameters)


class GroupByUser(beam.PTransform):
    """Turns `(user, part)`s into one `Record` per user; `BadRecord`s are passed on.

    Args:
        parameters: `FoldOptions`.
        published: whether the parts set the folds.
    """

    def __init__(self, parameters: FoldOptions, published: bool = False):
        super().__init__()
        self.parameters = parameters
        self.published = published

    def expand(self, parts: beam.PCollection) -> beam.PCollection:
        """Groups parts, of which there are far fewer than ratings."""
        bad = parts | "Bad" >> beam.Filter(lambda element: isinstance(element, BadRecord))
        records = (
            parts
            | "Parts" >> beam.Filter(lambda element: not isinstance(element, BadRecord))
            | "GroupByUser" >> beam.GroupByKey()
            | "UserRecords" >> beam.FlatMap(grouping.user_records, self.parameters, self.published)
        )
        return (records, bad) | "RecordsAndBad" >> beam.Flatten()


class Analyze(beam.PTransform):
    """Learns which users and items there are.

    Assets: `users` and `items`, the ids with enough ratings, sorted, numbers in them by value. The
    index of an id is its line number from 0, that of all others the number of lines.

    Args:
        parameters: `TransformOptions`.
    """

    def __init__(self, parameters: TransformOptions):
        super().__init__()
        self.parameters = parameters

    def expand(self, features: beam.PCollection) -> beam.PCollection:
        """Counts the ratings of each id."""
        return (
            features
            | "CountRatings" >> beam.CombineGlobally(CountFeatures(2, _count))
            | "ToAssets" >> beam.FlatMap(_assets, self.parameters)
        )


class ToIndices:
    """Turns the ids of an example into indices.

    Ratings of items out of vocabulary are left out. A user out of vocabulary gets the index that is
    the number of users and keeps the ratings; training and evaluation skip such users.

    Args:
        parameters: `TransformOptions`.
        assets: what `Analyze` learned.

    Call arguments:
        features: a raw example.

    Returns:
        `user`, `items`, indices; `ratings` and `folds` of these items; `id`, the user's id.
    """

    def __init__(self, parameters: TransformOptions, assets: Mapping[str, Sequence[str]]):
        self.users = {name.encode(): index for index, name in enumerate(assets["users"])}
        self.items = {name.encode(): index for index, name in enumerate(assets["items"])}

    def __call__(self, features: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Returns the indices of one example."""
        user = _bytes(features["user"][0])
        items = [self.items.get(_bytes(item), -1) for item in features["items"]]
        ratings, folds = features["ratings"], features["folds"]
        if -1 in items:
            known = [index for index, item in enumerate(items) if item >= 0]
            items, ratings, folds = (
                [values[index] for index in known] for values in (items, ratings, folds)
            )
        return {
            "user": [self.users.get(user, len(self.users))],
            "items": items,
            "ratings": list(ratings),
            "folds": list(folds),
            "id": [user],
        }


def _count(counters: Counters, features: Mapping[str, Any]) -> None:
    users, items = counters
    users[features["user"][0]] += len(features["items"])
    items.update(features["items"])


def _assets(counts: Counters, parameters: TransformOptions) -> Iterator[tuple[str, list[str]]]:
    least = {"users": parameters.min_user_ratings, "items": parameters.min_item_ratings}
    for (name, fewest), ratings in zip(least.items(), counts, strict=True):
        frequent = [to_text(value) for value, count in ratings.items() if count >= fewest]
        if not frequent:
            raise BadDataError(
                f"At least one of the {name} must have {fewest} ratings; lower --set "
                f"transform.min_{name[:-1]}_ratings={fewest}. "
                f"Received: {len(ratings)} {name} with at most {max(ratings.values(), default=0)}"
            )
        yield name, sorted(frequent, key=natural_key)


def _simulated_records(block: int, parameters: SimulatorOptions) -> Iterator[Record]:
    names = [f"i{number}" for number in range(1, parameters.items + 1)]
    for drawn in simulator.simulate_block(parameters, block):
        user = f"u{drawn.user + 1}"
        items = [names[item] for item in drawn.items.tolist()]
        timestamps = drawn.timestamps.tolist()
        yield to_record(
            user=user,
            items=items,
            ratings=drawn.ratings.tolist(),
            timestamps=timestamps,
            folds=assign_folds(parameters, user, items, timestamps),
            source="simulated",
        )


def _movielens_parts(
    ratings_files: Sequence[movielens.RatingsFile], data: str, parameters: MovieLensOptions
) -> Iterator[tuple[str, rows.Part] | BadRecord]:
    by_name = {file.name or filesystem.base_name(data): file for file in ratings_files}
    with files.readable(data):
        for name, reader in files.open_files(data, [file.name for file in ratings_files]):
            file = by_name[name]
            read = files.read_rows(reader, file.delimiter)
            if file.header:
                next(read, None)
            source = filesystem.base_name(name)
            yield from rows.parts_of_rows(read, movielens.COLUMNS, parameters, source, file.fold)


def _text_parts(
    names: Sequence[str], data: str, parameters: TextOptions
) -> Iterator[tuple[str, rows.Part] | BadRecord]:
    with files.readable(data):
        for name, reader in files.open_files(data, names):
            delimiter = parameters.delimiter
            if not delimiter:
                reader, delimiter = files.with_delimiter(reader)
            read = files.read_rows(reader, delimiter)
            if parameters.header:
                _, header = next(read, (1, ()))
                columns = rows.named_columns(parameters, header, name)
            else:
                columns = rows.numbered_columns(parameters)
            yield from rows.parts_of_rows(read, columns, parameters, name)


def _holds_text(name: str) -> bool:
    return name.lower().removesuffix(".gz").endswith(_TEXT_ENDS)


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value
