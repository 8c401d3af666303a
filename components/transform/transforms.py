"""The Beam side of Transform."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from ..base.artifacts import TransformGraph
from ..beam.progress import advance
from ..beam.shards import dead_letter
from ..io import example_proto, filesystem, tfrecord
from ..io.records import BadRecordError

_ASSET_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_STEP = 1000


class ReadExamples(beam.DoFn):
    """Turns a TFRecord file into dicts of features.

    Args:
        token: of the progress.
    """

    def __init__(self, token: str):
        super().__init__()
        self._token = token

    def process(self, path: str) -> Iterator[dict[str, list[Any]]]:
        """Reads one file."""
        for index, serialized in enumerate(tfrecord.read_records(path), 1):
            yield example_proto.decode(serialized)
            if index % _STEP == 0:
                advance(self._token, _STEP)


class CheckAsset(beam.DoFn):
    """Turns `(name, [lines])` into `(name, lines)` if they can be stored one entry a line.

    Raises:
        ValueError: a name is not a file name, is given twice, or an entry is not one line of text.
    """

    def process(self, element: tuple[str, Iterable[Any]]) -> Iterator[tuple[str, list[str]]]:
        """Checks one asset."""
        name, groups = element
        given = list(groups)
        if not isinstance(name, str) or not _ASSET_NAME.fullmatch(name):
            raise ValueError(
                "An asset's name must consist of letters, digits, '.', '-' and '_'. "
                f"Received: {name!r}"
            )
        if len(given) != 1:
            raise ValueError(
                f"`analyze` must yield each asset once. Received: {name!r} {len(given)} times"
            )
        lines = list(given[0])
        for line in lines:
            if not isinstance(line, str) or "\n" in line or "\r" in line:
                raise ValueError(
                    f"An entry of the asset {name!r} must be text without a line end. "
                    f"Received: {line!r}"
                )
        yield name, lines


class WriteAsset(beam.DoFn):
    """Writes `assets/<name>.txt`; gives `{"asset", "lines"}`.

    Args:
        uri: the `TransformGraph`'s folder.
    """

    def __init__(self, uri: str):
        super().__init__()
        self._graph = TransformGraph(uri)

    def process(self, element: tuple[str, list[str]]) -> Iterator[dict[str, Any]]:
        """Writes one asset."""
        name, lines = element
        filesystem.make_dirs(self._graph.path("assets"))
        with filesystem.open_file(self._graph.asset_path(name), "w") as writer:
            writer.writelines(f"{line}\n" for line in lines)
        yield {"asset": name, "lines": len(lines)}


class TransformShard(beam.DoFn):
    """Transforms one TFRecord file into another with the same name, in order.

    Gives `{"split", "count"}` and dead letters.

    Args:
        transform: the method's `transform(parameters, assets)`.
        parameters: its parameters.
        uri: folder of the transformed examples.
        token: of the progress.
    """

    def __init__(self, transform: Callable[..., Any], parameters: Any, uri: str, token: str):
        super().__init__()
        self._transform = transform
        self._parameters = parameters
        self._uri = uri
        self._token = token
        self._assets: Mapping[str, list[str]] | None = None
        self._function: Callable[..., Any] | None = None

    def process(self, element: tuple[str, str], assets: Mapping[str, list[str]]) -> Iterator[Any]:
        """Transforms one file."""
        split, path = element
        # Built once a worker, for a vocabulary table may be dear.
        if self._function is None or assets != self._assets:
            self._assets = dict(assets)
            self._function = self._transform(self._parameters, self._assets)
        folder = filesystem.join(self._uri, f"Split-{split}")
        filesystem.make_dirs(folder)
        name = path.replace("\\", "/").rpartition("/")[2]
        bad: list[tuple[int, str]] = []
        count = tfrecord.write_records(
            filesystem.join(folder, name), self._transformed(split, path, bad)
        )
        Metrics.counter("methodical", "examples").inc(count)
        Metrics.counter("methodical", "bad_records").inc(len(bad))
        for index, reason in bad:
            yield dead_letter(
                f"Split-{split}/{name}", f"example {index}", reason, split=split, index=index
            )
        yield {"split": split, "count": count}

    def _transformed(self, split: str, path: str, bad: list[tuple[int, str]]) -> Iterator[bytes]:
        for index, serialized in enumerate(tfrecord.read_records(path)):
            try:
                transformed = example_proto.encode(self._function(example_proto.decode(serialized)))
            except BadRecordError as error:
                bad.append((index, str(error)))
            except Exception as error:
                raise RuntimeError(
                    f"The transform must take every example or raise BadRecordError. Received: "
                    f"{type(error).__name__}: {error}, from example {index} of {path}"
                ) from error
            else:
                yield transformed
            if (index + 1) % _STEP == 0:
                advance(self._token, _STEP)
