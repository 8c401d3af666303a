"""Ratings from all four sources, through ExampleGen: what arrives and what does not."""

import gzip
import hashlib
import io
import json
import tarfile
import zipfile

import numpy as np
import pytest
from methodical.components.base.errors import BadDataError
from methodical.components.data.ratings import folds, simulator, transforms
from methodical.components.data.ratings.options import (
    FoldOptions,
    MovieLensOptions,
    SimulatorOptions,
    TextOptions,
    TfdsOptions,
)
from methodical.components.example_gen.component import ExampleGen
from methodical.components.io import example_proto, tfrecord

SOURCES = {
    "simulated": (lambda parameters, data_dir: transforms.Simulate(parameters), SimulatorOptions),
    "movielens": (transforms.ReadMovieLens, MovieLensOptions),
    "text": (transforms.ReadText, TextOptions),
    "tfds": (transforms.ReadTfds, TfdsOptions),
}


@pytest.fixture
def read(execute):
    """Runs ExampleGen and returns the decoded examples by user, then the dead letters."""

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
        run.counters = context.counters
        examples = context.outputs["examples"]
        assert list(examples.splits) == ["train"]
        found = [
            example_proto.decode(record)
            for path in examples.files("train")
            for record in tfrecord.read_records(path)
        ]
        by_user = {one["user"][0].decode(): one for one in found}
        assert len(by_user) == len(found)
        with open(examples.path("dead_letters.jsonl")) as reader:
            return by_user, [json.loads(line) for line in reader]

    return run


def triples(found):
    """The ratings as a dict from user and item to rating, timestamp and fold."""
    return {
        (user, item.decode()): (rating, time, fold)
        for user, one in found.items()
        for item, rating, time, fold in zip(
            one["items"],
            one["ratings"],
            one["timestamps"] or [None] * len(one["items"]),
            one["folds"],
            strict=True,
        )
    }


def test_simulated_ratings_are_those_of_the_known_factors(read):
    size = {"users": 600, "items": 90, "ratings": 9000, "rank": 3, "noise": 0.0, "step": 0.0}
    found, bad = read("simulated", **size)
    assert not bad
    assert read.counters["records"] == 9000
    assert len(found) == 600
    ratings = triples(found)
    assert len(ratings) == 9000
    weights, tastes = simulator.factors(SimulatorOptions(**size))
    assert weights.shape == (600, 3)
    assert tastes.shape == (3, 90)
    assert min(weights.min(), tastes.min()) >= 0
    true = np.clip(weights @ tastes, 1, 5)
    for (user, item), (rating, _, _) in ratings.items():
        assert rating == pytest.approx(true[int(user[1:]) - 1, int(item[1:]) - 1], abs=1e-5)
    for one in found.values():
        assert one["timestamps"] == sorted(one["timestamps"])


def test_simulated_noise_is_rounded_and_has_the_asked_spread():
    options = SimulatorOptions(users=500, items=300, ratings=40_000, noise=0.5, affinity=0.0)
    drawn = [one for block in (0, 1) for one in simulator.simulate_block(options, block)]
    weights, tastes = simulator.factors(options)
    ratings = np.concatenate([one.ratings for one in drawn])
    assert set(ratings) == {1.0, 2.0, 3.0, 4.0, 5.0}
    true = np.concatenate([(weights @ tastes)[one.user, one.items] for one in drawn])
    inner = (true > 2.5) & (true < 3.5)
    # Rounding to whole stars adds the variance of a uniform number.
    expected = np.sqrt(0.5**2 + 1 / 12)
    assert np.std((ratings - true)[inner]) == pytest.approx(expected, rel=0.03)


def test_popularity_and_taste_choose_what_is_rated():
    def drawn(**more):
        options = SimulatorOptions(users=1000, items=200, ratings=20_000, **more)
        some = [one for block in range(4) for one in simulator.simulate_block(options, block)]
        true = np.matmul(*simulator.factors(options))
        counts = np.bincount(np.concatenate([one.items for one in some]), minlength=200)
        chosen = np.mean(np.concatenate([true[one.user, one.items] for one in some]))
        return np.sort(counts)[::-1], chosen - true.mean()

    flat, by_chance = drawn(skew=0.0, affinity=0.0)
    skewed, _ = drawn(skew=1.0, affinity=0.0)
    _, by_taste = drawn(skew=0.0, affinity=2.0)
    assert flat[:20].sum() < 2600
    assert skewed[:20].sum() > 5000
    assert abs(by_chance) < 0.03
    assert by_taste > 0.3


