"""Bad input and bad luck through the command line: the exit code, and what the user is told."""

import hashlib
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import tarfile
import time

import pytest

GOOD = b"1 Mary went to the park.\n2 Where is Mary?\tpark\t1\n"
BAD_LINE = b"1 Mary went to the park.\nno number here\n3 Where is Mary?\tpark\t1\n"
BAD_ENCODING = b"1 Mary went to the park.\n2 John \xe9t\xe9 there.\n3 Where is Mary?\tpark\t1\n"
NO_ANSWER = b"1 John went to the park.\n2 Where is John?\n"
NO_SUCH_FACT = b"1 John went to the park.\n2 Where is John?\tpark\t9\n"

LETTERS = [
    ("line 4", "must begin with its id 2", "'no number here'"),
    ("line 5", "story must be whole", "bad at line 4"),
    ("line 7", "must be UTF-8", "byte 0xe9"),
    ("line 8", "story must be whole", "bad at line 7"),
    ("line 10", "must have an answer and supporting facts", "'Where is John?'"),
    ("line 12", "must be the id of an earlier sentence", "'9'"),
]
"""Position, rule and offending text of what is bad in `TRAIN`."""
TRAIN = GOOD + BAD_LINE + BAD_ENCODING + NO_ANSWER + NO_SUCH_FACT


def write_files(folder, train=GOOD * 8, test=GOOD * 2):
    folder.mkdir(exist_ok=True)
    (folder / "qa1_x_train.txt").write_bytes(train)
    (folder / "qa1_x_test.txt").write_bytes(test)
    return folder


def arguments(data, *more):
    flags = ["--data", "files", "--data-dir", str(data), "--set", "example_gen.tasks=[1]"]
    return ["run", "babi", *flags, "--to-stage", "example_gen", *more]


def on_screen(line, *given):
    """Runs a command without `--json`; returns its exit code and what it wrote."""
    command = line.arguments()
    begin = command.index("--root")
    done = subprocess.run(
        # The root stands before `--`, behind which all is Beam's.
        [*command[:begin], given[0], *command[begin:], *given[1:]],
        capture_output=True,
        text=True,
        env=line.environment,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def rows(path):
    return [json.loads(row) for row in path.read_text().splitlines()]


def assert_told(letters, source="qa1_x_train.txt"):
    assert {letter["source"] for letter in letters} == {source}
    assert [letter["position"] for letter in letters] == [position for position, _, _ in LETTERS]
    for letter, (_, rule, received) in zip(letters, LETTERS, strict=True):
        assert rule in letter["reason"]
        assert received in letter["reason"].partition("Received: ")[2]


def assert_nothing_published(root):
    left = [path for path in (root / "artifacts").rglob("*") if path.is_file()]
    assert left == []
    for name in ("staging", "checkpoints"):
        assert list((root / name).glob("*")) == []
    assert not (root / "serving").exists()


def assert_artifact_is_whole(root, run):
    """Checks the one published artifact file by file against its manifest."""
    folder = root / run["stages"][0]["outputs"]["examples"]
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    digests = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "MANIFEST.json"
    }
    assert {entry["path"]: entry["sha256"] for entry in manifest["files"]} == digests
    assert list((root / "staging").iterdir()) == []


def test_bad_records_below_the_limit_are_named_and_the_run_goes_on(command_line, tmp_path):
    line = command_line("below")
    data = write_files(tmp_path / "data", TRAIN)
    run = line(*arguments(data, "--set", "example_gen.max_bad_fraction=0.7"))
    stage = run["stages"][0]
    assert (run["state"], run["exit_code"], run["error"]) == ("complete", 0, None)
    assert stage["counters"]["examples"] == 3
    assert stage["counters"]["bad_records"] == len(LETTERS)
    assert stage["summary"] == "3 examples (train 1, test 2), 6 bad"
    assert_told(rows(line.root / stage["outputs"]["examples"] / "dead_letters.jsonl"))
    assert_artifact_is_whole(line.root, run)


def test_bad_records_above_the_limit_stop_the_run_and_stay_for_the_user(command_line, tmp_path):
    line = command_line("above")
    data = write_files(tmp_path / "data", TRAIN)
    code, screen, _ = on_screen(line, *arguments(data))
    assert code == 3
    assert "ExampleGen could not use 6 of 9 records (66.67%)" in screen
    assert "more than max_bad_fraction=0.01 allows" in screen
    for position, rule, _ in LETTERS[:3]:
        assert f"qa1_x_train.txt {position}: " in screen
        assert rule in screen
    assert f"qa1_x_train.txt {LETTERS[3][0]}: " not in screen
    assert "max_bad_fraction=0.67" in screen
    following = screen.rpartition("\nnext ")[2]
    assert "methodical run " in following
    assert f" --data files --data-dir {data} " in following

    folder = next((line.root / "runs").iterdir())
    run = json.loads((folder / "run.json").read_text())
    assert (run["state"], run["exit_code"]) == ("failed", 3)
    kept = line.root / run["paths"]["dead_letters"]
    assert kept.parent == folder
    assert str(kept) in screen
    assert_told(rows(kept))
    assert_nothing_published(line.root)


