"""A vocabulary file as the content of a lookup table inside a SavedModel."""

from __future__ import annotations

import tensorflow as tf

from . import filesystem


class VocabularyFile(tf.lookup.TextFileInitializer):
    """Fills a table from a vocabulary file, which becomes an asset of the SavedModel.

    TensorFlow names such a table after the file's path, and tables of one name are one table. The
    name here is made of the content: it holds no path of this machine, and two models with
    different vocabularies in one process do not mix.
    """

    def __init__(self, path: str, key_dtype, key_index, value_dtype, value_index):
        self._content_name = f"vocabulary_{filesystem.sha256(path)[:16]}_{key_index}_{value_index}"
        super().__init__(path, key_dtype, key_index, value_dtype, value_index)

    @property
    def _shared_name(self) -> str:
        return self._content_name
