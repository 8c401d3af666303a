"""Faces as the method's data: sources, preparation, samples."""

from ....components.base.lazy import Lazy
from ....components.data.faces.options import FolderOptions, LfwOptions, SimulatorOptions
from ..method import DataKind, Source

_FACES = "methodical.components.data.faces"


def _source(name: str) -> Lazy:
    return Lazy(f"{_FACES}.sources:{name}")


DATA = DataKind(
    analyze=Lazy(f"{_FACES}.transforms:Analyze"),
    transform=Lazy(f"{_FACES}.transforms:Decode"),
    prepared=Lazy(f"{_FACES}.faces:Faces"),
    sample=Lazy(f"{_FACES}.examples:sample"),
)

SOURCES = {
    "drawn": Source(
        description="drawn faces of people who do not exist, in pose, light and expression",
        read=_source("Simulate"),
        options=SimulatorOptions,
    ),
    "images": Source(
        description="JPEG, PNG, GIF or BMP files as <identity>/<file>, a folder or .zip; with "
        "LFW's pairs files where there are such",
        read=_source("ReadFolder"),
        options=FolderOptions,
        needs_data_dir=True,
    ),
    "lfw": Source(
        description="the data set lfw of tensorflow-datasets, prepared on disk",
        read=_source("ReadLfw"),
        options=LfwOptions,
        needs_data_dir=True,
    ),
}
"""Sources of faces by name; the first needs no download."""