@pytest.mark.parametrize(
    ("train", "limit", "says"),
    [
        (b"", "0.01", "A task file must hold questions. Received: "),
        (NO_ANSWER * 2, "1", "needs at least one example in the split 'train'. Received: test 2."),
    ],
    ids=["empty", "all bad"],
)
def test_training_files_without_a_usable_question_stop_the_run(
    command_line, tmp_path, train, limit, says
):
    line = command_line("empty")
    data = write_files(tmp_path / "data", train)
    run = line(*arguments(data, "--set", f"example_gen.max_bad_fraction={limit}"), code=3)
    assert says in run["error"]["message"]
    if train:
        letters = rows(line.root / run["paths"]["dead_letters"])
        assert [letter["position"] for letter in letters] == ["line 2", "line 4"]
    assert_nothing_published(line.root)


def test_an_archive_with_a_path_that_climbs_out_is_refused(command_line, tmp_path):
    line = command_line("climbing")
    archive = tmp_path / "deep" / "down" / "evil.tar.gz"
    archive.parent.mkdir(parents=True)
    outside = tmp_path / "escaped.txt"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(write_files(tmp_path / "data"), arcname="en")
        for name in ("../../escaped.txt", str(outside)):
            member = tarfile.TarInfo(name)
            member.size = 3
            tar.addfile(member, io.BytesIO(b"bad"))
    before = sorted(tmp_path.rglob("*"))
    run = line(*arguments(archive), code=3)
    assert "must not hold a path that climbs out of its folder" in run["error"]["message"]
    assert "Received: '../../escaped.txt' in " in run["error"]["message"]
    assert str(archive) in run["error"]["message"]
    assert sorted(tmp_path.rglob("*")) == before
    assert list(line.root.rglob("escaped.txt")) == []
    assert sorted(path.name for path in line.root.parent.iterdir()) == ["root"]
    assert_nothing_published(line.root)


def test_a_truncated_archive_is_refused_and_mended_it_runs(command_line, tmp_path):
    line = command_line("truncated")
    archive = tmp_path / "files.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(write_files(tmp_path / "data"), arcname="en")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    run = line(*arguments(archive), code=3)
    assert "The archive cannot be read; is it whole?" in run["error"]["message"]
    assert f"Received: {archive}" in run["error"]["message"]
    assert_nothing_published(line.root)
    archive.write_bytes(whole)
    again = line(*arguments(archive))
    assert again["stages"][0]["summary"] == "10 examples (train 8, test 2), 0 bad"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--set", "exmple_gen.shards=2"], ["'exmple_gen'; did you mean 'example_gen'?"]),
        (["--set", "example_gen.shard=2"], ["'shard'; did you mean 'shards'?"]),
        (["--set", "example_gen.shards=two"], ["ExampleGen: shards: ", "Received: 'two'"]),
        (["--set", "example_gen.max_bad_fraction=2"], ["max_bad_fraction: ", "Received: 2"]),
        (["--set", "example_gen.tasks=[21]"], ["numbers from 1 to 20", "Received: [21]"]),
        (["--data", "flies"], ["no source 'flies'; did you mean 'files'?"]),
        (["--to-stage", "exmple_gen"], ["'exmple_gen'; did you mean 'example_gen'?"]),
        (["--data-dir", "/no/such/folder"], ["exists. Received: /no/such/folder"]),
        (["--", "--direct_num_worker=2"], ["--direct_num_worker; did you mean"]),
        (["--", "--direct_num_workers=two"], ["--direct_num_workers", "invalid int value: 'two'"]),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_written(command_line, tmp_path, given, says):
    line = command_line("usage")
    data = write_files(tmp_path / "data")
    refused(line, [*arguments(data), *given], says)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["run", "bobi"], ["no method 'bobi'; did you mean 'babi'?"]),
        (["run", "babi", "--data", "files"], ["with --data-dir", "--data files without"]),
    ],
)
def test_an_unknown_method_or_a_missing_folder_is_named(command_line, given, says):
    refused(command_line("usage"), given, says)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"dta": "files"}, ["unknown key 'dta'; did you mean 'data'?"]),
        ({"no_cache": "yes"}, ["'no_cache' takes a truth value", 'Received: "yes"']),
        ({"example_gen": {"shards": "two"}}, ["ExampleGen: shards: ", "Received: 'two'"]),
        ({"example_gen.shard": 2}, ["'shard'; did you mean 'shards'?"]),
    ],
)
def test_a_wrong_key_or_type_in_a_configuration_is_named(command_line, tmp_path, content, says):
    config = tmp_path / "run.json"
    config.write_text(json.dumps(content))
    data = write_files(tmp_path / "data")
    refused(command_line("usage"), arguments(data, "--config", str(config)), says)


