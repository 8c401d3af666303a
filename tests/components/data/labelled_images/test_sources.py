"""Labelled images from all four sources, through ExampleGen: what arrives and what does not."""

import gzip
import io
import json
import struct
import zipfile

import numpy as np
import pytest
from methodical.components.base.errors import BadDataError
from methodical.components.data.images import folders
from methodical.components.data.labelled_images import idx, transforms
from methodical.components.data.labelled_images.options import (
    BundledOptions,
    FolderOptions,
    IdxOptions,
    TfdsOptions,
)
from methodical.components.example_gen.component import ExampleGen
from methodical.components.io import example_proto, tfrecord
from PIL import Image

SOURCES = {
    "bundled": (lambda parameters, data_dir: transforms.ReadBundled(parameters), BundledOptions),
    "idx": (transforms.ReadIdx, IdxOptions),
    "tfds": (transforms.ReadTfds, TfdsOptions),
    "images": (transforms.ReadImages, FolderOptions),
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


def encoded(pixels, kind="PNG"):
    out = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(out, kind)
    return out.getvalue()


def decoded(image):
    return np.array(Image.open(io.BytesIO(image)))


def write_idx(folder, name, values, header=None, cut=0, more=b"", zipped=True):
    values = np.asarray(values, np.uint8)
    sizes = header or values.shape
    content = struct.pack(f">BBBB{len(sizes)}I", 0, 0, 8, values.ndim, *sizes) + values.tobytes()
    content = content[: len(content) - cut] + more
    if zipped:
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    else:
        (folder / name).write_bytes(content)


def write_mnist(folder, train=6, test=2, prefix="", dash="-", zipped=True):
    random = np.random.default_rng(0)
    made = {}
    for split, size in (("train", train), ("t10k", test)):
        images = random.integers(0, 256, (size, 5, 4))
        labels = np.arange(size) % 3
        write_idx(folder, f"{prefix}{split}-images{dash}idx3-ubyte", images, zipped=zipped)
        write_idx(folder, f"{prefix}{split}-labels{dash}idx1-ubyte", labels, zipped=zipped)
        made[split] = images, labels
    return made


def test_bundled_digits_are_those_of_scikit_learn(read):
    from sklearn.datasets import load_digits

    found, bad = read("bundled")
    assert not bad
    assert set(found) == {"train", "eval", "test"}
    assert sum(map(len, found.values())) == 1797
    assert 300 < len(found["test"]) < 420
    digits = load_digits()
    numbers = [int(one["id"][0]) for split in found.values() for one in split]
    assert sorted(numbers) == list(range(1797))
    for one in found["test"]:
        number = int(one["id"][0])
        assert one["label"] == [str(digits.target[number]).encode()]
        np.testing.assert_allclose(
            decoded(one["image"][0]) * (16 / 255), digits.images[number], atol=0.04
        )
    assert decoded(found["test"][0]["image"][0]).max() >= 230


def test_seed_and_limit_choose_bundled_digits(read):
    first = read("bundled", test_fraction=0.5, limit=50)[0]
    again = read("bundled", test_fraction=0.5, limit=50)[0]
    other = read("bundled", test_fraction=0.5, limit=50, seed=1)[0]
    assert first == again
    assert len(first["test"]) == 50
    assert len(first["train"]) + len(first["eval"]) == 50
    assert {one["id"][0] for one in first["test"]} != {one["id"][0] for one in other["test"]}


@pytest.mark.parametrize(
    ("prefix", "dash", "zipped"),
    [("", "-", True), ("", ".", False), ("emnist-letters-", "-", True)],
)
def test_idx_files_become_pngs(read, tmp_path, prefix, dash, zipped):
    made = write_mnist(tmp_path, prefix=prefix, dash=dash, zipped=zipped)
    found, bad = read("idx", tmp_path, splits={"train": 1})
    assert not bad
    for ours, theirs, name in (("train", "train", "train"), ("test", "t10k", "test")):
        images, labels = made[theirs]
        assert len(found[ours]) == len(images)
        for one in found[ours]:
            number = int(one["id"][0].decode().removeprefix(f"{name}/"))
            np.testing.assert_array_equal(decoded(one["image"][0]), images[number])
            assert one["label"] == [str(labels[number]).encode()]


def test_idx_training_images_are_hashed_and_limited(read, tmp_path):
    write_mnist(tmp_path, train=40, test=5)
    found, _ = read("idx", tmp_path, splits={"train": 1, "eval": 1}, limit=30)
    assert len(found["train"]) + len(found["eval"]) == 30
    assert min(len(found["train"]), len(found["eval"])) > 3
    assert len(found["test"]) == 5


def test_idx_blocks_join_to_the_whole(tmp_path):
    random = np.random.default_rng(1)
    images, labels = random.integers(0, 256, (2500, 3, 2)), random.integers(0, 10, 2500)
    write_idx(tmp_path, "train-images-idx3-ubyte", images)
    write_idx(tmp_path, "train-labels-idx1-ubyte", labels)
    (pair,) = idx.find_pairs(str(tmp_path))
    blocks = list(idx.read_pair(pair))
    assert len(blocks) == 3
    np.testing.assert_array_equal(np.concatenate([block[0] for block in blocks]), images)
    np.testing.assert_array_equal(np.concatenate([block[1] for block in blocks]), labels)
    write_idx(tmp_path, "train-images-idx3-ubyte", images, cut=6 * 100 + 1)
    with pytest.raises(BadDataError, match="truncated file that ends in entry 2399"):
        list(idx.read_pair(pair))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ({"cut": 7}, {}, r"must hold 6 entries.*truncated.*ends in entry 5"),
        ({}, {"cut": 2}, r"train-labels.*must hold 6 entries.*ends in entry 4"),
        ({"header": (7, 5, 4)}, {}, r"Received: 7 images in .*, 6 labels in"),
        ({"more": b"x"}, {}, r"goes on behind the 6 entries"),
        ({"header": (6, 0, 4)}, {}, r"Received: 6 images of 0 × 4 pixels"),
        ({"cut": 122}, {}, r"which ends after 14 bytes"),
    ],
)
def test_broken_idx_files_are_named_with_numbers(tmp_path, images, labels, message, zipped):
    write_idx(tmp_path, "train-images-idx3-ubyte", np.zeros([6, 5, 4]), zipped=zipped, **images)
    write_idx(tmp_path, "train-labels-idx1-ubyte", np.zeros([6]), zipped=zipped, **labels)
    (pair,) = idx.find_pairs(str(tmp_path))
    with pytest.raises(BadDataError, match=message):
        list(idx.read_pair(pair))


