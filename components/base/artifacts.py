"""Typed artifacts: folders with a manifest, under TFX's names.

An artifact is a folder with a `MANIFEST.json` that names its type, its properties and every file
with size and SHA-256. The manifest is written last: a folder without one is not an artifact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from ..io import filesystem

MANIFEST = "MANIFEST.json"


class Artifact:
    """A folder of files that a component made.

    Args:
        uri: string. The folder.
        properties: mapping of JSON values that describe the artifact (counts, verdicts).

    Attributes:
        TYPE_NAME: the type's name in manifests and in the metadata store.
    """

    TYPE_NAME: ClassVar[str] = "Artifact"

    def __init__(self, uri: str, properties: Mapping[str, Any] | None = None):
        self.uri = uri
        self.properties: dict[str, Any] = dict(properties or {})

    def __repr__(self) -> str:
        return f"{self.TYPE_NAME}({self.uri!r})"

    def path(self, *names: str) -> str:
        """Returns the path of a file of this artifact."""
        return filesystem.join(self.uri, *names)

    def read_json(self, name: str) -> Any:
        """Reads one JSON file of this artifact."""
        with filesystem.open_file(self.path(name)) as reader:
            return json.load(reader)

    def write_json(self, name: str, value: Any) -> None:
        """Writes one JSON file of this artifact."""
        with filesystem.open_file(self.path(name), "w") as writer:
            json.dump(value, writer, indent=1, sort_keys=True, ensure_ascii=False)
            writer.write("\n")

    def write_manifest(self) -> None:
        """Writes the manifest over all files that lie in the folder now."""
        files = [
            {
                "path": name,
                "size": filesystem.size(self.path(name)),
                "sha256": filesystem.sha256(self.path(name)),
            }
            for name in filesystem.walk(self.uri)
            if name != MANIFEST
        ]
        self.write_json(
            MANIFEST, {"type": self.TYPE_NAME, "properties": self.properties, "files": files}
        )

    def problem(self) -> str | None:
        """Compares the folder with its manifest.

        Returns:
            `None` if every file is there with its size and checksum, else what is wrong, for
            example `Split-train/examples-00000-of-00001.gz was altered`.
        """
        if not filesystem.exists(self.path(MANIFEST)):
            return f"{MANIFEST} is missing"
        try:
            manifest = self.read_json(MANIFEST)
            expected = {entry["path"]: entry for entry in manifest["files"]}
        except (ValueError, KeyError, TypeError) as error:
            return f"{MANIFEST} cannot be read: {error}"
        present = set(filesystem.walk(self.uri)) - {MANIFEST}
        for name in sorted(expected.keys() | present):
            if name not in present:
                return f"{name} is missing"
            if name not in expected:
                return f"{name} does not belong to it"
            if filesystem.size(self.path(name)) != expected[name]["size"]:
                return f"{name} has another size"
            if filesystem.sha256(self.path(name)) != expected[name]["sha256"]:
                return f"{name} was altered"
        return None


class Examples(Artifact):
    """`tf.train.Example` records: gzipped TFRecord shards in `Split-<name>/`.

    Properties: `splits`, a mapping from each split's name to its number of examples. Dead letters
    are in `dead_letters.jsonl` beside the splits.
    """

    TYPE_NAME = "Examples"
    DEAD_LETTERS: ClassVar[str] = "dead_letters.jsonl"

    @property
    def splits(self) -> dict[str, int]:
        """The splits' names with their numbers of examples."""
        return dict(self.properties["splits"])

    def split_uri(self, split: str) -> str:
        """Returns the folder of a split."""
        return self.path(f"Split-{split}")

    def files(self, split: str) -> list[str]:
        """Returns the TFRecord files of a split, sorted."""
        folder = self.split_uri(split)
        return [filesystem.join(folder, name) for name in filesystem.list_dir(folder)]


class ExampleStatistics(Artifact):
    """`Split-<name>/FeatureStats.pb`: `DatasetFeatureStatisticsList` protos."""

    TYPE_NAME = "ExampleStatistics"


class Schema(Artifact):
    """`schema.pbtxt`: a `tensorflow_metadata` `Schema` proto as text."""

    TYPE_NAME = "Schema"


class ExampleAnomalies(Artifact):
    """`Split-<name>/SchemaDiff.pb`: `Anomalies` protos."""

    TYPE_NAME = "ExampleAnomalies"


class TransformGraph(Artifact):
    """What Transform learned from the training split: `assets/<name>.txt`, one entry per line."""

    TYPE_NAME = "TransformGraph"

    def asset_path(self, name: str) -> str:
        """Returns the path of an asset."""
        return self.path("assets", f"{name}.txt")

    def asset(self, name: str) -> list[str]:
        """Reads an asset's lines."""
        with filesystem.open_file(self.asset_path(name)) as reader:
            return reader.read().split("\n")[:-1]


class Model(Artifact):
    """Trained Keras models: `Format-Keras/<fit>.keras`, one for each fit of the Trainer."""

    TYPE_NAME = "Model"

    def model_path(self, fit: str) -> str:
        """Returns the path of one fit's `.keras` file."""
        return self.path("Format-Keras", f"{fit}.keras")


class ModelRun(Artifact):
    """Training logs: `<fit>/epochs.csv` and `<fit>/epochs.jsonl`."""

    TYPE_NAME = "ModelRun"


class ModelEvaluation(Artifact):
    """`evaluation.json` with metrics by slice, and `examples.jsonl` with one row per example."""

    TYPE_NAME = "ModelEvaluation"


class ModelBlessing(Artifact):
    """`BLESSED` or `NOT_BLESSED`, empty files as in TFX; property `blessed`."""

    TYPE_NAME = "ModelBlessing"


class SavedModel(Artifact):
    """`Format-Serving/`: a SavedModel with warm-up requests; `references.npz` for its check."""

    TYPE_NAME = "SavedModel"
    FOLDER: ClassVar[str] = "Format-Serving"


class InfraBlessing(Artifact):
    """`INFRA_BLESSED` or `INFRA_NOT_BLESSED`, and `infra_validation.json`; property `blessed`."""

    TYPE_NAME = "InfraBlessing"


class PushedModel(Artifact):
    """`receipt.json`: where the Pusher put the model; property `version`."""

    TYPE_NAME = "PushedModel"
