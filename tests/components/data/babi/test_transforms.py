"""Vocabulary and vectorised stories, by hand and on Beam; Python and TensorFlow text agree."""

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings, strategies
from methodical.components.data.babi import text, transforms
from methodical.components.data.babi.examples import sample, to_record
from methodical.components.data.babi.options import FilesOptions, TransformOptions
from methodical.components.data.babi.simulator.parameters import CrossOptions, SimulatorParameters
from methodical.components.data.babi.story import QuestionRecord
from methodical.components.data.reading.count_features import CountFeatures
from methodical.components.io.records import BadRecord, BadRecordError, Record

RECORD = QuestionRecord(
    task=8,
    story_id="s:1",
    story=("Mary went home.", "Mary got the milk there."),
    question="What is Mary carrying?",
    answer=("Milk", "kitchen sink"),
    supporting=(1, 0),
)
FEATURES = to_record(RECORD, "", 2, "s").features


def vocabulary(options):
    return dict(transforms._vocabulary(_counted([FEATURES]), options))


def _counted(examples):
    combine = CountFeatures(2, transforms._count)
    halves = []
    for example in examples:
        halves.append(combine.add_input(combine.create_accumulator(), example))
    return combine.extract_output(combine.merge_accumulators(halves))


def test_example_names_its_question_and_story():
    record = to_record(RECORD, "test", 2, "s")
    assert record.features["id"] == [b"s:1/2"]
    assert record.key == "s:1"
    assert record.split == "test"
    assert record.features["supporting_facts"] == [1, 0]
    assert sample(record.features)["story"].splitlines()[1].startswith("→ 2 Mary got")


def test_vocabulary_counts_words_of_stories_questions_and_answers():
    assets = vocabulary(TransformOptions(ngrams=2))
    words = dict(zip(assets["words"], assets["answers"], strict=True))
    assert assets["words"][0] == "mary"
    assert words["milk"] == "Milk"
    assert words["kitchen sink"] == "kitchen sink"
    assert {"went", "home", "got", "the", "there", "what", "is", "carrying"} < words.keys()
    assert "mary_got" in assets["ngrams"]
    assert not any(ngram.count("_") > 1 for ngram in assets["ngrams"])


def test_rare_ngrams_are_dropped_and_words_are_kept():
    examples = [FEATURES, {**FEATURES, "story": [b"Mary got lost."]}]
    counted = _counted(examples)
    assets = dict(transforms._vocabulary(counted, TransformOptions(ngrams=3, min_count=2)))
    assert set(assets["ngrams"]) == {"mary_got", "what_is", "is_mary", "mary_carrying"} | {
        "what_is_mary",
        "is_mary_carrying",
    }
    assert "lost" in assets["words"]


def test_vectorized_story_has_ids_times_facts_and_answer_by_hand():
    assets = {
        "words": ["mary", "got", "milk", "kitchen sink"],
        "answers": [],
        "ngrams": ["mary_got", "the_milk"],
    }
    vectorized = transforms.Vectorize(TransformOptions(ngrams=2), assets)(FEATURES)
    assert vectorized == {
        "id": [b"s:1/2"],
        "task": [8],
        "story_features": [1, 1, 2, 3, 5, 6],
        "sentence_lengths": [1, 5],
        "write_time": [1, 2],
        "question": [1],
        "supporting_facts": [1, 0],
        "answer": [3, 4],
    }


def test_answer_that_training_never_saw_is_0():
    assets = {"words": ["mary"], "answers": ["mary"], "ngrams": []}
    assert transforms.Vectorize(TransformOptions(), assets)(FEATURES)["answer"] == [0, 0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"supporting_facts": [2]}, "sentence of the story"),
        ({"supporting_facts": [-1]}, "sentence of the story"),
        ({"answer": []}, "a question and an answer"),
        ({"question": []}, "a question and an answer"),
    ],
)
def test_example_that_cannot_be_used_is_named(change, reason):
    vectorize = transforms.Vectorize(TransformOptions(), {"words": [], "ngrams": []})
    with pytest.raises(BadRecordError, match=reason):
        vectorize({**FEATURES, **change})