def test_idx_files_of_another_kind_are_named(tmp_path):
    write_idx(tmp_path, "train-images-idx3-ubyte", np.zeros([6]))
    write_idx(tmp_path, "train-labels-idx1-ubyte", np.zeros([6]))
    (pair,) = idx.find_pairs(str(tmp_path))
    with pytest.raises(BadDataError, match=r"must begin with 00 00 08 03\. Received: 00 00 08 01"):
        list(idx.read_pair(pair))
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(b"not gzipped")
    with pytest.raises(BadDataError, match="whole and gzipped"):
        list(idx.read_pair(pair))
    write_idx(tmp_path, "train-images-idx3-ubyte", np.zeros([6, 5, 4]))
    whole = path.read_bytes()
    for broken in (whole[:-4], whole[:-8] + b"12345678"):
        path.write_bytes(broken)
        with pytest.raises(BadDataError, match=r"whole and unaltered.*train-images"):
            list(idx.read_pair(pair))


def test_broken_gzip_is_bad_data_in_the_pipeline(read, tmp_path):
    write_mnist(tmp_path, train=3000)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:30000])
    with pytest.raises(BadDataError, match="must hold 3000 entries"):
        read("idx", tmp_path)


def test_idx_files_must_be_there_once_and_in_pairs(tmp_path):
    with pytest.raises(BadDataError, match="no such file"):
        idx.find_pairs(str(tmp_path))
    write_idx(tmp_path, "train-images-idx3-ubyte", np.zeros([6, 5, 4]))
    with pytest.raises(
        BadDataError, match=r"train split needs .* with train-images-idx3-ubyte\.gz"
    ):
        idx.find_pairs(str(tmp_path))
    write_mnist(tmp_path)
    write_mnist(tmp_path, prefix="emnist-")
    with pytest.raises(BadDataError, match=r"one data set.*emnist-train-images"):
        idx.find_pairs(str(tmp_path))


