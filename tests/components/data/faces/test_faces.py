"""Balanced batches, whole splits and verification pairs of transformed faces."""

import collections

import numpy as np
import pytest
import tensorflow as tf
from methodical.components.base.artifacts import TransformGraph
from methodical.components.data.faces import faces
from methodical.components.data.faces.faces import Faces
from methodical.components.data.faces.identity_batches import IdentityBatches, most_identities

SHAPE = (4, 3, 2)
COUNTS = [1, 7, 2, 4, 3, 1, 12, 2, 5, 1, 4, 9]
BOTH = pytest.mark.parametrize("most_in_memory", [1 << 29, 0], ids=["held", "streamed"])


def examples_of(counts, first_label=0, seed=0):
    """Returns examples of so many images of each identity; its number is the first pixel."""
    random = np.random.default_rng(seed)
    made = []
    for who, count in enumerate(counts):
        for number in range(count):
            pixels = random.integers(0, 256, SHAPE).astype(np.uint8)
            pixels[0, 0] = who, number
            made.append(
                {
                    "pixels": [pixels.tobytes()],
                    "label": [first_label + who if first_label >= 0 else -1],
                    "identity": [f"P{who}"],
                    "id": [f"P{who}/P{who}_{number:04d}"],
                    "partners": [],
                    "folds": [],
                }
            )
    return made


@pytest.fixture
def data(write_examples, tmp_path):
    """Training images of 12 identities in three shards, others with pairs, and an empty split."""
    test = examples_of([3, 2, 2], first_label=-1, seed=1)
    test[0] |= {"partners": [b"P0/P0_0002", b"P2/P2_0001"], "folds": [1, 0]}
    test[4] |= {"partners": [b"P2/P2_0000", b"P9/P9_0009"], "folds": [0, 0]}
    graph = TransformGraph(str(tmp_path / "graph"))
    (tmp_path / "graph" / "assets").mkdir(parents=True)
    for name, lines in (
        ("image_shape", SHAPE),
        ("identities", [f"P{who}" for who in range(12)]),
        ("crop", ['{"fraction": 1.0}']),
    ):
        with open(graph.asset_path(name), "w") as writer:
            writer.writelines(f"{line}\n" for line in lines)

    # Images of an identity lie together in a shard, as ExampleGen writes them.
    train = examples_of(COUNTS)
    parts = [[one for one in train if one["label"][0] % 3 == shard] for shard in range(3)]
    longest = max(map(len, parts))
    examples = write_examples({"train": train, "test": test, "eval": []})
    _write_shards(examples, parts)
    assert longest < len(train)
    return Faces(examples, graph)


def _write_shards(examples, parts):
    import shutil

    from methodical.components.beam import shards
    from methodical.components.io import example_proto

    shutil.rmtree(examples.path("Split-train"))
    for shard, part in enumerate(parts):
        encoded = [example_proto.encode(one) for one in part]
        shards.write_shard(examples.uri, "train", shard, len(parts), encoded)


def ids_of(images):
    """Returns identity and number of images."""
    pixels = np.rint(np.asarray(images) * 255).astype(int)
    return [(int(one[0]), int(one[1])) for one in pixels[:, 0, 0]]


def batches_of(dataset, count=-1):
    return [(ids_of(images), labels.numpy().tolist()) for images, labels in dataset.take(count)]


@BOTH
def test_batches_have_k_different_images_of_p_identities(data, most_in_memory):
    kept = [who for who, count in enumerate(COUNTS) if count > 1]
    dataset = data.balanced_batches(
        "train", identities=3, images=2, seed=1, repeat=False, most_in_memory=most_in_memory
    )
    found = batches_of(dataset)
    assert len(found) == len(dataset) == 3
    seen = []
    for ids, labels in found:
        assert labels == [who for who, _ in ids]
        assert len(set(ids)) == 6
        # One identity after another.
        assert labels == [labels[0]] * 2 + [labels[2]] * 2 + [labels[4]] * 2
        seen += labels[::2]
    assert len(set(seen)) == 9
    assert set(seen) == set(kept)


@BOTH
def test_where_images_are_few_a_batch_has_more_identities(data, most_in_memory):
    dataset = data.balanced_batches(
        "train", identities=3, images=4, repeat=False, most_in_memory=most_in_memory
    )
    found = batches_of(dataset)
    # 4 + 2 + 4 + 3 + 4 + 2 + 4 + 4 + 4 images in a pass.
    assert len(found) == 31 // 12 == 2
    ids = [one for some, _ in found for one in some]
    assert len(set(ids)) == 24
    counts = collections.Counter(who for who, _ in ids)
    assert all(count <= min(4, COUNTS[who]) for who, count in counts.items())
    assert all(number < COUNTS[who] for who, number in ids)