@pytest.mark.parametrize(
    ("users", "items", "ratings"), [(3, 4, 12), (300, 5, 301), (1, 1, 1), (251, 40, 251)]
)
def test_the_simulator_gives_as_many_ratings_as_asked(users, items, ratings):
    options = SimulatorOptions(users=users, items=items, ratings=ratings)
    blocks = range(-(-users // simulator.USERS_PER_BLOCK))
    drawn = [one for block in blocks for one in simulator.simulate_block(options, block)]
    assert [one.user for one in drawn] == list(range(users))
    assert sum(len(one.items) for one in drawn) == ratings
    for one in drawn:
        assert 1 <= len(one.items) == len(set(one.items.tolist()))


def test_a_simulation_depends_on_its_seed_alone(read):
    size = {"users": 260, "items": 30, "ratings": 2000}
    first = read("simulated", **size)
    assert read("simulated", **size, shards=2)[0] == first[0]
    assert read("simulated", **size, seed=1)[0] != first[0]


def test_impossible_simulations_are_refused():
    with pytest.raises(ValueError, match=r"from 10 to 50\. Received: 51"):
        SimulatorOptions(users=10, items=5, ratings=51)
    with pytest.raises(ValueError, match="must not be negative"):
        SimulatorOptions(min_rating=-1)
    with pytest.raises(ValueError, match="must be below"):
        SimulatorOptions(min_rating=5)


def test_folds_are_those_of_the_hash():
    items = [f"item {number}" for number in range(2000)]
    found = folds.assign_folds(FoldOptions(folds=4, seed=7), "ü", items, [])
    expected = [
        int.from_bytes(hashlib.sha256(f"7/ü/{item}".encode()).digest()[:8], "big") % 4
        for item in items
    ]
    assert found == expected
    assert min(map(found.count, range(4))) > 430
    assert folds.assign_folds(FoldOptions(folds=4), "ü", items, []) != found


def test_leave_one_out_takes_the_last():
    options = FoldOptions(split_by="leave_one_out")
    assert folds.assign_folds(options, "a", ["x", "y", "z"], [5, 9, 7]) == [-1, 0, -1]
    assert folds.assign_folds(options, "a", ["x"], [5]) == [-1]
    by_hash = folds.assign_folds(options, "a", ["x", "y", "z"], [])
    assert sorted(by_hash) == [-1, -1, 0]
    assert folds.assign_folds(options, "a", ["z", "y", "x"], [3, 3, 3]) == by_hash[::-1]
    others = {
        folds.assign_folds(options, user, ["x", "y", "z"], []).index(0) for user in "abcdefgh"
    }
    assert others == {0, 1, 2}


RATINGS = [
    ("1", "10", 5, 100),
    ("2", "10", 3, 50),
    ("1", "20", 1, 90),
    ("3", "30", 4, 70),
    ("2", "20", 2, 60),
    ("1", "30", 4, 80),
]


def lines(rows, delimiter="\t"):
    return "".join(f"{delimiter.join(map(str, row))}\n" for row in rows)


def write_movielens(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "u.data").write_text(lines(RATINGS))
    for number in range(5):
        (folder / f"u{number + 1}.test").write_text(lines(RATINGS[number : number + 1]))
    (folder / "ua.test").write_text(lines(RATINGS[:2]))
    (folder / "ub.test").write_text(lines(RATINGS[3:4]))
    (folder / "u.item").write_bytes("10|Amélie\n".encode("latin-1"))


def packed(tmp_path, kind):
    folder = tmp_path / "ml-100k"
    write_movielens(folder)
    if kind == "folder":
        return folder
    path = tmp_path / f"ml.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for one in sorted(folder.iterdir()):
                archive.write(one, f"ml-100k/{one.name}")
    else:
        with tarfile.open(path, f"w:{kind[-2:]}") as archive:
            archive.add(folder, "ml-100k")
    return path


@pytest.mark.parametrize("kind", ["folder", "tar.gz", "tar.xz", "zip"])
def test_movielens_with_its_published_folds(read, tmp_path, kind):
    path = packed(tmp_path, kind)
    found, bad = read("movielens", path)
    assert not bad
    assert read.counters["records"] == 6
    assert triples(found) == {
        (user, item): (rating, time, number if number < 5 else -1)
        for number, (user, item, rating, time) in enumerate(RATINGS)
    }
    assert found["1"]["items"] == [b"10", b"20", b"30"]


def test_other_folds_of_movielens(read, tmp_path):
    write_movielens(tmp_path)
    found, _ = read("movielens", tmp_path, split_by="published_ab")
    assert [fold for _, _, fold in map(triples(found).get, [row[:2] for row in RATINGS])] == [
        0,
        0,
        -1,
        1,
        -1,
        -1,
    ]
    found, _ = read("movielens", tmp_path, split_by="leave_one_out")
    assert {pair for pair, (_, _, fold) in triples(found).items() if fold == 0} == {
        ("1", "10"),
        ("2", "20"),
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ratings.dat", lines(RATINGS, "::")),
        ("ratings.csv", "userId,movieId,rating,timestamp\n" + lines(RATINGS, ",")),
    ],
)
def test_later_movielens_files_have_no_published_folds(read, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadDataError, match=r"u1\.test.*split_by=folds"):
        read("movielens", tmp_path)
    for data in (tmp_path, tmp_path / name):
        found, bad = read("movielens", data, split_by="folds", folds=3)
        assert not bad
        assert {pair: entry[:2] for pair, entry in triples(found).items()} == {
            (user, item): (rating, time) for user, item, rating, time in RATINGS
        }
        assert {entry[2] for entry in triples(found).values()} <= {0, 1, 2}


def test_marks_without_a_rating_and_second_marks_are_bad(read, tmp_path):
    write_movielens(tmp_path)
    (tmp_path / "u2.test").write_text(lines([RATINGS[0], ("9", "9", 3, 1), RATINGS[1]]))
    found, bad = read("movielens", tmp_path)
    assert triples(found)["1", "10"][2] == 0
    assert triples(found)["2", "10"][2] == 1
    assert [(row["source"], row["position"]) for row in bad] == [
        ("u2.test", "line 1"),
        ("u2.test", "line 2"),
    ]
    assert "one fold at most. Received: user '1', item '10'" in bad[0]["reason"]
    assert "one of the ratings. Received: user '9', item '9'" in bad[1]["reason"]


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_archives_that_climb_out_or_are_broken_are_refused(tmp_path, kind):
    path = packed(tmp_path, kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadDataError, match="must be whole"):
        transforms.ReadMovieLens(MovieLensOptions(), str(path))
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("../u.data", "")
    else:
        with tarfile.open(path, "w:gz") as archive:
            archive.addfile(tarfile.TarInfo("a/../../u.data"), io.BytesIO())
    with pytest.raises(BadDataError, match=r"climbs out of its folder.*\.\./u\.data"):
        transforms.ReadMovieLens(MovieLensOptions(), str(path))


def test_a_source_without_ratings_is_refused(tmp_path):
    with pytest.raises(BadDataError, match="does not exist"):
        transforms.ReadMovieLens(MovieLensOptions(), str(tmp_path / "none"))
    with pytest.raises(BadDataError, match="there is nothing"):
        transforms.ReadText(TextOptions(), str(tmp_path))
    (tmp_path / "notes.md").write_text("user,item,rating\n")
    with pytest.raises(BadDataError, match=r"one file of ratings.*Received: none"):
        transforms.ReadMovieLens(MovieLensOptions(), str(tmp_path))
    with pytest.raises(BadDataError, match=r"must be files named \.csv"):
        transforms.ReadText(TextOptions(), str(tmp_path))


NAMED = {"user_column": "who", "item_column": "what", "rating_column": "stars"}


def test_named_columns_with_quotes_byte_order_mark_and_dates(read, tmp_path):
    text = (
        "\ufeffstars;what;remark;who;when\r\n"
        '4.5;"a ""b""; c";"two\r\nlines";ä;2026-11-22\r\n'
        "\r\n"
        "2;d;; ä ;2026-11-22T00:00:01+00:00\r\n"
        "3;d;;b;1795305600.9\r\n"
    )
    (tmp_path / "some.csv").write_bytes(text.encode())
    found, bad = read("text", tmp_path / "some.csv", timestamp_column="when", **NAMED)
    assert not bad
    times = {pair: entry[:2] for pair, entry in triples(found).items()}
    assert times == {
        ("ä", 'a "b"; c'): (4.5, 1795305600),
        ("ä", "d"): (2.0, 1795305601),
        ("b", "d"): (3.0, 1795305600),
    }


@pytest.mark.parametrize("delimiter", [",", "\t", "::", "|"])
def test_numbered_columns_of_several_files(read, tmp_path, delimiter):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "first.tsv").write_text(lines([("x", 3, "i", "u")], delimiter))
    (tmp_path / "second.csv.gz").write_bytes(
        gzip.compress(lines([("x", 4, "j", "u"), ("x", 1, "i", "v")], delimiter).encode())
    )
    columns = {"user_column": "4", "item_column": "3", "rating_column": "2"}
    found, bad = read("text", tmp_path, header=False, **columns)
    assert not bad
    assert {pair: entry[:2] for pair, entry in triples(found).items()} == {
        ("u", "i"): (3.0, None),
        ("u", "j"): (4.0, None),
        ("v", "i"): (1.0, None),
    }
    assert found["u"]["timestamps"] == []


