"""What the methods that read faces have in common: sources, transform, samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....components.data.faces.options import (
    FolderOptions,
    LfwOptions,
    SimulatorOptions,
    TransformOptions,
)
from ..method import Source


def read_drawn(parameters: SimulatorOptions, data_dir: str | None) -> Any:
    """Source `drawn`."""
    from ....components.data.faces.sources import Simulate

    return Simulate(parameters)


def read_images(parameters: FolderOptions, data_dir: str | None) -> Any:
    """Source `images`."""
    from ....components.data.faces.sources import ReadFolder

    return ReadFolder(parameters, data_dir or "")


def read_lfw(parameters: LfwOptions, data_dir: str | None) -> Any:
    """Source `lfw`."""
    from ....components.data.faces.sources import ReadLfw

    return ReadLfw(parameters, data_dir or "")


def analyze(parameters: TransformOptions) -> Any:
    """Learns the identities and the images' shape."""
    from ....components.data.faces.transforms import Analyze

    return Analyze(parameters)


def transform(parameters: TransformOptions, assets: Mapping[str, Sequence[str]]) -> Any:
    """Decodes, crops or aligns faces."""
    from ....components.data.faces.transforms import Decode

    return Decode(parameters, assets)


def sample(features: Mapping[str, Any]) -> Mapping[str, str]:
    """Returns a raw example for the report."""
    from ....components.data.faces.examples import sample as shown

    return shown(features)


SOURCES = {
    "drawn": Source(
        description="drawn faces of people who do not exist, in pose, light and expression",
        read=read_drawn,
        options=SimulatorOptions,
    ),
    "images": Source(
        description="JPEG, PNG, GIF or BMP files as <identity>/<file>, a folder or .zip; with "
        "LFW's pairs files where there are such",
        read=read_images,
        options=FolderOptions,
        needs_data_dir=True,
    ),
    "lfw": Source(
        description="the data set lfw of tensorflow-datasets, prepared on disk",
        read=read_lfw,
        options=LfwOptions,
        needs_data_dir=True,
    ),
}
"""Sources of faces by name; the first needs no download."""

PREDICT_INPUTS = {"image": "a face: @FILE of JPEG, PNG, GIF or BMP"}
PREDICT_SIGNATURES = {"serving_pair": {"first": "a face: @FILE", "second": "another: @FILE"}}
PREDICT_FILES = {"serving_default": ("image",), "serving_pair": ("first", "second")}