@BOTH
def test_passes_differ_and_a_seed_repeats_them(data, most_in_memory):
    def drawn(seed, **options):
        dataset = data.balanced_batches(
            "train", 3, 2, seed=seed, most_in_memory=most_in_memory, **options
        )
        return batches_of(dataset, 9 if options.get("repeat", True) else -1)

    first = drawn(5)
    assert first == drawn(5)
    assert first != drawn(6)
    assert first[:3] == drawn(5, repeat=False)
    # Three passes: each has all the identities, and with time all images come.
    for number in range(3):
        some = {who for ids, _ in first[3 * number : 3 * number + 3] for who, _ in ids}
        assert len(some) == 9
    assert first[:3] != first[3:6]


@BOTH
def test_the_global_seed_changes_nothing(data, most_in_memory):
    def drawn(global_seed):
        tf.random.set_seed(global_seed)
        dataset = data.balanced_batches("train", 3, 2, seed=4, most_in_memory=most_in_memory)
        return batches_of(dataset, 6)

    assert drawn(0) == drawn(7)


@BOTH
def test_all_images_come_in_time_each_as_often(data, most_in_memory):
    dataset = data.balanced_batches("train", 3, 2, most_in_memory=most_in_memory)
    counts = collections.Counter(one for ids, _ in batches_of(dataset, 150) for one in ids)
    assert len(counts) == sum(count for count in COUNTS if count > 1)
    for (who, _), count in counts.items():
        # 50 passes, each with two images of each identity.
        expected = 100 / COUNTS[who]
        assert abs(count - expected) <= 5 * np.sqrt(expected)
        if COUNTS[who] == 2:
            assert count == 50


def test_both_ways_draw_the_same_images_of_a_pass(data):
    ways = [
        data.balanced_batches("train", 3, 2, seed=2, most_in_memory=most) for most in (1 << 29, 0)
    ]
    held, streamed = ([batches_of(way, 9)] for way in ways)
    for number in range(3):
        one, other = (
            {image for ids, _ in way[0][3 * number : 3 * number + 3] for image in ids}
            for way in (held, streamed)
        )
        assert one == other


def test_vectors_take_the_place_of_the_images_they_belong_to(data):
    images = data.array("train")[0]
    vectors = np.stack([images[:, 0, 0, 0], images[:, 0, 0, 1]], axis=1).astype("float32") / 2
    of_images = data.balanced_batches("train", 3, 2, seed=2, singles=1)
    of_vectors = data.balanced_batches("train", 3, 2, seed=2, singles=1, vectors=vectors)
    assert of_vectors.element_spec[0].shape == (7, 2)
    for (pixels, labels), (rows, same) in zip(of_images.take(8), of_vectors.take(8), strict=True):
        np.testing.assert_array_equal(labels, same)
        np.testing.assert_allclose(2 * rows, 255 * pixels[:, 0, 0].numpy(), atol=1e-4)
    with pytest.raises(ValueError, match=r"each of the 51 images.*'train'.*Received: 50 vectors"):
        data.balanced_batches("train", 3, 2, vectors=vectors[1:])


def test_a_streamed_pass_holds_the_pixels_that_were_written(data):
    whole, _, _ = data.array("train")
    expected = {tuple(one[0, 0]): one for one in whole}
    for most in (1 << 29, 0):
        for images, _ in data.balanced_batches("train", 3, 2, most_in_memory=most).take(4):
            for image in images.numpy():
                pixels = np.rint(image * 255).astype(np.uint8)
                np.testing.assert_array_equal(pixels, expected[tuple(pixels[0, 0])])
                assert image.dtype == np.float32


def test_a_large_split_is_never_read_whole(data, monkeypatch):
    monkeypatch.setattr(Faces, "array", None)
    dataset = data.balanced_batches("train", 3, 2, most_in_memory=0)
    assert len(batches_of(dataset, 4)) == 4
    with pytest.raises(TypeError):
        data.balanced_batches("train", 3, 2)