def fill(folder, names, image=None):
    image = image or encoded(np.zeros([3, 3]))
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)


def places(folder, **options):
    images, bad = folders.find_images(str(folder), **options)
    return {(one.path, one.split, one.label) for one in images}, {one.position for one in bad}


def test_folders_are_splits_and_classes(tmp_path):
    fill(tmp_path, ["train/cat/1.png", "train/dog/1.png", "test/cat/2.png", "Extra/dog/3.png"])
    assert places(tmp_path) == (
        {
            ("train/cat/1.png", "", "cat"),
            ("train/dog/1.png", "", "dog"),
            ("test/cat/2.png", "test", "cat"),
            ("Extra/dog/3.png", "Extra", "dog"),
        },
        set(),
    )
    fill(tmp_path, ["Validation/cat/4.png"])
    splits = {split for _, split, _ in places(tmp_path)[0]}
    assert splits == {"train", "eval", "test", "Extra"}


def test_folders_are_classes_alone(tmp_path):
    fill(tmp_path, ["cat/1.png", "cat/2.png", "dog/1.png"])
    assert {(split, label) for _, split, label in places(tmp_path)[0]} == {("", "cat"), ("", "dog")}


def test_folders_around_everything_do_not_count(tmp_path):
    fill(tmp_path, ["a/b/cat/1.png", "a/b/dog/1.png", "a/README.txt"])
    images, bad = places(tmp_path)
    assert {label for _, _, label in images} == {"cat", "dog"}
    assert {split for _, split, _ in images} == {""}
    assert bad == {"a/README.txt"}
    # Of one split alone the folder is still a split.
    fill(tmp_path / "one", ["test/cat/1.png", "test/cat/2.png"])
    assert {split for _, split, _ in places(tmp_path / "one")[0]} == {"test"}


def test_stray_hidden_and_deep_files(tmp_path):
    fill(
        tmp_path,
        [
            *[f"train/cat/{number}.png" for number in range(5)],
            "train/stray.png",
            "top.png",
            "train/cat/deep/1.png",
            "train/cat/.DS_Store",
            ".git/cat/1.png",
            "__MACOSX/cat/1.png",
        ],
    )
    images, bad = places(tmp_path)
    assert len(images) == 5
    assert bad == {"train/stray.png", "top.png", "train/cat/deep/1.png"}


def test_limit_takes_the_classes_in_turn(tmp_path):
    fill(tmp_path, [f"train/a/{number}.png" for number in range(9)])
    fill(tmp_path, ["train/b/1.png", *[f"train/c/{number}.png" for number in range(9)]])
    fill(tmp_path, ["test/a/1.png"])
    images, _ = places(tmp_path, limit=6)
    chosen = sorted(path for path, split, _ in images if not split)
    assert chosen == [
        "train/a/0.png",
        "train/a/1.png",
        "train/a/2.png",
        "train/b/1.png",
        "train/c/0.png",
        "train/c/1.png",
    ]
    assert len(images) == 7


