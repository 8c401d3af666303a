"""The Beam side of Transform."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from ..base.artifacts import TransformGraph
from ..beam.read_examples import read_examples
from ..beam.shards import dead_letter
from ..io import example_proto, filesystem, tfrecord
from ..io.records import BadRecordError

_ASSET_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def checked_asset(element: tuple[str, Iterable[Any]]) -> tuple[str, list[str]]:
    """Turns `(name, [lines])` into `(name, lines)` if they can be stored as one entry per line.

    Raises:
        ValueError: a name is not a file name, is given twice, or an entry is not one line of text.
    """
    name, groups = element
    lists = list(groups)
    if not isinstance(name, str) or not _ASSET_NAME.fullmatch(name):
        raise ValueError(
            f"An asset's name must consist of letters, digits, '.', '-' and '_'. Received: {name!r}"
        )
    if len(lists) != 1:
        raise ValueError(
            f"`analyze` must yield each asset once. Received: {name!r} {len(lists)} times"
        )
    lines = list(lists[0])
    for line in lines:
        if not isinstance(line, str) or "\n" in line or "\r" in line:
            raise ValueError(
                f"An entry of the asset {name!r} must be text without a line end. "
                f"Received: {line!r}"
            )
    return name, lines


def write_asset(element: tuple[str, list[str]], uri: str) -> dict[str, Any]:
    """Writes `assets/<name>.txt` of a `TransformGraph`; returns `{"asset", "lines"}`."""
    name, lines = element
    graph = TransformGraph(uri)
    filesystem.make_dirs(graph.path("assets"))
    with filesystem.open_file(graph.asset_path(name), "w") as writer:
        writer.writelines(f"{line}\n" for line in lines)
    return {"asset": name, "lines": len(lines)}


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
        self._function: Any = None

    def process(self, element: tuple[str, str], assets: Mapping[str, list[str]]) -> Iterator[Any]:
        """Transforms one file."""
        split, path = element
        # Built once per worker, because a vocabulary table may be expensive.
        if self._function is None or assets != self._assets:
            self._assets = dict(assets)
            self._function = self._transform(self._parameters, self._assets)
        folder = filesystem.join(self._uri, f"Split-{split}")
        filesystem.make_dirs(folder)
        name = filesystem.base_name(path)
        bad: list[tuple[int, str]] = []
        count = tfrecord.write_records(filesystem.join(folder, name), self._transformed(path, bad))
        Metrics.counter("methodical", "examples").inc(count)
        Metrics.counter("methodical", "bad_records").inc(len(bad))
        for index, reason in bad:
            yield dead_letter(
                f"Split-{split}/{name}", f"example {index}", reason, split=split, index=index
            )
        yield {"split": split, "count": count}

    def _transformed(self, path: str, bad: list[tuple[int, str]]) -> Iterator[bytes]:
        for index, features in enumerate(read_examples(path, self._token)):
            try:
                transformed = example_proto.encode(self._function(features))
            except BadRecordError as error:
                bad.append((index, str(error)))
            except Exception as error:
                raise RuntimeError(
                    f"The transform must take every example or raise BadRecordError. Received: "
                    f"{type(error).__name__}: {error}, from example {index} of {path}"
                ) from error
            else:
                yield transformed
