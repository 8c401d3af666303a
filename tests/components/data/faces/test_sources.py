"""Faces from all sources, through ExampleGen: what arrives, in which split, and what does not."""

import io
import itertools
import json
import zipfile

import numpy as np
import pytest
from methodical.components.base.errors import BadDataError
from methodical.components.data.faces import pairs, pairs_file, people, prepared, sources
from methodical.components.data.faces.options import FolderOptions, LfwOptions, SimulatorOptions
from methodical.components.example_gen.component import ExampleGen
from methodical.components.io import example_proto, tfrecord
from PIL import Image

SOURCES = {
    "simulator": (lambda parameters, data_dir: sources.Simulate(parameters), SimulatorOptions),
    "folder": (sources.ReadFolder, FolderOptions),
    "lfw": (sources.ReadLfw, LfwOptions),
}


@pytest.fixture
def read(execute):
    """Runs ExampleGen and returns the decoded examples by split, then the dead letters."""

    def run(source, data_dir=None, **parameters):
        function, options = SOURCES[source]
        parameters.setdefault("max_bad_fraction", 1.0)
        context = execute(
            ExampleGen,
            functions={"read": function},
            options=[options],
            data_dir=data_dir and str(data_dir),
            **parameters,
        )
        examples = context.outputs["examples"]
        found = {
            split: [
                example_proto.decode(record)
                for path in examples.files(split)
                for record in tfrecord.read_records(path)
            ]
            for split in examples.splits
        }
        with open(examples.path("dead_letters.jsonl")) as reader:
            return found, [json.loads(line) for line in reader]

    return run


def encoded(value=0, kind="JPEG", size=(30, 24), mode="RGB", **options):
    out = io.BytesIO()
    Image.new(mode, size, value).save(out, kind, **options)
    return out.getvalue()


def noise(kind="JPEG", size=(64, 64)):
    random = np.random.default_rng(0)
    out = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (*size, 3)).astype(np.uint8)).save(out, kind)
    return out.getvalue()