def test_images_must_lie_in_folders_of_classes(tmp_path):
    with pytest.raises(BadDataError, match="does not exist"):
        folders.find_images(str(tmp_path / "nowhere"))
    fill(tmp_path, ["1.png", "2.png"])
    with pytest.raises(BadDataError, match="with 2 files, most of which do not"):
        folders.find_images(str(tmp_path))
    (tmp_path / "broken.zip").write_bytes(b"PK no zip")
    with pytest.raises(BadDataError, match=r"must be whole.*broken\.zip"):
        folders.find_images(str(tmp_path / "broken.zip"))


@pytest.mark.parametrize("zipped", [True, False])
def test_image_files_keep_their_bytes_and_bad_ones_say_why(read, tmp_path, zipped):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (12, 10, 3))
    jpeg = encoded(pixels, "JPEG")
    palette = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).quantize(8).save(palette, "BMP")
    files = {
        "train/cat/1.jpg": jpeg,
        "train/cat/2.png": encoded(pixels[..., 0]),
        "train/dög/1.gif": encoded(pixels[..., 0], "GIF"),
        "test/cat/1.bmp": encoded(pixels, "BMP"),
        "test/cat/empty.png": b"",
        "test/cat/cut.jpg": jpeg[:-40],
        "test/cat/notes.txt": b"some text",
        "test/cat/palette.bmp": palette.getvalue(),
        "test/cat/1.tiff": encoded(pixels, "TIFF"),
        "test/stray.png": encoded(pixels),
    }
    source = tmp_path / "data.zip" if zipped else tmp_path / "data"
    if zipped:
        with zipfile.ZipFile(source, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
            archive.writestr("train/../../evil/1.png", b"x")
            archive.writestr("__MACOSX/train/cat/._1.jpg", b"x")
    else:
        for name, content in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content)

    found, bad = read("images", source, splits={"train": 1})
    got = {
        one["id"][0].decode(): (split, one["label"][0].decode(), one["image"][0])
        for split, examples in found.items()
        for one in examples
    }
    assert got == {
        "train/cat/1.jpg": ("train", "cat", files["train/cat/1.jpg"]),
        "train/cat/2.png": ("train", "cat", files["train/cat/2.png"]),
        "train/dög/1.gif": ("train", "dög", files["train/dög/1.gif"]),
        "test/cat/1.bmp": ("test", "cat", files["test/cat/1.bmp"]),
    }
    reasons = {row["position"]: row["reason"] for row in bad}
    expected = {
        "test/cat/empty.png": "empty file",
        "test/cat/cut.jpg": "is truncated",
        "test/cat/notes.txt": "cannot identify image",
        "test/cat/palette.bmp": "BMP of mode P",
        "test/cat/1.tiff": "cannot identify image",
        "test/stray.png": "<split>/<class>/<file>",
    }
    if zipped:
        expected["train/../../evil/1.png"] = "lead down"
    assert reasons.keys() == expected.keys()
    for position, part in expected.items():
        assert part in reasons[position]
    assert {row["source"] for row in bad} == {source.name}


def test_a_small_file_with_too_many_pixels_is_refused(read, tmp_path):
    fill(tmp_path, ["a/1.png", "b/1.png"])
    huge = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(huge, "PNG")
    (tmp_path / "b" / "huge.png").write_bytes(huge.getvalue())
    found, bad = read("images", tmp_path, splits={"train": 1})
    assert len(found["train"]) == 2
    assert [row["position"] for row in bad] == ["b/huge.png"]
    assert "10000 × 10000 pixels" in bad[0]["reason"]


def test_copies_of_an_image_fall_into_one_split(read, tmp_path):
    random = np.random.default_rng(0)
    for number in range(20):
        image = encoded(random.integers(0, 256, (3, 3)))
        fill(tmp_path, [f"a/{number}.png", f"b/{number}.png"], image)
    found, _ = read("images", tmp_path, splits={"train": 1, "eval": 1})
    images = {split: {one["image"][0] for one in examples} for split, examples in found.items()}
    assert len(images["train"]) + len(images["eval"]) == 20
    assert images["train"]
    assert images["eval"]