@BOTH
def test_singles_are_negatives_at_the_end(data, most_in_memory):
    dataset = data.balanced_batches(
        "train", 3, 2, singles=2, repeat=False, most_in_memory=most_in_memory
    )
    assert dataset.element_spec[0].shape == (8, *SHAPE)
    found = batches_of(dataset)
    assert len(found) == 3
    for ids, labels in found:
        assert labels == [who for who, _ in ids]
        assert all(COUNTS[who] > 1 for who in labels[:6])
        assert all(COUNTS[who] == 1 for who in labels[6:])
        assert len(set(labels[6:])) == 2


@BOTH
def test_a_split_of_strangers_has_labels_of_its_own(data, most_in_memory):
    dataset = data.balanced_batches("test", 3, 2, repeat=False, most_in_memory=most_in_memory)
    ((ids, labels),) = batches_of(dataset)
    assert sorted(set(labels)) == [0, 1, 2]
    assert len({(who, label) for (who, _), label in zip(ids, labels, strict=True)}) == 3


@pytest.mark.parametrize(
    ("split", "arguments", "match"),
    [
        ("train", (10, 4), r"10 × 4 images.*Received: 31 images in a pass, of 9 identities"),
        ("train", (2, 1), "images >= 2.*Received: identities=2, images=1"),
        ("train", (0, 2), "identities >= 1"),
        ("eval", (2, 2), "Received: 0 images in a pass"),
    ],
)
def test_batches_that_cannot_be_are_refused(data, split, arguments, match):
    with pytest.raises(ValueError, match=match):
        data.balanced_batches(split, *arguments)


def test_the_largest_batch_is_one_that_can_be(data):
    counts = data.identity_counts("train")
    assert sorted(counts) == sorted(COUNTS)
    assert data.identity_counts("eval").tolist() == []
    for images in (2, 3, 4, 7):
        most = most_identities(counts, images)
        next(iter(data.balanced_batches("train", most, images)))
        with pytest.raises(ValueError, match="in a pass, of 9 identities"):
            data.balanced_batches("train", most + 1, images)


def test_more_singles_than_there_are_are_refused(data):
    with pytest.raises(ValueError, match="Received: singles=4, 3 of them"):
        data.balanced_batches("train", 2, 2, singles=4)


def test_draws_are_uniform_over_images_and_orders():
    indices = np.repeat(np.arange(4), [3, 5, 2, 1])
    draws = IdentityBatches(indices, identities=2, images=2)
    assert (draws.pass_images, draws.batches_per_pass) == (6, 1)
    seen = collections.Counter()
    first = collections.Counter()
    for number in range(3000):
        chosen, singles = draws.drawn(number)
        assert singles.tolist() == [10]
        assert indices[chosen].reshape(3, 2).std(axis=1).max() == 0
        first[indices[chosen[0]]] += 1
        seen.update(chosen.tolist())
    for place, expected in zip(range(10), [2000] * 3 + [1200] * 5 + [3000] * 2, strict=True):
        assert abs(seen[place] - expected) < 5 * np.sqrt(expected)
    assert all(abs(first[who] - 1000) < 150 for who in range(3))


def test_splits_are_read_in_file_order(data, monkeypatch):
    monkeypatch.setattr(faces, "_PARSED_AT_ONCE", 4)
    images, identities, ids = data.array("train")
    assert images.shape == (sum(COUNTS), *SHAPE)
    assert images.dtype == np.uint8
    assert identities.tolist() == [f"P{who}".encode() for who in images[:, 0, 0, 0]]
    names = [f"P{who}/P{who}_{number:04d}".encode() for who, number in images[:, 0, 0]]
    assert ids.tolist() == names
    assert data.image_shape == SHAPE
    assert data.identities[:2] == ["P0", "P1"]
    assert (data.count("train"), data.count("eval")) == (sum(COUNTS), 0)
    sizes = []
    for some, names, ids, pairs in data.parsed("test", 3):
        assert len(some) == len(names) == len(ids) == len(pairs)
        sizes.append(len(some))
        if len(sizes) == 1:
            assert pairs == [[(b"P0/P0_0002", 1), (b"P2/P2_0001", 0)], [], []]
            assert ids.tolist()[0] == b"P0/P0_0000"
    assert sizes == [3, 3, 1]


def test_verification_pairs_are_places_and_lost_ones_are_counted(data):
    found = data.verification_pairs("test")
    assert found.first.tolist() == [0, 4, 0]
    assert found.second.tolist() == [6, 5, 2]
    assert found.same.tolist() == [False, False, True]
    assert found.folds.tolist() == [0, 0, 1]
    assert found.lost == 1
    none = data.verification_pairs("train")
    assert len(none.first) == len(none.same) == none.lost == 0
    assert none.same.dtype == bool
