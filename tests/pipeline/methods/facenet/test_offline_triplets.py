"""Offline triplets: chosen on Beam as NumPy enumerates them, bounded, written and read again."""

import os
import re

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from methodical.components.base.artifacts import Examples, TransformGraph
from methodical.components.data.faces.faces import Faces
from methodical.components.io import example_proto, tfrecord
from methodical.pipeline.methods.facenet import offline_triplets

SHAPE = (4, 3, 1)
_OTHERS = ("positives", "negatives")
PROJECTION = np.random.default_rng(7).normal(size=(12, 5)).astype(np.float32)


def embed(images):
    vectors = images.reshape(len(images), -1) @ PROJECTION
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def data(write_examples, tmp_path):
    """70 images of 15 identities, in two shards."""
    random = np.random.default_rng(0)
    examples = []
    for number in range(70):
        who = number % 15 if number < 60 else number
        pixels = np.clip(random.normal(60 + 9 * (who % 15), 50, SHAPE), 0, 255).astype(np.uint8)
        examples.append(
            {
                "pixels": [pixels.tobytes()],
                "label": [who],
                "identity": [f"P{who:02d}"],
                "id": [f"P{who:02d}/{number:03d}"],
                "partners": [],
                "folds": [],
            }
        )
    graph = TransformGraph(str(tmp_path / "graph"))
    (tmp_path / "graph" / "assets").mkdir(parents=True)
    with open(graph.asset_path("image_shape"), "w") as writer:
        writer.writelines(f"{size}\n" for size in SHAPE)
    found = Faces(write_examples({"train": examples}, shards=2), graph)
    pixels = {one["id"][0]: np.frombuffer(one["pixels"][0], np.uint8) for one in examples}
    return found, pixels


def written(folder):
    """Returns the ids of the triplets by file."""
    return {
        path.name: [
            tuple(example_proto.decode(one)[role][0].decode() for role in offline_triplets._ROLES)
            for one in tfrecord.read_records(str(path))
        ]
        for path in sorted(folder.glob("*.gz"))
    }


def brute_force(names, pixels, margin, positives, negatives):
    """Returns the triplets of some images, anchor by anchor, in loops."""
    vectors = {name: embed(pixels[name].reshape(1, *SHAPE) / np.float32(255))[0] for name in names}
    who = {name: name.split("/")[0] for name in names}

    def distance(one, other):
        return float(((vectors[one] - vectors[other]) ** 2).sum())

    found = []
    for anchor in names:
        mates = [name for name in names if who[name] == who[anchor] and name != anchor]
        others = [name for name in names if who[name] != who[anchor]]
        if not mates or not others:
            continue
        if positives == "hard":
            mates = [max(mates, key=lambda name: distance(anchor, name))]
        for mate in mates:
            farther = [one for one in others if distance(anchor, one) > distance(anchor, mate)]
            if negatives == "hard":
                other = min(others, key=lambda name: distance(anchor, name))
            elif farther:
                other = min(farther, key=lambda name: distance(anchor, name))
            else:
                other = max(others, key=lambda name: distance(anchor, name))
            if distance(anchor, other) < distance(anchor, mate) + margin:
                found.append((anchor, mate, other))
    return found


@pytest.mark.parametrize(
    ("positives", "negatives", "subset_images"),
    [("hard", "semi_hard", 1000), ("hard", "hard", 30), ("all", "semi_hard", 25)],
)
def test_triplets_equal_those_of_loops(data, tmp_path, positives, negatives, subset_images):
    data, pixels = data
    rows = offline_triplets.write_triplets(
        data,
        "train",
        embed,
        str(tmp_path / "out"),
        subset_images=subset_images,
        margin=0.3,
        positives=positives,
        negatives=negatives,
        seed=4,
    )
    number = -(-70 // subset_images)
    names = sorted(pixels)
    expected = {}
    for subset in range(number):
        some = [
            name
            for name in names
            if offline_triplets.subset_of(name.split("/")[0].encode(), 4, number) == subset
        ]
        if some:
            file = f"triplets-{subset:05d}-of-{number:05d}.gz"
            expected[file] = brute_force(some, pixels, 0.3, positives, negatives)
    found = written(tmp_path / "out")
    assert found == expected
    assert sum(map(len, found.values())) > 10
    assert [row["triplets"] for row in rows] == [len(some) for some in expected.values()]
    assert sum(row["images"] for row in rows) == 70


def test_subsets_are_bounded_and_keep_whole_people(data, tmp_path):
    data, _ = data
    folder = tmp_path / "out"
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        _ = (
            pipeline
            | beam.Create(data.transformed.files("train"))
            | beam.ParDo(offline_triplets.EmbedFaces(embed, SHAPE))
            | offline_triplets.MineTriplets(
                str(folder), 2, subset_images=14, positives="all", margin=4.0
            )
            | beam.Map(_check_row)
        )
    found = written(folder)
    assert len(found) == 2
    for triplets in found.values():
        names = {name for one in triplets for name in one}
        assert len(names) <= 14
        people = [name.split("/")[0] for name in names]
        # All but the last person of a subset are there with the four images that they have.
        fewer = [who for who in set(people) if int(who[1:]) < 15 and people.count(who) < 4]
        assert len(fewer) <= 1


def _check_row(row):
    assert row["images"] == 14


def test_another_seed_makes_other_subsets_and_old_files_go(data, tmp_path):
    data, _ = data
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mine.txt").write_text("kept")
    (folder / "triplets-00007-of-00009.gz").write_bytes(b"old")
    found = []
    for seed in (0, 0, 1):
        offline_triplets.write_triplets(data, "train", embed, str(folder), 20, seed=seed)
        found.append(written(folder))
    assert found[0] == found[1] != found[2]
    assert "triplets-00007-of-00009.gz" not in found[0]
    assert (folder / "mine.txt").read_text() == "kept"


class _Model(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.float32, name="images")])
    def embed(self, images):
        return {"embedding": tf.math.l2_normalize(tf.reshape(images, [-1, 12]) @ PROJECTION, 1)}