def test_files_on_beam_give_the_test_split_and_dead_letters(tmp_path):
    good = b"1 A is b.\n2 Where is A?\tb\t1\n3 Where is A?\tb\t1\n"
    (tmp_path / "qa1_x_train.txt").write_bytes(good + b"1 broken\n2 Where?\t\t1\n")
    (tmp_path / "qa1_x_test.txt").write_bytes(good)

    def name(found):
        if isinstance(found, BadRecord):
            return "bad", found.source, found.position
        assert isinstance(found, Record)
        return found.split, found.source, found.features["id"][0].decode()

    source = transforms.ReadFiles(FilesOptions(tasks=[1]), str(tmp_path))
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        names = pipeline | source | beam.Map(name)
        assert_that(
            names,
            equal_to(
                [
                    ("", "qa1_x_train.txt", "qa1_x_train.txt:1/0"),
                    ("", "qa1_x_train.txt", "qa1_x_train.txt:1/1"),
                    ("bad", "qa1_x_train.txt", "line 5"),
                    ("test", "qa1_x_test.txt", "qa1_x_test.txt:1/0"),
                    ("test", "qa1_x_test.txt", "qa1_x_test.txt:1/1"),
                ]
            ),
        )


def test_simulated_on_beam_gives_just_the_questions_asked_for():
    parameters = SimulatorParameters(tasks=[1, 20], questions=523, test_questions=7)

    def name(found):
        return found.features["task"][0], found.split

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        counts = (
            pipeline
            | transforms.Simulate(parameters)
            | beam.Map(name)
            | beam.combiners.Count.PerElement()
        )
        expected = {(1, ""): 523, (1, "test"): 7, (20, ""): 523, (20, "test"): 7}
        assert_that(counts, equal_to(list(expected.items())))


@pytest.mark.parametrize("train_on", ["simulated", "published"])
def test_crossed_trains_on_one_source_and_tests_on_both(tmp_path, train_on):
    (tmp_path / "qa1_x_train.txt").write_bytes(b"1 A is b.\n2 Where is A?\tb\t1\n" * 3)
    (tmp_path / "qa1_x_test.txt").write_bytes(b"1 A is b.\n2 Where is A?\tb\t1\n" * 2)
    parameters = CrossOptions(tasks=[1], questions=7, test_questions=4, train_on=train_on)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        counts = (
            pipeline
            | transforms.Cross(parameters, str(tmp_path))
            | beam.Map(lambda record: (record.split, record.source))
            | beam.combiners.Count.PerElement()
        )
        trained = {
            "simulated": (("", "simulator"), 7),
            "published": (("", "qa1_x_train.txt"), 3),
        }
        tested = [(("simulated_test", "simulator"), 4), (("test", "qa1_x_test.txt"), 2)]
        assert_that(counts, equal_to([trained[train_on], *tested]))


def test_vocabulary_on_beam_is_that_of_all_examples():
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        assets = (
            pipeline
            | beam.Create([FEATURES, FEATURES])
            | transforms.Vocabulary(TransformOptions(ngrams=1))
            | beam.Map(lambda pair: (pair[0], sorted(pair[1])))
        )
        words = sorted(["mary", "went", "home", "got", "the", "milk", "there", "what", "is"])
        assert_that(
            assets | beam.Filter(lambda pair: pair[0] == "words"),
            equal_to([("words", sorted([*words, "carrying", "kitchen sink"]))]),
        )


def test_options_name_the_wrong_task():
    for wrong in ([0], [21], [1, 1], []):
        with pytest.raises(ValueError, match="different numbers from 1 to 20"):
            FilesOptions(tasks=wrong)


@settings(deadline=None, max_examples=60)
@given(
    strategies.lists(
        strategies.text(alphabet="aB éÜ.,?!'-_(): 1", max_size=20), min_size=1, max_size=4
    ),
    strategies.integers(1, 4),
)
def test_python_and_tensorflow_find_the_same_features(sentences, longest):
    expected = []
    for sentence in sentences:
        words = text.tokenize(sentence)
        expected.append([*words, *text.ngrams(words, longest)])
    found = text.features_tensor(sentences, longest).to_list()
    assert [[word.decode() for word in row] for row in found] == expected


def test_plain_story_splits_into_sentences():
    stories = ["Mary went home. John left!  He ran.\n3 It rained.", "1 A b.\n2 C d.\n\n", ""]
    found = text.split_sentences(stories).to_list()
    assert found == [
        [b"Mary went home.", b"John left!", b"He ran.", b"It rained."],
        [b"A b.", b"C d."],
        [],
    ]
