"""Vocabulary files as tables: two files in one process do not mix."""

import tensorflow as tf
from methodical.components.io.vocabulary_file import VocabularyFile

INDEX = tf.lookup.TextFileIndex
BY_WORD = (tf.string, INDEX.WHOLE_LINE, tf.int64, INDEX.LINE_NUMBER)


def table(path, words):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{word}\n" for word in words))
    return tf.lookup.StaticHashTable(VocabularyFile(str(path), *BY_WORD), -1)


def test_the_content_names_a_table(tmp_path):
    # The same path with another content, as a later run in the same process has it.
    first = table(tmp_path / "a" / "words.txt", ["north", "south"])
    second = table(tmp_path / "a" / "words.txt", ["south", "east", "west"])
    asked = tf.constant(["south", "west", "none"])
    assert first.lookup(asked).numpy().tolist() == [1, -1, -1]
    assert second.lookup(asked).numpy().tolist() == [0, 2, -1]


def test_no_path_is_in_the_name(tmp_path):
    here, there = tmp_path / "a" / "words.txt", tmp_path / "b" / "words.txt"
    for path in (here, there):
        path.parent.mkdir()
        path.write_text("x\n")
    names = {VocabularyFile(str(path), *BY_WORD)._shared_name for path in (here, there)}
    assert len(names) == 1
    assert str(tmp_path) not in names.pop()