def test_a_saved_model_embeds_alike(data, tmp_path):
    data, _ = data
    model = _Model()
    tf.saved_model.save(model, str(tmp_path / "model"), {"serving_images": model.embed})
    for name, function in (("one", embed), ("other", str(tmp_path / "model"))):
        offline_triplets.write_triplets(data, "train", function, str(tmp_path / name), 40)
    assert written(tmp_path / "one") == written(tmp_path / "other") != {}
    tf.saved_model.save(model, str(tmp_path / "without"), {"serving_default": model.embed})
    with pytest.raises(ValueError, match=r"serving_images.*Received: .* with serving_default"):
        offline_triplets.load_embed(str(tmp_path / "without"))


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_are_anchors_positives_negatives(data, tmp_path, seed):
    data, pixels = data
    folder = tmp_path / "out"
    offline_triplets.write_triplets(data, "train", embed, str(folder), 30, margin=1.0)
    by_pixels = {one.tobytes(): name for name, one in pixels.items()}
    triplets = [one for some in written(folder).values() for one in some]

    def read(seed, **options):
        dataset = offline_triplets.triplet_batches(str(folder), SHAPE, 4, seed, **options)
        assert dataset.element_spec.shape == (12, *SHAPE)
        found = []
        for images in dataset.take(3 * len(triplets)):
            raw = np.rint(images.numpy() * 255).astype(np.uint8)
            names = [by_pixels[one.tobytes()] for one in raw]
            found += zip(names[:4], names[4:8], names[8:], strict=True)
        return found

    found = read(seed)
    assert len(found) == len(triplets) // 4 * 4 > 0
    assert set(found) <= set(triplets)
    assert len(set(found)) == len(found)
    assert (found == triplets[: len(found)]) == (seed is None)
    if seed is not None:
        assert found == read(seed) != read(seed + 1)
        assert len(read(seed, repeat=True)) == 12 * len(triplets)


def test_the_example_of_the_documentation_runs(data, tmp_path, monkeypatch):
    data, pixels = data
    monkeypatch.chdir(tmp_path)
    folder = "artifacts/facenet/Transform/5"
    os.makedirs(folder)
    os.rename(data.transformed.uri, f"{folder}/transformed_examples")
    os.rename(data.transform_graph.uri, f"{folder}/transform_graph")
    Examples(f"{folder}/transformed_examples", data.transformed.properties).write_manifest()
    model = _Model()
    tf.saved_model.save(model, "serving/facenet/1", {"serving_images": model.embed})
    (example,) = re.findall(r"```python\n(.*?)```", offline_triplets.__doc__, re.DOTALL)
    found = {}
    exec(compile(example, offline_triplets.__file__, "exec"), found)
    (row,) = found["rows"]
    assert row["images"] == len(pixels)
    assert row["triplets"] >= 8
    apart = [((found["anchors"] - found[name]) ** 2).numpy().sum(axis=1) for name in _OTHERS]
    assert apart[0].shape == (8,)
    assert (apart[1] < apart[0] + 0.2).all()


def test_folders_and_models_that_will_not_do_are_told(data, tmp_path):
    with pytest.raises(ValueError, match="must have files of triplets"):
        offline_triplets.triplet_batches(str(tmp_path), SHAPE, 4)
    with pytest.raises(ValueError, match="Received: subsets=0"):
        offline_triplets.MineTriplets(str(tmp_path), 0)
    faces = offline_triplets.EmbedFaces(lambda images: images, SHAPE)
    faces.setup()
    (path, _) = data[0].transformed.files("train")
    with pytest.raises(ValueError, match="into embeddings"):
        list(faces.process(path))
