"""The reader of the published text format, on good and on broken files."""

import io
import tarfile

import pytest
from methodical.components.base.errors import BadDataError
from methodical.components.data.babi import reader
from methodical.components.data.babi.story import (
    Question,
    QuestionRecord,
    Sentence,
    Story,
    format_story,
    records_of,
)
from methodical.components.io.records import BadRecord

GOOD = b"""1 Mary moved to the bathroom.
2 Where is Mary? \tbathroom\t1
3 Mary got the milk there.
4 Mary got the apple.
5 What is Mary carrying? \tmilk,apple\t3 4
1 John is in the park.
2 Where is John?\tpark\t1
"""


def parse(text: bytes) -> list:
    return list(reader.parse_lines(8, "qa8_x_train.txt", iter(text.splitlines(keepends=True))))


def write_tasks(folder, text=GOOD, tasks=(1, 2), variant="en"):
    (folder / variant).mkdir(parents=True, exist_ok=True)
    for task in tasks:
        for split in ("train", "test"):
            (folder / variant / f"qa{task}_some-name_{split}.txt").write_bytes(text)
    return folder


def pack(folder, archive, mode="w:gz"):
    with tarfile.open(archive, mode) as tar:
        tar.add(folder, arcname="tasks_1-20_v1-2")
    return str(archive)


def test_questions_hold_the_sentences_before_them_and_the_facts_by_index():
    first, second, third = parse(GOOD)
    assert first == QuestionRecord(
        task=8,
        story_id="qa8_x_train.txt:1",
        story=("Mary moved to the bathroom.",),
        question="Where is Mary?",
        answer=("bathroom",),
        supporting=(0,),
    )
    assert second.story == (
        "Mary moved to the bathroom.",
        "Mary got the milk there.",
        "Mary got the apple.",
    )
    assert second.answer == ("milk", "apple")
    assert second.supporting == (1, 2)
    assert third.story_id == "qa8_x_train.txt:6"


@pytest.mark.parametrize(
    ("text", "reason", "good"),
    [
        (b"1 A b.\n2 Where is A?\t\t1\n", "must have an answer", 0),
        (b"1 A b.\n2 Where is A?\n3 Where is A?\tb\t1\n", "answer and supporting facts", 0),
        (b"1 A b.\n2 Where is A?\tb\t7\n", "id of an earlier sentence", 0),
        (b"1 A b.\n2 Where is A?\tb\tx\n", "id of an earlier sentence", 0),
        (b"1 A b.\n2 Where is A?\tb\t2\n", "id of an earlier sentence", 0),
        (b"1 A b.\n2 Where is A?\tb\t\n", "must have supporting facts", 0),
        (b"1 A b.\n2 Where is A?\tb,,c\t1\n", "must have an answer", 0),
        (b"no number\n1 A b.\n2 Where is A?\tb\t1\n", "must begin with its id", 1),
        (b"1 A b.\n5 C d.\n6 Where is A?\tb\t1\n", "must begin with its id 2", 0),
        (b"1 A \xff\xfe b.\n2 Where is A?\tb\t1\n", "must be UTF-8", 0),
    ],
)
def test_what_cannot_be_used_is_named_and_the_rest_is_read(text, reason, good):
    parsed = parse(text + b"1 C d.\n2 Where is C?\td\t1\n")
    bad = [record for record in parsed if isinstance(record, BadRecord)]
    assert reason in bad[0].reason
    assert "Received" in bad[0].reason
    assert bad[0].position.startswith("line ")
    assert len(parsed) - len(bad) == good + 1


def test_questions_after_a_bad_line_of_their_story_are_bad_too():
    parsed = parse(b"1 A b.\n2 \xff\n3 Where is A?\tb\t1\n1 C d.\n2 Where is C?\td\t1\n")
    assert [type(record).__name__ for record in parsed] == [
        "BadRecord",
        "BadRecord",
        "QuestionRecord",
    ]
    assert "must be whole" in parsed[1].reason