def refused(line, given, says):
    code, out, error = on_screen(line, *given)
    assert (code, out) == (2, "")
    assert "Traceback" not in error
    message = error.rpartition("Error: ")[2]
    for text in says:
        assert text in message
    assert not line.root.exists()


def wait_until_running(line, process):
    database = f"file:{line.root / 'metadata.sqlite'}?mode=ro"
    while process.poll() is None:
        try:
            connection = sqlite3.connect(database, uri=True)
        except sqlite3.OperationalError:  # not made yet
            continue
        try:
            if connection.execute(
                "SELECT 1 FROM Execution WHERE last_known_state = 'RUNNING'"
            ).fetchall():
                return
        except sqlite3.OperationalError:  # the tables are being made
            pass
        finally:
            connection.close()
        time.sleep(0.002)
    pytest.fail(f"The run ended before ExampleGen began: {process.communicate()}")


def test_ctrl_c_says_how_to_go_on_and_the_next_run_completes(command_line, tmp_path):
    line = command_line("interrupted")
    data = write_files(tmp_path / "data")
    process = line.start(*arguments(data))
    try:
        wait_until_running(line, process)
        os.killpg(process.pid, signal.SIGINT)  # a terminal's Ctrl-C goes to the whole group
        out, screen = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 130
    run = json.loads(out)
    assert (run["state"], run["exit_code"]) == ("interrupted", 130)
    assert run["error"]["message"] == "ExampleGen was interrupted by Ctrl-C."
    assert run["error"]["next"].startswith("To go on: methodical run babi --data files")
    assert run["error"]["next"] in screen
    assert "Traceback" not in screen
    assert_nothing_published(line.root)
    again = line(*arguments(data))
    assert again["stages"][0]["reason"] == "miss: the last attempt was interrupted"
    assert_artifact_is_whole(line.root, again)


@pytest.fixture
def small_disk(tmp_path):
    """Makes a disk of half a megabyte; returns its folder and a function that sets its size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        return subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True
        )

    try:
        refused = mount("size=512k").returncode
    except FileNotFoundError:
        refused = 1
    if refused:
        pytest.skip("mounting a small disk needs root")

    def resize(size):
        assert mount(f"remount,size={size}").returncode == 0

    try:
        yield folder, resize
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_told_and_enlarged_it_takes_the_run(command_line, small_disk, tmp_path):
    folder, resize = small_disk
    line = command_line("full")
    line.root = folder / "root"
    noise = random.Random(0)  # so that the examples do not compress to nothing
    stories = (
        f"1 {noise.randbytes(800).hex()} went.\n2 Where is it?\tpark\t1\n" for _ in range(1500)
    )
    data = write_files(tmp_path / "data", "".join(stories).encode())
    run = line(*arguments(data), code=1)
    assert run["state"] == "failed"
    message = run["error"]["message"]
    assert message.startswith(f"No space was left for ExampleGen on the disk of {line.root}: ")
    assert " MB free. Nothing half-written was published." in message
    assert "Traceback" not in message
    assert run["error"]["next"].startswith("Free some space, or choose a --root on another disk")
    assert_nothing_published(line.root)
    resize("64m")
    again = line(*arguments(data))
    assert again["stages"][0]["summary"] == "1,502 examples (train 1,500, test 2), 0 bad"
    assert_artifact_is_whole(line.root, again)


def test_runs_on_two_roots_at_once_do_not_disturb_one_another(command_line, tmp_path):
    data = write_files(tmp_path / "data")
    lines = [command_line("left"), command_line("right")]
    processes = [line.start(*arguments(data)) for line in lines]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    runs = [json.loads(out) for out, _ in results]
    for line, run in zip(lines, runs, strict=True):
        assert run["root"] == str(line.root)
        assert_artifact_is_whole(line.root, run)
    left, right = (
        (line.root / run["stages"][0]["outputs"]["examples"] / "MANIFEST.json").read_bytes()
        for line, run in zip(lines, runs, strict=True)
    )
    assert json.loads(left)["files"] == json.loads(right)["files"]
