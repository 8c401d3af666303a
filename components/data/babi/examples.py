"""Question records to and from the features of an example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...io.records import Record, to_text
from .story import QuestionRecord


def to_record(record: QuestionRecord, split: str, number: int, source: str) -> Record:
    """Returns the example of a question.

    Args:
        record: the question.
        split: the split that the data prescribes, or `""`.
        number: the question's number in its story, from 0; with the story's id it names the
            example.
        source: file name or simulator.
    """
    return Record(
        key=record.story_id,
        split=split,
        source=source,
        position=f"story {record.story_id}, question {number + 1}",
        features={
            "id": [f"{record.story_id}/{number}".encode()],
            "task": [record.task],
            "story": [sentence.encode() for sentence in record.story],
            "question": [record.question.encode()],
            "answer": [word.encode() for word in record.answer],
            "supporting_facts": list(record.supporting),
        },
    )


def sample(features: Mapping[str, Any]) -> dict[str, str]:
    """Returns what a report shows of an example."""
    facts = set(features["supporting_facts"])
    story = [
        f"{'→' if index in facts else ' '} {index + 1} {to_text(sentence)}"
        for index, sentence in enumerate(features["story"])
    ]
    return {
        "task": str(features["task"][0]),
        "story": "\n".join(story),
        "question": to_text(features["question"][0]),
        "answer": ", ".join(to_text(word) for word in features["answer"]),
    }