def test_folder_and_archives_give_the_same_questions(tmp_path):
    folder = write_tasks(tmp_path / "data")
    sources = [
        str(folder),
        pack(folder, tmp_path / "a.tar.gz"),
        pack(folder, tmp_path / "a.tar.xz", "w:xz"),
    ]
    read = [
        [list(reader.read_task_file(file)) for file in reader.find_task_files(source, None, [1, 2])]
        for source in sources
    ]
    assert len(read[0]) == 4
    assert read[0] == read[1] == read[2]


def test_variant_is_the_only_one_or_en_or_the_one_named(tmp_path):
    folder = write_tasks(tmp_path, variant="hn")
    assert reader.find_task_files(str(folder), None, [1])[0].path.startswith("hn")
    write_tasks(tmp_path, variant="en")
    assert reader.find_task_files(str(folder), None, [1])[0].path.startswith("en")
    assert reader.find_task_files(str(folder), "hn", [1])[0].path.startswith("hn")
    with pytest.raises(BadDataError, match=r"en, hn.*Received: 'shuffled'"):
        reader.find_task_files(str(folder), "shuffled", [1])


def test_a_missing_task_file_is_named(tmp_path):
    folder = write_tasks(tmp_path)
    (folder / "en" / "qa2_some-name_train.txt").unlink()
    with pytest.raises(BadDataError, match="Task 2 has no train file"):
        reader.find_task_files(str(folder), None, [1, 2])


def test_no_data_is_a_clear_error(tmp_path):
    with pytest.raises(BadDataError, match="does not exist"):
        reader.find_task_files(str(tmp_path / "none"), None, [1])
    with pytest.raises(BadDataError, match="files named qaN_"):
        reader.find_task_files(str(tmp_path), None, [1])


def test_an_archive_that_climbs_out_of_its_folder_is_refused(tmp_path):
    for name in ("../../evil.txt", "/etc/evil.txt"):
        with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as tar:
            tar.add(write_tasks(tmp_path / "data"), arcname="x")
            member = tarfile.TarInfo(name)
            member.size = 3
            tar.addfile(member, io.BytesIO(b"bad"))
        with pytest.raises(BadDataError, match=r"climbs out.*evil\.txt"):
            reader.find_task_files(str(tmp_path / "evil.tar.gz"), None, [1])


def test_a_truncated_archive_is_a_clear_error(tmp_path):
    archive = pack(write_tasks(tmp_path / "data"), tmp_path / "a.tar.xz", "w:xz")
    whole = (tmp_path / "a.tar.xz").read_bytes()
    (tmp_path / "a.tar.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadDataError, match="is it whole"):
        reader.find_task_files(archive, None, [1])


def test_written_stories_read_back():
    lines = (Sentence("A b."), Question("Where is A?", ("b", "c"), (1,)), Sentence("A d."))
    text = format_story(Story(8, lines))
    assert text == "1 A b.\n2 Where is A? \tb,c\t1\n3 A d.\n"
    assert parse(text.encode()) == list(records_of(Story(8, lines), "qa8_x_train.txt:1"))


@pytest.mark.data
@pytest.mark.parametrize("variant", ["en", "hn", "shuffled"])
def test_published_files_hold_1000_questions_a_task_and_split(real_data, variant):
    data = str(real_data / "babi" / f"{variant}.tar.xz")
    for file in reader.find_task_files(data, None, [1, 3, 8, 19, 20]):
        records = list(reader.read_task_file(file))
        assert len(records) == 1000
        assert not any(isinstance(record, BadRecord) for record in records)


@pytest.mark.data
def test_the_missing_published_file_is_named(real_data):
    with pytest.raises(BadDataError, match="Task 3 has no train file"):
        reader.find_task_files(str(real_data / "babi" / "en-10k.tar.xz"), None, [1, 2, 3])