def write_people(folder, counts):
    """Writes `<Name>/<Name>_0001.jpg` for so many images of each name; the shade is the number."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(1, count + 1):
            path = folder / name / f"{name}_{number:04d}.jpg"
            path.write_bytes(encoded((10 * number,) * 3))


def by_id(found):
    return {one["id"][0].decode(): (split, one) for split, some in found.items() for one in some}


def pairs_of(found):
    """Returns `(first, second, fold)` of all pairs."""
    return [
        (one["id"][0].decode(), other.decode(), fold)
        for some in found.values()
        for one in some
        for other, fold in zip(one["partners"], one["folds"], strict=True)
    ]


PAIRS = "1\t2\nAnn\t1\t3\nBob\t1\t2\nAnn\t2\tBob\t1\nBob\t2\tCat\t1\n"
COUNTS = {"Ann": 3, "Bob": 2, "Cat": 1, "Dan": 4, "Eve": 2, "Fay": 3}


@pytest.mark.parametrize("zipped", [False, True])
def test_people_of_the_pairs_file_are_the_test_split(read, tmp_path, zipped):
    data = tmp_path / "faces"
    write_people(data, COUNTS)
    (data / "pairs.txt").write_text(PAIRS)
    if zipped:
        archive = tmp_path / "faces.zip"
        with zipfile.ZipFile(archive, "w") as writer:
            for path in sorted(data.rglob("*.*")):
                writer.write(
                    path, f"lfw/{path.relative_to(data)}" if path.suffix == ".jpg" else path.name
                )
        data = archive
    found, bad = read("folder", data, pairs_file="pairs.txt")
    assert not bad
    split_of = {name: split for name, (split, _) in by_id(found).items()}
    assert len(split_of) == 15
    for name, split in split_of.items():
        assert (split == "test") == (name.split("/")[0] in ("Ann", "Bob", "Cat"))
    assert sorted(pairs_of(found)) == [
        ("Ann/Ann_0001", "Ann/Ann_0003", 0),
        ("Ann/Ann_0002", "Bob/Bob_0001", 0),
        ("Bob/Bob_0001", "Bob/Bob_0002", 0),
        ("Bob/Bob_0002", "Cat/Cat_0001", 0),
    ]
    _, one = by_id(found)["Dan/Dan_0004"]
    assert one["identity"] == [b"Dan"]
    assert one["eyes"] == []
    assert one["partners"] == []
    assert Image.open(io.BytesIO(one["image"][0])).getpixel((3, 3)) == (40, 40, 40)


def test_images_of_a_person_lie_together_and_in_one_split(read, tmp_path):
    write_people(tmp_path, {f"P{number:02d}": 1 + number % 4 for number in range(40)})
    found, _ = read("folder", tmp_path, test_fraction=0.3, shards=2)
    seen = []
    for some in found.values():
        names = [one["identity"][0] for one in some]
        seen += [name for name, _ in itertools.groupby(names)]
    assert len(seen) == len(set(seen)) == 40
    assert all(len(found[split]) > 2 for split in ("train", "eval", "test"))


def test_pairs_are_drawn_of_held_out_people_alike_in_any_order(read, tmp_path):
    write_people(tmp_path, {f"P{number:02d}": 4 for number in range(40)})
    options = {"test_fraction": 0.5, "pairs": 40, "folds": 4}
    found, _ = read("folder", tmp_path, **options)
    drawn = pairs_of(found)
    assert drawn == pairs_of(read("folder", tmp_path, **options)[0])
    assert sorted(drawn) != sorted(pairs_of(read("folder", tmp_path, seed=1, **options)[0]))
    assert len(drawn) == 40
    test = {one["id"][0].decode() for one in found["test"]}
    assert {name for first, second, _ in drawn for name in (first, second)} <= test
    assert sum(first.split("/")[0] == second.split("/")[0] for first, second, _ in drawn) == 20


def test_held_out_people_are_a_hashed_part_and_two_at_least():
    names = [f"P{number}" for number in range(1000)]
    some = pairs.held_out(names, FolderOptions(test_fraction=0.3))
    assert 250 < len(some) < 350
    # Whether somebody is held out does not depend on the others.
    assert pairs.held_out(names[:500], FolderOptions(test_fraction=0.3)) == some & set(names[:500])
    assert pairs.held_out(names, FolderOptions(test_fraction=0.3, seed=1)) != some
    assert len(pairs.held_out(names[:5], FolderOptions(test_fraction=1e-6))) == 2


def test_drawn_pairs_are_half_same_in_folds_of_different_people():
    images = [(f"P{who}", f"P{who}/{n}") for who in range(50) for n in range(1 + who % 6)]
    drawn = pairs.draw_id_pairs(images, 400, 10, 3)
    shuffled = list(images)
    np.random.default_rng(0).shuffle(shuffled)
    assert drawn == pairs.draw_id_pairs([tuple(map(str, one)) for one in shuffled], 400, 10, 3)
    assert len({frozenset((one.first, one.second)) for one in drawn}) == len(drawn)
    people_of = {}
    for fold in range(10):
        some = [one for one in drawn if one.fold == fold]
        same = [one for one in some if one.identities[0] == one.identities[1]]
        assert 2 * len(same) == len(some)
        assert 20 <= len(some) <= 40
        for person in {person for one in some for person in one.identities}:
            assert people_of.setdefault(person, fold) == fold


def test_all_pairs_of_few_images_are_drawn_once():
    images = [("a", f"a/{n}") for n in range(4)] + [("b", "b/0"), ("b", "b/1")]
    drawn = pairs.draw_id_pairs(images, 1000, 10, 0)
    same = {(one.first, one.second) for one in drawn if one.identities[0] == one.identities[1]}
    assert same == {*itertools.combinations([f"a/{n}" for n in range(4)], 2), ("b/0", "b/1")}
    assert {one.fold for one in drawn} == {0}
    assert len(drawn) == 14
    # Six images of one person make 15 pairs, but only six with the other person's only image.
    lonely = [("a", f"a/{n}") for n in range(6)] + [("b", "b/0")]
    few = pairs.draw_id_pairs(lonely, 1000, 10, 0)
    assert sum(one.identities == ("a", "a") for one in few) == 6
    assert len(few) == 12
    with pytest.raises(BadDataError, match="Received: 1 people, 1 of them"):
        pairs.draw_id_pairs(images[:3], 10, 2, 0)
    with pytest.raises(BadDataError, match="Received: 2 people, 0 of them"):
        pairs.draw_id_pairs([("a", "a/0"), ("b", "b/0")], 10, 2, 0)


def test_nested_splits_stay_and_nobody_may_be_in_two(read, tmp_path):
    write_people(tmp_path / "train", {"Ann": 2, "Bob": 3})
    write_people(tmp_path / "val", {"Cat": 2})
    write_people(tmp_path / "test", {"Dan": 3, "Eve": 2})
    found, _ = read("folder", tmp_path)
    assert {split: len(some) for split, some in found.items()} == {"train": 5, "eval": 2, "test": 5}
    assert pairs_of(found)
    write_people(tmp_path / "test", {"Ann": 1})
    with pytest.raises(BadDataError, match="'Ann' is in"):
        read("folder", tmp_path)


@pytest.mark.parametrize(
    ("folders", "others", "said"),
    [
        ({}, {"Ann": ["a.txt", "b.pdf"]}, "There must be images .*whose files have the endings"),
        ({}, {"Ann": ["a.mp4"], "Bob": ["b.docx.zip"]}, "There must be images .JPEG, PNG, GIF"),
        ({"": {f"P{n}": 1 for n in range(40)}}, {}, "two images of one of .* 40 people, 0 of"),
        ({"": {"Ann": 3}}, {"Bob": ["notes.pdf"]}, "images of two people, .* 1 people, 1 of"),
        (
            {"train": {"Ann": 3, "Bob": 2}, "test": {"Cat": 1, "Dan": 1}},
            {},
            "in its split test, with 2 people, 0 of them",
        ),
        ({}, {".": ["a.jpg", "b.jpg"]}, "in folders <identity>/<file> or <split>/<identity>/<fil"),
    ],
)
def test_folders_without_pairs_are_refused_and_no_option_is_blamed(tmp_path, folders, others, said):
    for name, counts in folders.items():
        write_people(tmp_path / name, counts)
    for name, files in others.items():
        (tmp_path / name).mkdir(exist_ok=True)
        for file in files:
            (tmp_path / name / file).write_bytes(b"something")
    with pytest.raises(BadDataError, match=said) as found:
        people.find_people(FolderOptions(), str(tmp_path))
    assert "test_fraction" not in str(found.value)
    assert "class" not in str(found.value)


def test_a_file_that_is_no_archive_is_told(tmp_path):
    (tmp_path / "text.txt").write_text("text")
    with pytest.raises(BadDataError, match=r"--data-dir .*text\.txt, which is neither"):
        people.find_people(FolderOptions(), str(tmp_path / "text.txt"))


def test_files_of_other_kinds_are_passed_over(tmp_path):
    write_people(tmp_path, COUNTS)
    for name in ("a.PDF", "b.txt", "c.json", "d.mov", "e.JPEG", "f.tiff", "g.webp", "h"):
        (tmp_path / "Ann" / name).write_bytes(b"something")
    (tmp_path / "stray.jpg").write_bytes(b"something")
    found = people.find_people(FolderOptions(), str(tmp_path))
    others = {one.path for one in found.images if "_" not in one.path}
    assert others == {"Ann/e.JPEG", "Ann/f.tiff", "Ann/g.webp", "Ann/h"}
    (stray,) = found.bad
    assert "must lie in <identity>/<file>" in stray.reason


def test_what_is_no_face_is_a_dead_letter(read, tmp_path):
    write_people(tmp_path, COUNTS)
    folder = tmp_path / "Dan"
    whole = noise()
    files = {
        "empty.jpg": (b"", "an empty file"),
        "text.jpg": (b"no image at all", "UnidentifiedImageError"),
        "cut.jpg": (whole[: len(whole) // 2], "truncated"),
        "half.png": (noise("PNG")[:-200], "Error"),
        "tiny.png": (encoded(size=(40, 19), kind="PNG"), "40 × 19 pixels, smaller than 20"),
        "huge.png": (encoded(size=(400, 300), kind="PNG"), "400 × 300 pixels, more than 100,000"),
        "cmyk.jpg": (encoded(mode="CMYK"), "mode CMYK"),
        "turned.jpg": (
            encoded(
                exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
            ),
            "EXIF",
        ),
        "Dan_0001.png": (encoded(kind="PNG"), "a name of its own"),
    }
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    good = {
        "gray.png": encoded(mode="L", kind="PNG"),
        "palette.png": encoded(mode="P", kind="PNG", transparency=0),
        "clear.png": encoded((1, 2, 3, 0), mode="RGBA", kind="PNG"),
        "still.gif": encoded(mode="P", kind="GIF"),
    }
    for name, content in good.items():
        (folder / name).write_bytes(content)
    (folder / "notes.txt").write_text("not looked at")
    (tmp_path / "stray.png").write_bytes(encoded(kind="PNG"))
    found, bad = read("folder", tmp_path, max_pixels=100_000)
    assert len(by_id(found)) == 15 + len(good)
    reasons = {row["position"].rpartition("/")[2]: row["reason"] for row in bad}
    assert reasons.keys() == {*files, "stray.png"}
    for name, (_, reason) in files.items():
        assert reason in reasons[name]
        assert "Received: " in reasons[name]


def test_a_bomb_is_refused_by_its_header(read, tmp_path):
    write_people(tmp_path, COUNTS)
    # The header says 30,000 × 30,000 pixels: 2.7 GB, if they were decoded.
    content = bytearray(encoded(kind="PNG"))
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    import zlib

    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    (tmp_path / "Ann" / "bomb.png").write_bytes(content)
    _, bad = read("folder", tmp_path)
    assert len(bad) == 1
    assert "bomb.png" in bad[0]["position"]
    assert "pixels" in bad[0]["reason"]


def test_eyes_come_from_a_file_beside(read, tmp_path):
    write_people(tmp_path / "faces", COUNTS)
    (tmp_path / "eyes.csv").write_text(
        "id,lx,ly,rx,ry\nAnn/Ann_0001,8,9.5,20,10\nAnn/Ann_0002,20,9,8,10\nNobody/1,1,2,3,4\n"
        "Bob/Bob_0001,1,2,x,4\nAnn/Ann_0001,1,2,3,4\nBob/Bob_0002,nan,2,3,4\n"
    )
    found, bad = read("folder", tmp_path / "faces", eyes="eyes.csv")
    images = by_id(found)
    assert images["Ann/Ann_0001"][1]["eyes"] == [8.0, 9.5, 20.0, 10.0]
    assert all(not one["eyes"] for name, (_, one) in images.items() if name != "Ann/Ann_0001")
    reasons = {row["position"]: row["reason"] for row in bad}
    assert "the one at its right" in reasons["line 3"]
    assert "'Nobody/1'" in reasons["line 4"]
    assert "must be id,lx,ly,rx,ry" in reasons["line 5"]
    assert "again" in reasons["line 6"]
    assert "must be id,lx,ly,rx,ry" in reasons["line 7"]
    (tmp_path / "eyes.csv").write_text("id,lx,ly,rx,ry\n")
    with pytest.raises(BadDataError, match=r"Received: eyes\.csv with none"):
        read("folder", tmp_path / "faces", eyes="eyes.csv")
    with pytest.raises(BadDataError, match="must name a file"):
        read("folder", tmp_path / "faces", eyes="no.csv")


def test_limit_takes_whole_people_and_all_of_the_pairs(read, tmp_path):
    write_people(tmp_path, COUNTS)
    (tmp_path / "pairs.txt").write_text(PAIRS)
    found, _ = read("folder", tmp_path, pairs_file="pairs.txt", limit=5)
    assert len(found["test"]) == 6
    assert sorted({name.split("/")[0] for name in by_id(found)}) == [
        "Ann",
        "Bob",
        "Cat",
        "Dan",
        "Eve",
    ]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "the first line"),
        ("ten\n", "the first line"),
        ("1 2 3\n", "the first line"),
        ("0\n", "the first line"),
        ("1\nAnn\t1\t2\n", "1 × 2 × 1 = 2 pairs. Received: p.txt with 1"),
        ("1\nAnn\t1\t2\nAnn\t2\tBob\t1\nAnn\t1\t3\n", "with 3"),
        ("1\nAnn\t1\nAnn\t2\tBob\t1\n", "line 2, with 2 columns"),
        ("1\nAnn\t1\t2\nAnn\t2\t3\n", "line 3, with 3 columns"),
        ("1\nAnn\t0\t2\nAnn\t2\tBob\t1\n", "line 2, with an image's number that is not from 1"),
        ("1\nAnn\t1\tx\nAnn\t2\tBob\t1\n", "line 2, with an image's number that is not from 1"),
        ("1\nAnn\t2\t2\nAnn\t2\tBob\t1\n", "line 2, with one image twice"),
        ("1\nAnn\t1\t2\nAnn\t2\tAnn\t1\n", "line 3, with one person where two"),
        ("1\nAnn\t1\t2\n\t2\tAnn\t1\n", "line 3, with a name that is none"),
        ("2\nAnn\t1\t2\nAnn\t2\t1\nA\t2\tB\t1\nA\t2\tC\t1\n", "line 3: .* which line 2 has too"),
    ],
)
def test_malformed_pairs_files_are_told(text, match):
    with pytest.raises(BadDataError, match=match.replace("the first", "[Tt]he first")):
        pairs_file.parse(text, "p.txt")


def test_missing_images_of_a_pairs_file_are_told(tmp_path):
    write_people(tmp_path, {"Ann": 2, "Bob": 1})
    (tmp_path / "pairs.txt").write_text("1\nAnn\t1\t3\nAnn\t2\tZoe\t1\n")
    with pytest.raises(
        BadDataError, match=r"2 of whose 4 images.*\(1 of the people.*Ann_0003, Zoe/Zoe_0001"
    ):
        people.find_people(FolderOptions(pairs_file="pairs.txt"), str(tmp_path))
    with pytest.raises(BadDataError, match="must name a file"):
        people.find_people(FolderOptions(pairs_file="other.txt"), str(tmp_path))


def test_folds_and_windows_line_ends_of_a_pairs_file():
    text = "\ufeff2\t1\r\nAnn 1 2\r\nAnn 1 Bob 1\r\n\r\nBob\t1\t2\r\nBob\t2\tAnn\t3\r\n"
    found = [(one.first, one.second, one.fold) for one in pairs_file.parse(text, "p.txt")]
    assert found == [
        ("Ann/Ann_0001", "Ann/Ann_0002", 0),
        ("Ann/Ann_0001", "Bob/Bob_0001", 0),
        ("Bob/Bob_0001", "Bob/Bob_0002", 1),
        ("Bob/Bob_0002", "Ann/Ann_0003", 1),
    ]


def test_simulated_people_have_pairs_and_eyes(read):
    found, bad = read("simulator", identities=12, images=3, size=32, test_fraction=0.4, pairs=10)
    assert not bad
    assert sum(map(len, found.values())) == 36
    drawn = pairs_of(found)
    assert len(drawn) == 10
    names = [f"Person_{number:04d}" for number in range(1, 13)]
    test = pairs.held_out(names, SimulatorOptions(test_fraction=0.4))
    for split, one in by_id(found).values():
        assert len(one["eyes"]) == 4
        assert (one["identity"][0].decode() in test) == (split == "test")
    few, _ = read("simulator", identities=12, images=3, size=32, test_fraction=0.4, limit=4)
    assert len(few["test"]) == len(few["train"]) + len(few["eval"]) == 6
    assert all(by_id(found)[name] == one for name, one in by_id(few).items() if one[0] == "train")


@pytest.fixture(scope="module")
def lfw_folder(tmp_path_factory):
    """TFDS' own LFW, prepared of a few small images instead of the download."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.datasets.lfw import lfw_dataset_builder

    images = tmp_path_factory.mktemp("images")
    write_people(images, COUNTS)

    class Lfw(lfw_dataset_builder.Builder, skip_registration=True):
        name = "lfw"
        url_infos = {}  # noqa: RUF012
        pkg_dir_path = None

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(
                    {
                        "label": tfds.features.Text(),
                        "image": tfds.features.Image(shape=(None, None, 3)),
                    }
                ),
                supervised_keys=("label", "image"),
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(str(images))}

    folder = str(tmp_path_factory.mktemp("tfds"))
    tfds.disable_progress_bar()
    Lfw(data_dir=folder).download_and_prepare()
    return folder


