"""Labelled images as the methods' data: sources, preparation, samples."""

from ....components.base.lazy import Lazy
from ....components.data.labelled_images.options import (
    BundledOptions,
    FolderOptions,
    IdxOptions,
    TfdsOptions,
)
from ..method import DataKind, Source

_IMAGES = "methodical.components.data.labelled_images"


def _transform(name: str) -> Lazy:
    return Lazy(f"{_IMAGES}.transforms:{name}")


DATA = DataKind(
    analyze=_transform("Analyze"),
    transform=_transform("Decode"),
    prepared=Lazy(f"{_IMAGES}.labelled_images:LabelledImages"),
    sample=Lazy(f"{_IMAGES}.examples:sample"),
)

SOURCES = {
    "bundled": Source(
        description="scikit-learn's 1,797 digits of 8×8 pixels",
        read=_transform("ReadBundled"),
        options=BundledOptions,
    ),
    "idx": Source(
        description="MNIST and its like: a folder with the four IDX files (.gz or not)",
        read=_transform("ReadIdx"),
        options=IdxOptions,
        needs_data_dir=True,
    ),
    "images": Source(
        description="JPEG, PNG, GIF or BMP files as [<split>/]<class>/<file>, a folder or .zip",
        read=_transform("ReadImages"),
        options=FolderOptions,
        needs_data_dir=True,
    ),
    "tfds": Source(
        description="a prepared tensorflow-datasets data set of labelled images (mnist)",
        read=_transform("ReadTfds"),
        options=TfdsOptions,
        needs_data_dir=True,
    ),
}
"""Sources of labelled images by name; the first needs no download."""