def test_columns_must_be_there(read, tmp_path):
    with pytest.raises(ValueError, match=r"one character, or '::'\. Received: ',,'"):
        TextOptions(delimiter=",,")
    (tmp_path / "some.csv").write_text("user,title,rating\n1,2,3\n")
    with pytest.raises(BadDataError, match=r"'item'.*item_column=NAME.*'user', 'title', 'rating'"):
        read("text", tmp_path)
    with pytest.raises(ValueError, match=r"user_column=2.*Received: 'user'"):
        transforms.ReadText(TextOptions(header=False), str(tmp_path))


def test_what_cannot_be_used_is_a_bad_record(read, tmp_path):
    content = [
        b"user,item,rating,time",
        b"u,a,5,1",
        b"u,b,7,1",
        b"u,c,nan,1",
        b"u,d,four,1",
        b"u,e,3",
        b",f,3,1",
        b"u,,3,1",
        b"u,g\xff,3,1",
        b"u,h,3,tomorrow",
        b"u,i,-inf,1",
        b"u,j,1,99999999999999999999",
        b"v\xfe,a,1,1",
        b"u,k,1,2",
    ]
    (tmp_path / "some.csv").write_bytes(b"\n".join(content))
    found, bad = read("text", tmp_path, timestamp_column="time")
    assert list(found) == ["u"]
    assert found["u"]["items"] == [b"a", b"k"]
    reasons = {int(row["position"].removeprefix("line ")): row["reason"] for row in bad}
    assert {row["source"] for row in bad} == {"some.csv"}
    expected = {
        3: "from 1 to 5; set example_gen.min_rating and max_rating for other scales. Rec",
        4: "finite and from 1 to 5",
        5: "A rating must be a number. Received: 'four'",
        6: "at least 4 fields. Received: ['u', 'e', '3']",
        7: "the id of its user. Received: ''",
        8: "the id of its item. Received: ''",
        9: "The id of the item must be one line of UTF-8",
        10: "A timestamp must be a 64-bit number of seconds or a date",
        11: "finite and from 1 to 5",
        12: "A timestamp must be a 64-bit number",
        13: "The id of the user must be one line of UTF-8",
    }
    assert set(reasons) == set(expected)
    for line, text in expected.items():
        assert text in reasons[line]
        assert "Received: " in reasons[line]
    assert (read.counters["records"], read.counters["bad_records"]) == (2, 11)
    found, bad = read("text", tmp_path, timestamp_column="time", max_rating=7)
    assert len(bad) == 10


