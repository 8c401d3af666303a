"""Reads the published bAbI text files: `qaN_<name>_{train,test}.txt` in a folder or an archive.

An archive is read as a stream and never unpacked. Several variants (`en`, `en-10k`, `hn`,
`shuffled`, …) may lie side by side in folders of these names.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tarfile
from collections.abc import Iterator

from ...base.errors import BadDataError
from ...io import filesystem
from ...io.records import BadRecord
from .story import QuestionRecord

_FILE = re.compile(r"qa(\d+)_.*_(train|test)\.txt$")
_ARCHIVE = (".tar.xz", ".tar.gz", ".tgz", ".tar")
_LINE = re.compile(r"(\d+) (.*\S)\s*$")
DEFAULT_VARIANT = "en"


@dataclasses.dataclass(frozen=True)
class TaskFile:
    """One published file: `path` in the archive or folder `data`, its task (1 to 20) and split."""

    data: str
    path: str
    task: int
    split: str


def find_task_files(data: str, variant: str | None, tasks: list[int]) -> list[TaskFile]:
    """Lists the files of the given tasks.

    Args:
        data: string. A folder, or a `.tar.xz` or `.tar.gz` file.
        variant: string. The folder's name, for example `en`; `None` takes the only one there is,
            or `en` among several.
        tasks: list of integers, 1 to 20.

    Returns:
        A list of `TaskFile`, by task and split; each task has a training and a test file.

    Raises:
        BadDataError: nothing is there, the archive cannot be read or holds a path that climbs out
            of its folder, the variant does not exist, or a task lacks a file.
    """
    if not filesystem.exists(data):
        raise BadDataError(
            f"The bAbI files must be a folder or a .tar.xz or .tar.gz file. "
            f"Received: --data-dir {data}, which does not exist"
        )
    names = _archive_names(data) if data.endswith(_ARCHIVE) else list(filesystem.walk(data))
    variants: dict[str, dict[tuple[int, str], str]] = {}
    for name in names:
        if match := _FILE.search(os.path.basename(name)):
            folder = os.path.basename(os.path.dirname(name))
            variants.setdefault(folder, {})[int(match[1]), match[2]] = name
    if not variants:
        raise BadDataError(
            f"There must be files named qaN_<name>_train.txt and qaN_<name>_test.txt. "
            f"Received: {data}, which holds none of {len(names)} such files"
        )
    if variant is None:
        variant = next(iter(variants)) if len(variants) == 1 else DEFAULT_VARIANT
    if variant not in variants:
        raise BadDataError(
            f"The variant must be one of {', '.join(sorted(variants))}; choose with "
            f"--set example_gen.variant=NAME. Received: {variant!r} in {data}"
        )
    files = []
    for task in tasks:
        for split in ("train", "test"):
            if (task, split) not in variants[variant]:
                raise BadDataError(
                    f"Task {task} has no {split} file; leave it out with "
                    f"--set example_gen.tasks=[…]. Received: variant {variant!r} of {data}"
                )
            files.append(TaskFile(data, variants[variant][task, split], task, split))
    return files


def read_task_file(file: TaskFile) -> Iterator[QuestionRecord | BadRecord]:
    """Yields the questions of one file, and what cannot be used.

    After a bad line the rest of its story is bad too: its questions might depend on that line.

    Raises:
        BadDataError: there is not one question in the file.
    """
    has_lines = False
    for record in parse_lines(file.task, os.path.basename(file.path), _lines(file)):
        has_lines = True
        yield record
    if not has_lines:
        raise BadDataError(
            f"A task file must hold questions. Received: {file.path} in {file.data}, which holds "
            f"none; leave its task out with --set example_gen.tasks=[…], or fix the file"
        )


def parse_lines(
    task: int, source: str, lines: Iterator[bytes]
) -> Iterator[QuestionRecord | BadRecord]:
    """Yields the questions in the lines of a file in the published format.

    Args:
        task: integer, 1 to 20.
        source: string. The file's name, for messages and story ids.
        lines: the file's lines as bytes.
    """
    story: _OpenStory | None = None
    for number, raw in enumerate(lines, 1):
        position = f"line {number}"
        try:
            text = raw.decode("utf-8").strip("\r\n")
        except UnicodeDecodeError as error:
            yield BadRecord(source, position, f"The text must be UTF-8. Received: {error}")
            if story is None or raw.startswith(b"1 "):
                story = _OpenStory(f"{source}:{number}")
            story.broken_at = story.broken_at or number
            story.next_id += 1
            continue
        if not text.strip():
            continue
        match = _LINE.match(text)
        line_id = int(match[1]) if match else None
        if line_id == 1:
            story = _OpenStory(f"{source}:{number}")
        if match is None or story is None or line_id != story.next_id:
            expected = f" {story.next_id}" if story else " 1"
            yield BadRecord(
                source,
                position,
                f"A line must begin with its id{expected} and a space. Received: {text[:80]!r}",
            )
            story = story or _OpenStory(f"{source}:{number}")
            story.broken_at = story.broken_at or number
            story.next_id = (line_id or story.next_id) + 1
            continue
        story.next_id += 1
        fields = match[2].split("\t")
        try:
            if len(fields) == 1:
                story.add_sentence(line_id, fields[0].strip())
                continue
            record = story.question(task, fields, position)
        except ValueError as error:
            yield BadRecord(source, position, str(error))
            if len(fields) == 1:
                story.broken_at = story.broken_at or number
            continue
        yield record


class _OpenStory:
    """A story while its lines are read."""

    def __init__(self, story_id: str):
        self.story_id = story_id
        self.next_id = 1
        self.broken_at: int | None = None
        self.sentences: list[str] = []
        self.index_of_line: dict[int, int] = {}

    def add_sentence(self, line_id: int, text: str) -> None:
        if text.endswith("?"):
            raise ValueError(
                f"A question must have an answer and supporting facts behind tabs. "
                f"Received: {text[:80]!r}"
            )
        self.index_of_line[line_id] = len(self.sentences)
        self.sentences.append(text)

    def question(self, task: int, fields: list[str], position: str) -> QuestionRecord:
        if self.broken_at:
            raise ValueError(
                f"The question's story must be whole. Received: a story that is bad at line "
                f"{self.broken_at}"
            )
        question, answer = fields[0].strip(), fields[1].strip()
        words = tuple(word.strip() for word in answer.split(","))
        if not all(words):
            raise ValueError(f"A question must have an answer. Received: {answer!r}")
        facts = []
        for fact in fields[2].split() if len(fields) > 2 else ():
            if not fact.isdigit() or int(fact) not in self.index_of_line:
                raise ValueError(
                    f"A supporting fact must be the id of an earlier sentence of the story. "
                    f"Received: {fact!r}"
                )
            facts.append(self.index_of_line[int(fact)])
        if not facts:
            raise ValueError(f"A question must have supporting facts. Received: {fields[2:]!r}")
        return QuestionRecord(
            task=task,
            story_id=self.story_id,
            story=tuple(self.sentences),
            question=question,
            answer=words,
            supporting=tuple(facts),
        )


def _lines(file: TaskFile) -> Iterator[bytes]:
    if not file.data.endswith(_ARCHIVE):
        with filesystem.open_file(filesystem.join(file.data, file.path), "rb") as reader:
            yield from reader
        return
    with (
        filesystem.open_file(file.data, "rb") as opened,
        tarfile.open(fileobj=opened, mode="r:*") as archive,
    ):
        member = archive.extractfile(file.path)
        if member is None:
            raise BadDataError(f"A task file must be a regular file. Received: {file.path}")
        yield from member


def _archive_names(data: str) -> list[str]:
    try:
        with (
            filesystem.open_file(data, "rb") as opened,
            tarfile.open(fileobj=opened, mode="r:*") as archive,
        ):
            members = archive.getmembers()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BadDataError(
            f"The archive cannot be read; is it whole? Received: {data}: {error}"
        ) from error
    for member in members:
        parts = member.name.replace("\\", "/").split("/")
        if member.name.startswith("/") or ".." in parts:
            raise BadDataError(
                f"An archive must not hold a path that climbs out of its folder. "
                f"Received: {member.name!r} in {data}"
            )
    return [member.name for member in members if member.isfile()]
