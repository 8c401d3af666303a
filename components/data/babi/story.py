"""What a story is, and the published text format of the bAbI tasks (Weston et al. 2015).

A story is a list of numbered lines; a line is a sentence or a question. A question line holds the
question, its answer (words separated by commas) and the ids of the lines that support it::

    1 Mary moved to the bathroom.
    2 Where is Mary? \tbathroom\t1

`Story` is what the simulator writes and the reader reads; `QuestionRecord` is one question with the
sentences that precede it, the unit that the pipeline calls an example.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

TASK_NAMES = (
    "single-supporting-fact",
    "two-supporting-facts",
    "three-supporting-facts",
    "two-arg-relations",
    "three-arg-relations",
    "yes-no-questions",
    "counting",
    "lists-sets",
    "simple-negation",
    "indefinite-knowledge",
    "basic-coreference",
    "conjunction",
    "compound-coreference",
    "time-reasoning",
    "basic-deduction",
    "basic-induction",
    "positional-reasoning",
    "size-reasoning",
    "path-finding",
    "agents-motivations",
)
"""The published names; task `n` is `TASK_NAMES[n - 1]`."""


_NO_SPACE_BEFORE_TAB = (4, 15, 16, 17, 18, 19, 20)
"""Tasks whose published questions end at once before the tab; the others have a space there."""


@dataclasses.dataclass(frozen=True)
class Sentence:
    """A statement of a story, with its full stop."""

    text: str


@dataclasses.dataclass(frozen=True)
class Question:
    """A question of a story.

    Args:
        text: the question, with its question mark.
        answer: the words of the answer; one, except in tasks 8 and 19.
        supporting: line ids (1-based, as in the file) of the supporting facts, in the order in
            which they are to be found.
    """

    text: str
    answer: tuple[str, ...]
    supporting: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Story:
    """Numbered lines; line `i` of `lines` has the id `i + 1`."""

    task: int
    lines: tuple[Sentence | Question, ...]


@dataclasses.dataclass(frozen=True)
class QuestionRecord:
    """One question with the sentences before it.

    Args:
        task: 1 to 20.
        story_id: a key that all questions of one story share; splits hash it.
        story: the sentences before the question, oldest first, without the earlier questions.
        question: the question.
        answer: the words of the answer.
        supporting: 0-based indices into `story`.
    """

    task: int
    story_id: str
    story: tuple[str, ...]
    question: str
    answer: tuple[str, ...]
    supporting: tuple[int, ...]


def format_story(story: Story) -> str:
    """Returns the story in the published text format, one line per sentence or question."""
    written = []
    space = "" if story.task in _NO_SPACE_BEFORE_TAB else " "
    for number, line in enumerate(story.lines, 1):
        if isinstance(line, Question):
            facts = " ".join(str(fact) for fact in line.supporting)
            written.append(f"{number} {line.text}{space}\t{','.join(line.answer)}\t{facts}\n")
        else:
            written.append(f"{number} {line.text}\n")
    return "".join(written)


def records_of(story: Story, story_id: str) -> Iterator[QuestionRecord]:
    """Yields a record for each question of a story.

    Raises:
        ValueError: a supporting fact is not an earlier sentence of the story.
    """
    sentences: list[str] = []
    index_of_line: dict[int, int] = {}
    for number, line in enumerate(story.lines, 1):
        if isinstance(line, Sentence):
            index_of_line[number] = len(sentences)
            sentences.append(line.text)
            continue
        for fact in line.supporting:
            if fact not in index_of_line:
                raise ValueError(
                    f"A supporting fact must be an earlier sentence of the story. "
                    f"Received: supporting fact {fact} of the question on line {number} "
                    f"of story {story_id}"
                )
        yield QuestionRecord(
            task=story.task,
            story_id=story_id,
            story=tuple(sentences),
            question=line.text,
            answer=line.answer,
            supporting=tuple(index_of_line[fact] for fact in line.supporting),
        )