def test_an_open_quote_costs_the_lines_it_swallows(read, tmp_path):
    swallowed = "".join(f"u,i{number},3\n" for number in range(20_000))
    (tmp_path / "some.csv").write_text(f'user,item,rating\nu,a,1\nu,"b,2\n{swallowed}u,c,2\n')
    found, bad = read("text", tmp_path)
    lost = 20_002 - len(found["u"]["items"]) + 1
    assert 10_000 < lost == len(bad) < 20_003
    assert found["u"]["items"][0] == b"a"
    assert found["u"]["items"][-1] == b"c"
    assert bad[0]["position"] == "line 3"
    assert "field larger than field limit" in bad[0]["reason"]


def test_of_duplicates_the_latest_stays(read, tmp_path):
    # The user's first line in the first file is behind that in the second.
    (tmp_path / "a.csv").write_text(
        "user,item,rating,time\nv,x,1,1\nu,x,1,50\nu,y,2,10\nu,x,2,70\n"
    )
    (tmp_path / "b.csv").write_text("user,item,rating,time\nu,x,3,60\nu,y,4,10\nu,z,5,1\n")
    found, bad = read("text", tmp_path, timestamp_column="time")
    assert {pair: entry[:2] for pair, entry in triples(found).items()} == {
        ("v", "x"): (1.0, 1),
        ("u", "x"): (2.0, 70),
        ("u", "y"): (4.0, 10),
        ("u", "z"): (5.0, 1),
    }
    assert [(row["source"], row["position"]) for row in bad] == [
        ("a.csv", "line 3"),
        ("a.csv", "line 4"),
        ("b.csv", "line 2"),
    ]
    assert "Received: user 'u', item 'x' again, time 50" in bad[0]["reason"]
    # Without timestamps the last row stays.
    found, bad = read("text", tmp_path)
    assert {pair: entry[0] for pair, entry in triples(found).items()} == {
        ("v", "x"): 1.0,
        ("u", "x"): 3.0,
        ("u", "y"): 4.0,
        ("u", "z"): 5.0,
    }
    assert len(bad) == 3


