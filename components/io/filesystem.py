"""File operations on local paths and on any path that TensorFlow's `tf.io.gfile` knows (`gs://`).

Local paths are served by the standard library, so that a cached run need not import TensorFlow.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from typing import IO, Any

_BLOCK = 1 << 20


def is_remote(path: str) -> bool:
    """Whether a path names a scheme (`gs://…`), where a rename is not atomic."""
    return "://" in path


def _gfile() -> Any:
    import tensorflow as tf

    return tf.io.gfile


def join(path: str, *names: str) -> str:
    """Joins path names with `/` on remote paths and the system's separator on local ones."""
    if is_remote(path):
        return "/".join([path.rstrip("/"), *names])
    return os.path.join(path, *names)


def base_name(path: str) -> str:
    """Returns the last part of a path."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def open_file(path: str, mode: str = "r") -> IO[Any]:
    """Opens a file; text is UTF-8 with Unix line ends."""
    if is_remote(path):
        return _gfile().GFile(path, mode)
    if "b" in mode:
        return open(path, mode)
    return open(path, mode, encoding="utf-8", newline="\n")


def exists(path: str) -> bool:
    """Whether a file or folder exists."""
    return _gfile().exists(path) if is_remote(path) else os.path.exists(path)


def make_dirs(path: str) -> None:
    """Creates a folder and its parents, if they are missing."""
    if is_remote(path):
        _gfile().makedirs(path)
    else:
        os.makedirs(path, exist_ok=True)


def list_dir(path: str) -> list[str]:
    """Returns the sorted names in a folder; a missing folder is empty."""
    if is_remote(path):
        names = _gfile().listdir(path) if _gfile().exists(path) else []
        return sorted(name.rstrip("/") for name in names)
    return sorted(os.listdir(path)) if os.path.isdir(path) else []


def walk(path: str) -> Iterator[str]:
    """Yields the files below a folder, relative to it with `/`, sorted."""
    walker = _gfile().walk(path) if is_remote(path) else os.walk(path)
    paths: list[str] = []
    for folder, _, names in walker:
        below = folder[len(path) :].strip("/").replace(os.sep, "/")
        paths.extend(f"{below}/{name}" if below else name for name in names)
    yield from sorted(paths)


def remove_tree(path: str) -> None:
    """Removes a folder and everything in it, if it exists."""
    if is_remote(path):
        if _gfile().exists(path):
            _gfile().rmtree(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)


def rename(source: str, target: str) -> None:
    """Renames a file or folder; atomic on a local file system."""
    if is_remote(target):
        _gfile().rename(source, target)
    else:
        os.rename(source, target)


def copy_file(source: str, target: str) -> None:
    """Copies a file and creates the folder of the target."""
    make_dirs(os.path.dirname(target))
    with open_file(source, "rb") as reader, open_file(target, "wb") as writer:
        shutil.copyfileobj(reader, writer, _BLOCK)


def copy_tree(source: str, target: str) -> None:
    """Copies all files below a folder into another folder."""
    for name in walk(source):
        copy_file(join(source, name), join(target, name))


def size(path: str) -> int:
    """Returns a file's size in bytes."""
    return _gfile().stat(path).length if is_remote(path) else os.path.getsize(path)


def sha256(path: str) -> str:
    """Returns the hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open_file(path, "rb") as reader:
        while block := reader.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