@pytest.fixture(scope="module")
def tfds_folder(tmp_path_factory):
    """A prepared data set of 30 training and 6 test images."""
    import tensorflow_datasets as tfds

    class TinyDigits(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        # Without it TFDS looks for checksums of downloads, with a package it does not require.
        url_infos = {}  # noqa: RUF012

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(6, 5, 1)),
                "label": tfds.features.ClassLabel(names=["zero", "one", "two"]),
            }
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(features),
                supervised_keys=("image", "label"),
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(30), "test": self._generate_examples(6)}

        def _generate_examples(self, count):
            for number in range(count):
                image = np.full((6, 5, 1), number, np.uint8)
                yield number, {"image": image, "label": number % 3}

    folder = str(tmp_path_factory.mktemp("tfds"))
    tfds.disable_progress_bar()
    TinyDigits(data_dir=folder).download_and_prepare()
    return folder


@pytest.mark.parametrize(("limit", "count"), [(0, 30), (20, 20)])
def test_tfds_images_come_as_they_are_stored(read, tfds_folder, limit, count):
    parameters = {"dataset": "tiny_digits", "splits": {"train": 1}, "limit": limit}
    found, bad = read("tfds", tfds_folder, **parameters)
    assert not bad
    assert {split: len(some) for split, some in found.items()} == {"train": count, "test": 6}
    for one in [*found["train"], *found["test"]]:
        pixels = decoded(one["image"][0])
        assert pixels.shape == (6, 5)
        name = ["zero", "one", "two"][pixels[0, 0] % 3]
        assert one["label"] == [name.encode()]
    assert len({one["id"][0] for one in found["train"]}) == count


def test_a_tfds_data_set_must_be_prepared(tfds_folder):
    with pytest.raises(BadDataError, match=r"not in .*download_and_prepare\(\)"):
        transforms.ReadTfds(TfdsOptions(dataset="mnist"), tfds_folder)
    with pytest.raises(BadDataError, match="must name a data set of TFDS"):
        transforms.ReadTfds(TfdsOptions(dataset="no_such_data_set"), tfds_folder)


def test_schema_of_images_is_loose_enough(execute, tmp_path):
    from methodical.components.example_validator.component import ExampleValidator
    from methodical.components.schema_gen.component import SchemaGen
    from methodical.components.statistics_gen import statistics_proto
    from methodical.components.statistics_gen.component import StatisticsGen

    random = np.random.default_rng(0)
    for number in range(240):
        kind = ("JPEG", "PNG", "GIF", "BMP")[number // 2 % 4]
        image = encoded(random.integers(0, 256, (9, 9)), kind)
        split = "train" if number % 6 else "test"
        fill(tmp_path, [f"data/{split}/{'ab'[number % 2]}/{number}"], image)
    examples = execute(
        ExampleGen,
        functions={"read": transforms.ReadImages},
        options=[FolderOptions],
        data_dir=str(tmp_path / "data"),
        folder="examples",
    ).outputs["examples"]
    inputs = {"examples": examples}
    statistics = execute(StatisticsGen, inputs, folder="statistics").outputs["statistics"]
    inputs["statistics"] = statistics
    schema = execute(SchemaGen, {"statistics": statistics}, folder="schema").outputs["schema"]
    anomalies = execute(ExampleValidator, {**inputs, "schema": schema}, folder="validator")
    assert anomalies.summary.startswith("0 anomalies")
    train = statistics_proto.read(statistics.path("Split-train", "FeatureStats.pb"))
    (image,) = (one for one in train.features if one.path.step[0] == "image")
    assert image.type == statistics_proto._Feature.BYTES
    assert image.bytes_stats.unique == train.num_examples
    assert 0 < image.bytes_stats.min_num_bytes < image.bytes_stats.max_num_bytes
    with open(schema.path("schema.pbtxt")) as reader:
        text = reader.read()
    assert text.count("string_domain") == 1
    assert 'value: "a"' in text