def test_lfw_of_tfds_has_its_numbers_and_pairs(read, lfw_folder, tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text(PAIRS)
    found, bad = read("lfw", lfw_folder, pairs_file=str(path))
    assert not bad
    images = by_id(found)
    assert len(images) == 15
    for name, (split, one) in images.items():
        # The shade of an image is ten times its number.
        shade = Image.open(io.BytesIO(one["image"][0])).getpixel((3, 3))[0]
        assert shade == 10 * int(name[-4:])
        assert (split == "test") == (name[:3] in ("Ann", "Bob", "Cat"))
    assert len(pairs_of(found)) == 4
    few, _ = read("lfw", lfw_folder, pairs_file=str(path), limit=3, splits={"train": 1})
    assert {split: len(some) for split, some in few.items()} == {"test": 6, "train": 4}
    drawn, _ = read("lfw", lfw_folder, test_fraction=0.6, pairs=6)
    assert len(pairs_of(drawn)) > 2


def test_names_in_another_order_are_not_those_of_lfw(monkeypatch, lfw_folder, tmp_path):
    assert prepared.lfw_ids(["Ann", "Bob", "Cat"] * 4, "train") is None
    path = tmp_path / "pairs.txt"
    path.write_text(PAIRS)
    monkeypatch.setattr(prepared, "lfw_ids", lambda people, split: None)
    with pytest.raises(BadDataError, match="use --data folder"):
        sources.ReadLfw(LfwOptions(pairs_file=str(path)), lfw_folder)
    numbered = prepared.PreparedFaces(LfwOptions(), lfw_folder)
    assert len({one.id for one in numbered.images}) == 15


def test_a_prepared_set_must_have_faces(lfw_folder, tmp_path):
    with pytest.raises(BadDataError, match="which does not exist"):
        sources.ReadLfw(LfwOptions(pairs_file=str(tmp_path / "no.txt")), lfw_folder)
    with pytest.raises(BadDataError, match=r"must name a data set|prepared before"):
        sources.ReadLfw(LfwOptions(), str(tmp_path))


@pytest.mark.data
def test_real_faces_with_corrupt_ones_among_them(read, real_data, tmp_path):
    archive = real_data / "lfw" / "lfw_gray_112.zip"
    wanted = ("Abdullah_Gul/", "Adam_Sandler/", "Aaron_", "Tiger_Woods/")
    with zipfile.ZipFile(archive) as reader:
        names = [name for name in reader.namelist() if name.startswith(wanted)]
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(reader.read(name))
    pair = "1\nAbdullah_Gul\t13\t14\nAbdullah_Gul\t13\tAdam_Sandler\t1\n"
    (tmp_path / "pairs.txt").write_text(pair)
    broken = sorted(name for name in names if name.startswith("Tiger_Woods/"))[:3]
    for name, size in zip(broken, (0, 40, 1500), strict=True):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:size])
    found, bad = read("folder", tmp_path, pairs_file="pairs.txt")
    assert sorted(row["position"] for row in bad) == broken
    assert len(by_id(found)) == len(names) - 3
    assert {one["identity"][0] for one in found["test"]} == {b"Abdullah_Gul", b"Adam_Sandler"}


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "count", "folds", "identities"),
    [("pairs", 6000, 10, 4281), ("pairsDevTrain", 2200, 1, 2132), ("pairsDevTest", 1000, 1, 963)],
)
def test_lists_of_lfw(real_data, name, count, folds, identities):
    found = pairs_file.parse((real_data / "lfw" / f"{name}.txt").read_text(), name)
    assert len(found) == count
    assert [one.fold for one in found] == sorted(one.fold for one in found)
    assert {one.fold for one in found} == set(range(folds))
    assert len({person for one in found for person in one.identities}) == identities
    with zipfile.ZipFile(real_data / "lfw" / "lfw_gray_112.zip") as reader:
        there = [member.removesuffix(".jpg") for member in reader.namelist()]
    pairs_file.check_images(found, there, name)
