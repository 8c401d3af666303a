"""The simulated stories are as the published ones: rules, words, sentences, answers, lengths."""

import collections
import functools
import importlib.util
import itertools
import os
import pathlib
import re
import tarfile

import pytest
from methodical.components.data.babi.simulator.simulator import SimulatorParameters, simulate
from methodical.components.data.babi.story import format_story

_path = pathlib.Path(__file__).with_name("babi_solvers.py")
_spec = importlib.util.spec_from_file_location("babi_solvers", _path)
solvers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(solvers)

TASKS = range(1, 21)
CLASSES = {
    "ACTOR": "Mary John Daniel Sandra Fred Jeff Bill Julie Jason Antoine Sumit Yann Gertrude "
    "Winona Emily Jessica Lily Bernhard Greg Julius Brian",
    "PLACE": "hallway bathroom bedroom garden kitchen office school cinema park",
    "OBJECT": "milk football apple pajamas",
    "SPECIES": "mouse mice cat cats wolf wolves sheep swan lion frog rhino",
    "COLOUR": "yellow green gray white",
    "NEED": "thirsty hungry tired bored",
}
CLASS_OF = {word.lower(): name for name, words in CLASSES.items() for word in words.split()}
THINGS = "box of chocolates|pink rectangle|(red|blue|yellow) square|red sphere|triangle"
THINGS = re.compile(rf"\b({THINGS}|chocolate|suitcase|container|chest|box)\b")


@functools.cache
def template(sentence):
    sentence = THINGS.sub("THING", sentence)
    return " ".join(
        word.replace(plain, CLASS_OF[plain.lower()]) if plain.lower() in CLASS_OF else word
        for word, plain in ((word, word.rstrip(".?")) for word in sentence.split())
    )


@functools.cache
def published_files():
    folder = os.environ.get("METHODICAL_TEST_DATA")
    if not folder:
        pytest.skip("METHODICAL_TEST_DATA is not set")
    files = {}
    with tarfile.open(pathlib.Path(folder) / "babi" / "en.tar.xz") as archive:
        for member in archive:
            if match := re.search(r"qa(\d+)_[\w-]+_(train|test)\.txt$", member.name):
                text = archive.extractfile(member).read().decode()
                files[int(match[1]), match[2]] = text
    return files


@functools.cache
def published(task):
    return tuple(
        itertools.chain(
            *(solvers.read_stories(published_files()[task, split]) for split in ("train", "test"))
        )
    )


@functools.cache
def simulated(task, seed=1, questions=2000):
    stories = simulate(task, questions, SimulatorParameters(seed=seed))
    return tuple(solvers.read_stories("".join(map(format_story, stories))))


def distance(first, second):
    """Total variation."""
    first, second = collections.Counter(first), collections.Counter(second)
    return 0.5 * sum(
        abs(first[key] / first.total() - second[key] / second.total()) for key in first | second
    )


def assert_close(task, statistic):
    """The published files are no further from simulated ones than other simulated ones are."""
    samples = [statistic(simulated(task, seed)) for seed in (1, 2, 3)]
    noise = max(distance(*pair) for pair in itertools.combinations(samples, 2))
    assert distance(samples[0], statistic(published(task))) < 1.5 * noise + 0.03


def facts_of(stories):
    return [line[1] for story in stories for line in story if len(line) == 2]


def questions_of(stories):
    return [line for story in stories for line in story if len(line) == 4]


def positions(stories):
    """Number of sentences before each question."""
    for story in stories:
        told = 0
        for line in story:
            told += len(line) == 2
            if len(line) == 4:
                yield told


def recalls(stories):
    """How many sentences ago each supporting fact was told."""
    for story in stories:
        told = []
        for line in story:
            if len(line) == 2:
                told.append(line[0])
            else:
                yield tuple(len(told) - told.index(fact) for fact in line[3])


@pytest.mark.data
@pytest.mark.parametrize("task", TASKS)
class TestFidelity:
    def test_solvers_know_the_published_rules(self, task):
        stories = solvers.read_stories(published_files()[task, "test"])
        questions, answers, both = solvers.agreement(task, stories)
        # "What did Bill give to Mary?" may have two answers in task 5.
        missed = 2 if task == 5 else 0
        assert (questions, answers, both) == (1000, 1000 - missed, 1000 - missed)

    def test_words_and_sentences_are_the_published_ones(self, task):
        def words(stories):
            texts = facts_of(stories) + [f"{q[1]} {q[2]}" for q in questions_of(stories)]
            return set(re.findall(r"\w+", " ".join(texts)))

        assert words(simulated(task)) == words(published(task))
        for lines in (facts_of, lambda stories: [q[1] for q in questions_of(stories)]):
            ours, theirs = (
                set(map(template, lines(stories(task)))) for stories in (simulated, published)
            )
            assert ours == theirs
            assert_close(task, lambda stories, lines=lines: [*map(template, lines(stories))])

    def test_answers_are_as_frequent(self, task):
        assert_close(task, lambda stories: [question[2] for question in questions_of(stories)])

    def test_stories_are_as_long(self, task):
        ours, theirs = (
            collections.Counter(positions(stories(task))) for stories in (simulated, published)
        )
        gaps = [
            sum(ours[p] for p in range(end)) / ours.total()
            - sum(theirs[p] for p in range(end)) / theirs.total()
            for end in range(max(ours | theirs))
        ]
        assert max(map(abs, gaps), default=0) < 0.07
        assert_close(task, lambda stories: [len(questions_of([story])) for story in stories])

    def test_questions_look_back_as_far(self, task):
        assert_close(task, lambda stories: [len(recall) for recall in recalls(stories)])
        if task == 18:
            # Which of several proofs was written down is not quite known.
            recall = [collections.Counter(recalls(s(task))) for s in (simulated, published)]
            assert distance(*recall) < 0.3
        else:
            assert_close(
                task, lambda s: [tuple(min(ago, 6) for ago in recall) for recall in recalls(s)]
            )


@pytest.mark.data
def test_actions_are_as_frequent_for_loaded_and_unloaded_actors():
    for task in (2, 3, 5, 6, 7, 8):
        shares = []
        for stories in (simulated(task), published(task)):
            seen = []
            for story in stories:
                load = collections.Counter()
                told = [line for line in story if len(line) == 2]
                for _, kind, actor, _, receiver in solvers.events(told):
                    seen.append((load[actor], kind))
                    change = {"get": 1, "drop": -1, "give": -1}.get(kind, 0)
                    load[actor] += change
                    load[receiver] += kind == "give"
            shares.append(seen)
        assert distance(*shares) < 0.03
