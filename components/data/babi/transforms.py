"""Beam transforms: read or simulate questions, learn the vocabulary, vectorise stories."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam

from ...io import filesystem
from ...io.records import BadRecord, BadRecordError, Record, to_text
from ..reading.count_features import Counters, CountFeatures
from . import reader, text
from .examples import to_record
from .options import FilesOptions, TransformOptions
from .simulator import simulator
from .simulator.parameters import CrossOptions, SimulatorParameters
from .simulator.simulator import Split
from .story import records_of

STORIES_PER_ELEMENT = 100
"""Stories that one Beam element simulates: few fat elements cost less than many small ones."""


class ReadFiles(beam.PTransform):
    """The published files as `Record`s and `BadRecord`s; the test files make the split `test`.

    Args:
        parameters: `FilesOptions`.
        data: folder or archive.
    """

    def __init__(self, parameters: FilesOptions | CrossOptions, data: str):
        super().__init__()
        self.files = reader.find_task_files(data, parameters.variant, parameters.tasks)

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Reads one file per element."""
        return (
            root
            | "TaskFiles" >> beam.Create(self.files, reshuffle=True)
            | "ReadTaskFile" >> beam.FlatMap(_file_records)
        )


class Simulate(beam.PTransform):
    """Simulated stories as `Record`s; `test_questions` a task make the split `test`.

    Args:
        parameters: `SimulatorParameters`.
    """

    def __init__(self, parameters: SimulatorParameters, data_dir: str | None = None):
        super().__init__()
        self.parameters = parameters

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Writes several stories per element; each story depends on its number only."""
        return (
            root
            | "StoryRanges" >> beam.Create(list(_story_ranges(self.parameters)), reshuffle=True)
            | "SimulateStories" >> beam.FlatMap(_simulated_records, self.parameters)
        )


class Cross(beam.PTransform):
    """Trains on one of the two sources and tests on both: is the simulator true to the original?

    The published test questions make the split `test`, the simulated ones `simulated_test`.

    Args:
        parameters: `SimulatorParameters` with `variant` and `train_on`, see `CrossOptions`.
        data: folder or archive of the published files.
    """

    def __init__(self, parameters: CrossOptions, data: str):
        super().__init__()
        self.simulate = Simulate(parameters)
        self.read = ReadFiles(parameters, data)
        self.train_on = parameters.train_on

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Keeps the training questions of one source and the test questions of both."""
        simulated = (
            root
            | "Simulated" >> self.simulate
            | "PlaceSimulated"
            >> beam.FlatMap(_placed, self.train_on == "simulated", "simulated_test")
        )
        published = (
            root
            | "Published" >> self.read
            | "PlacePublished" >> beam.FlatMap(_placed, self.train_on == "published", "test")
        )
        return (simulated, published) | "Both" >> beam.Flatten()


class Vocabulary(beam.PTransform):
    """Learns words and n-grams from training examples.

    Assets: `words`, by falling frequency, words of sentences, of questions and answers (a
    multi-word answer of one element is one word); `answers`, aligned with `words`: how the word is
    written in answers; `ngrams`, by falling frequency. The id of a word is its line number from 1;
    the ids of n-grams follow those of the words.

    Args:
        parameters: `TransformOptions`.
    """

    def __init__(self, parameters: TransformOptions):
        super().__init__()
        self.parameters = parameters

    def expand(self, examples: beam.PCollection) -> beam.PCollection:
        """Counts sentences, then words: there are far fewer different sentences."""
        return (
            examples
            | "CountSentences" >> beam.CombineGlobally(CountFeatures(2, _count))
            | "ToVocabulary" >> beam.FlatMap(_vocabulary, self.parameters)
        )


def _count(counters: Counters, features: Mapping[str, Any]) -> None:
    sentences, answers = counters
    sentences.update(features["story"])
    sentences.update(features["question"])
    answers.update(features["answer"])