def test_parts_of_a_user_come_together_again(read, tmp_path, monkeypatch):
    from methodical.components.data.ratings import rows

    random = np.random.default_rng(0)
    drawn = {
        (str(user), str(item)): float(random.integers(1, 6))
        for user in range(7)
        for item in range(40)
    }
    text = "user,item,rating\n" + "".join(
        f"{user},{item},{rating}\n" for (user, item), rating in drawn.items()
    )
    (tmp_path / "some.csv").write_text(text)
    whole, _ = read("text", tmp_path)
    monkeypatch.setattr(rows, "ROWS_PER_PART", 9)
    cut, _ = read("text", tmp_path)
    assert cut == whole
    assert {pair: entry[0] for pair, entry in triples(cut).items()} == drawn


@pytest.fixture(scope="module")
def tfds_folder(tmp_path_factory):
    """A prepared data set of ratings with a feature that is not wanted."""
    import tensorflow_datasets as tfds

    class TinyRatings(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        # Without it TFDS looks for checksums of downloads, with a package it does not require.
        url_infos = {}  # noqa: RUF012

        def _info(self):
            features = {
                "movie_genres": tfds.features.Sequence(tfds.features.ClassLabel(num_classes=3)),
                "movie_id": np.bytes_,
                "timestamp": np.int64,
                "user_id": np.bytes_,
                "user_rating": np.float32,
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for number, (user, item, rating, time) in enumerate([*RATINGS, ("4", "é", 9, 3)]):
                yield (
                    number,
                    {
                        "movie_genres": [0] * (number % 3),
                        "movie_id": item.encode(),
                        "timestamp": time,
                        "user_id": user.encode(),
                        "user_rating": rating,
                    },
                )

    folder = str(tmp_path_factory.mktemp("tfds"))
    tfds.disable_progress_bar()
    TinyRatings(data_dir=folder).download_and_prepare()
    return folder


def test_tfds_ratings(read, tfds_folder):
    found, bad = read("tfds", tfds_folder, dataset="tiny_ratings", split_by="leave_one_out")
    assert {pair: entry[:2] for pair, entry in triples(found).items()} == {
        (user, item): (rating, time) for user, item, rating, time in RATINGS
    }
    assert triples(found)["1", "10"][2] == 0
    (row,) = bad
    assert "from 0.5 to 5" in row["reason"]
    assert "tiny_ratings-train" in row["position"]


def test_a_tfds_data_set_must_be_prepared_and_have_the_features(tfds_folder):
    with pytest.raises(BadDataError, match=r"not in .*download_and_prepare\(\)"):
        transforms.ReadTfds(TfdsOptions(), tfds_folder)
    with pytest.raises(BadDataError, match="must name a data set of TFDS"):
        transforms.ReadTfds(TfdsOptions(dataset="no_such_data_set"), tfds_folder)
    options = TfdsOptions(dataset="tiny_ratings", rating_feature="rating")
    with pytest.raises(BadDataError, match=r"'rating', or another.*rating_feature.*user_rating"):
        transforms.ReadTfds(options, tfds_folder)


@pytest.mark.data
def test_the_real_movielens(read, real_data):
    found, bad = read("movielens", real_data / "ml-100k" / "ml-100k.tar.xz")
    assert not bad
    ratings = triples(found)
    assert len(found) == 943
    assert len(ratings) == read.counters["records"] == 100_000
    # The first line of u.data, and the first of u1.test.
    assert ratings["196", "242"][:2] == (3.0, 881250949)
    assert ratings["1", "6"] == (5.0, 887431973, 0)
    folds_of = [fold for _, _, fold in ratings.values()]
    assert [folds_of.count(fold) for fold in range(-1, 6)] == [0, *[20_000] * 5, 0]