class Vectorize:
    """Turns an example's features into ids.

    Args:
        parameters: `TransformOptions`.
        assets: what `Vocabulary` learned.

    Call arguments:
        features: `id`, `task`, `story`, `question`, `answer`, `supporting_facts` of a raw example.

    Returns:
        `id`, `task`; `story_features`, all sentences' feature ids one after the other, and
        `sentence_lengths`, how many belong to each; `write_time`, the sentences' times, later is
        larger; `question` ids; `supporting_facts`, 0-based sentence numbers in order; `answer`
        word ids, 0 for a word that training never saw.

    Raises:
        BadRecordError: a supporting fact does not exist, or there is no question or answer.
    """

    def __init__(self, parameters: TransformOptions, assets: Mapping[str, Sequence[str]]):
        self.longest = parameters.ngrams
        self.word_ids = {word: number for number, word in enumerate(assets["words"], 1)}
        first = len(self.word_ids) + 1
        self.ids = self.word_ids | {
            ngram: number for number, ngram in enumerate(assets["ngrams"], first)
        }
        self._feature_ids = functools.lru_cache(maxsize=100_000)(self._feature_ids_of)

    def __call__(self, features: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Returns the ids of one example."""
        story = [self._feature_ids(sentence) for sentence in features["story"]]
        facts = list(features["supporting_facts"])
        if any(not 0 <= fact < len(story) for fact in facts):
            raise BadRecordError(
                f"A supporting fact must be a sentence of the story. Received: facts {facts} in a "
                f"story of {len(story)} sentences"
            )
        if not features["question"] or not features["answer"]:
            raise BadRecordError(
                f"An example must have a question and an answer. "
                f"Received: {features['question']!r} and {features['answer']!r}"
            )
        return {
            "id": list(features["id"]),
            "task": list(features["task"]),
            "story_features": [number for sentence in story for number in sentence],
            "sentence_lengths": [len(sentence) for sentence in story],
            "write_time": list(range(1, len(story) + 1)),
            "question": list(self._feature_ids(features["question"][0])),
            "supporting_facts": facts,
            "answer": [self.word_ids.get(to_text(word).lower(), 0) for word in features["answer"]],
        }

    def _feature_ids_of(self, sentence: bytes | str) -> tuple[int, ...]:
        words = text.tokenize(to_text(sentence))
        features = [*words, *text.ngrams(words, self.longest)]
        return tuple(self.ids[feature] for feature in features if feature in self.ids)


def _file_records(file: reader.TaskFile) -> Iterator[Record | BadRecord]:
    source = filesystem.base_name(file.path)
    numbers: collections.Counter[str] = collections.Counter()
    for record in reader.read_task_file(file):
        if isinstance(record, BadRecord):
            yield record
            continue
        split = "test" if file.split == "test" else ""
        yield to_record(record, split, numbers[record.story_id], source)
        numbers[record.story_id] += 1


def _story_ranges(
    parameters: SimulatorParameters,
) -> Iterator[tuple[int, Split, int, int, int | None]]:
    """Yields task, split, first story, behind the last story, and the questions of the last."""
    by_split: dict[Split, int] = {
        "train": parameters.questions,
        "test": parameters.test_questions,
    }
    for task in parameters.tasks:
        for split, questions in by_split.items():
            plan = simulator.story_plan(task, questions, parameters, split)
            for first in range(0, plan.stories, STORIES_PER_ELEMENT):
                stop = min(first + STORIES_PER_ELEMENT, plan.stories)
                last = plan.last_questions if stop == plan.stories else None
                yield task, split, first, stop, last


def _simulated_records(
    stories: tuple[int, Split, int, int, int | None], parameters: SimulatorParameters
) -> Iterator[Record]:
    task, split, first, stop, last_questions = stories
    for index in range(first, stop):
        story = simulator.simulate_story(task, index, parameters, split)
        if last_questions is not None and index == stop - 1:
            story = simulator.truncate(story, last_questions)
        story_id = f"simulated/qa{task}/{split}/{index}"
        for number, record in enumerate(records_of(story, story_id)):
            yield to_record(record, "test" if split == "test" else "", number, "simulator")


def _placed(
    record: Record | BadRecord, trains: bool, test_split: str
) -> Iterator[Record | BadRecord]:
    """Renames the test split and drops training questions that are not wanted."""
    if isinstance(record, BadRecord):
        yield record
    elif record.split == "test":
        yield dataclasses.replace(record, split=test_split)
    elif trains:
        yield record


def _vocabulary(counted: Counters, parameters: TransformOptions) -> Iterable[tuple[str, list[str]]]:
    sentences, answers = counted
    words: collections.Counter[str] = collections.Counter()
    counts: collections.Counter[str] = collections.Counter()
    written: dict[str, str] = {}
    for sentence, count in sorted(sentences.items()):
        tokens = text.tokenize(to_text(sentence))
        for token in tokens:
            words[token] += count
        for ngram in text.ngrams(tokens, parameters.ngrams):
            counts[ngram] += count
    for answer, count in sorted(answers.items(), key=lambda item: (-item[1], item[0])):
        word = to_text(answer).lower()
        words[word] += count
        written.setdefault(word, to_text(answer))
    by_frequency = sorted(words, key=lambda word: (-words[word], word))
    yield "words", by_frequency
    yield "answers", [written.get(word, word) for word in by_frequency]
    frequent = [ngram for ngram, count in counts.items() if count >= parameters.min_count]
    yield "ngrams", sorted(frequent, key=lambda ngram: (-counts[ngram], ngram))
