"""Verification, tracks, identification and clustering, against brute force and libraries."""

import itertools
import warnings

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
import sklearn.metrics.cluster
from methodical.models.facenet.measures import clustering, identification, tracks, verification


def drawn_pairs(count=300, seed=0, digits=None):
    """Distances that overlap, the same pairs nearer; rounded they tie."""
    generator = np.random.default_rng(seed)
    same = generator.random(count) < 0.4
    distances = np.abs(generator.normal(np.where(same, 0.9, 1.4), 0.3))
    folds = generator.integers(0, 5, count)
    return (distances if digits is None else distances.round(digits)), same, folds


def brute_force_best(distances, same):
    """The greatest share told rightly by any threshold."""
    candidates = [distances.min() - 1, *distances]
    return max(np.mean((distances <= candidate) == same) for candidate in candidates)


def test_worked_example():
    distances = [0.2, 0.6, 0.5, 1.5, 0.3, 0.9, 0.8, 1.2]
    same = [True, True, False, False, True, True, False, False]
    measures = verification.verify(distances, same, [0, 0, 0, 0, 1, 1, 1, 1])
    # Fold 1 has one error in the gaps (0.3, 0.8) and (0.9, 1.2), fold 0 in (0.2, 0.5) and
    # (0.6, 1.5), and the wider gap is chosen for the other fold.
    np.testing.assert_allclose(measures.fold_thresholds, [0.55, 1.05])
    np.testing.assert_array_equal(measures.correct, [1, 0, 0, 1, 1, 1, 0, 1])
    np.testing.assert_allclose(measures.fold_accuracies, [0.5, 0.75])
    assert measures.accuracy == 0.625
    assert measures.accuracy_standard_deviation == pytest.approx(0.125 * np.sqrt(2))
    assert measures.accuracy_standard_error == pytest.approx(0.125)
    # Of all: 0.2 0.3 | 0.5- 0.6 | 0.8- 0.9 | 1.2- 1.5-: the last of three gaps is the widest.
    assert measures.threshold == pytest.approx(1.05)
    # From 0.6 to 0.8 one of four different pairs is accepted, and one of four same ones is not.
    assert measures.equal_error_rate == pytest.approx(0.25)
    assert measures.equal_error_threshold == pytest.approx(0.7)
    # Of sixteen couples of a same and a different pair three are in the wrong order.
    assert measures.area_under_curve == pytest.approx(13 / 16)


@pytest.mark.parametrize("digits", [None, 1])
def test_every_fold_gets_the_best_threshold_of_the_others(digits):
    distances, same, folds = drawn_pairs(digits=digits)
    measures = verification.verify(distances, same, folds)
    np.testing.assert_array_equal(measures.folds, np.arange(5))
    accuracies = []
    for fold, threshold in enumerate(measures.fold_thresholds):
        others, inside = folds != fold, folds == fold
        told = np.mean((distances[others] <= threshold) == same[others])
        assert told == brute_force_best(distances[others], same[others])
        right = (distances[inside] <= threshold) == same[inside]
        np.testing.assert_array_equal(measures.correct[inside], right)
        accuracies.append(right.mean())
    np.testing.assert_allclose(measures.fold_accuracies, accuracies)
    assert measures.accuracy == pytest.approx(np.mean(accuracies))
    deviation = np.std(accuracies, ddof=1)
    assert measures.accuracy_standard_deviation == pytest.approx(deviation)
    assert measures.accuracy_standard_error == pytest.approx(deviation / np.sqrt(5))
    told = np.mean((distances <= measures.threshold) == same)
    assert told == brute_force_best(distances, same)


@pytest.mark.parametrize("digits", [None, 1])
def test_curve_agrees_with_scikit_learn(digits):
    distances, same, folds = drawn_pairs(digits=digits)
    measures = verification.verify(distances, same, folds)
    roc = measures.roc
    false_rates, true_rates, scores = sklearn.metrics.roc_curve(
        same, -distances, drop_intermediate=False
    )
    np.testing.assert_allclose(roc.false_accept_rates, false_rates)
    np.testing.assert_allclose(roc.true_accept_rates, true_rates)
    np.testing.assert_allclose(roc.thresholds[1:], -scores[1:])
    assert measures.area_under_curve == pytest.approx(
        sklearn.metrics.roc_auc_score(same, -distances)
    )
    rejects = 1 - np.interp(measures.equal_error_rate, false_rates, true_rates)
    assert measures.equal_error_rate == pytest.approx(rejects, abs=1e-9)
    at = measures.equal_error_threshold
    false_rate = np.interp(at, roc.thresholds, roc.false_accept_rates)
    assert false_rate == pytest.approx(measures.equal_error_rate, abs=2 / (~same).sum())


def test_separable_pairs_have_no_errors_and_thresholds_in_the_gap():
    measures = verification.verify([0.1, 0.2, 1.0, 1.4], [True, True, False, False])
    assert measures.accuracy == measures.area_under_curve == 1
    assert measures.equal_error_rate == 0
    assert measures.threshold == measures.equal_error_threshold == pytest.approx(0.6)


def test_one_distance_for_all_is_chance():
    measures = verification.verify([1.0] * 8, [True, False] * 4)
    assert measures.accuracy == measures.area_under_curve == measures.equal_error_rate == 0.5


@pytest.mark.parametrize("same", [[True, True, False], [False, False, True], [True, False, False]])
def test_the_best_threshold_may_accept_all_or_none(same):
    distances = np.array([1.0, 1.0, 1.0])
    threshold = verification.best_threshold(distances, same)
    assert ((distances <= threshold) == (sum(same) == 2)).all()


def test_the_gap_between_neighboring_floats_has_a_threshold():
    distances = np.array([1.0, np.nextafter(1.0, 2.0)])
    threshold = verification.best_threshold(distances, [True, False])
    np.testing.assert_array_equal(distances <= threshold, [True, False])


def test_folds_that_are_not_given_get_each_kind_in_turn():
    distances, same, _ = drawn_pairs()
    measures = verification.verify(distances, same)
    assert measures.folds.size == 10
    few = verification.verify([0.1, 0.2, 0.3, 1.0, 2.0], [True, True, True, False, False])
    assert few.folds.size == 2
    np.testing.assert_array_equal(
        verification.folds_in_turn([True, True, True, False, False]), [0, 1, 0, 0, 1]
    )
    # Too few pairs of one kind for two folds.
    assert not verification.folds_in_turn([True, True, False]).any()


def test_similarities_are_warned_of():
    distances, same, folds = drawn_pairs()
    with pytest.warns(UserWarning, match=r"negative.*Received: .* area of 0\.1\d\d under"):
        verification.verify(2 - distances, same, folds)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verification.verify(distances, same, folds)
        verification.verify([1.0] * 8, [True, False] * 4)


@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("far", [0.0, 0.01, 0.05, 0.5, 1.0])
def test_val_at_far_takes_the_largest_threshold(digits, far):
    distances, same, _ = drawn_pairs(digits=digits)
    found = verification.val_at_far(distances, same, far)
    allowed = [
        np.mean(distances[same] <= candidate)
        for candidate in [-1, *distances]
        if np.mean(distances[~same] <= candidate) <= far
    ]
    assert found.val == pytest.approx(max(allowed))
    assert found.val == np.mean(distances[same] <= found.threshold)
    assert found.attained_far == np.mean(distances[~same] <= found.threshold) <= far
    larger = distances[distances > found.threshold]
    if larger.size:
        assert np.mean(distances[~same] <= larger.min()) > far
    accepted = int(np.sum(distances[same] <= found.threshold))
    interval = scipy.stats.binomtest(accepted, int(same.sum())).proportion_ci(0.95, "exact")
    assert (found.low, found.high) == (interval.low, interval.high)
    assert (found.same_pairs, found.different_pairs) == (same.sum(), (~same).sum())
    assert bool(found.warning) == (far == 0)


def test_val_at_a_far_that_is_a_whole_number_of_pairs():
    # 3 / 3000 is 0.001: the third nearest different pair may be accepted, the fourth may not.
    distances = np.concatenate([np.arange(3000.0), [2.25, 2.75, 4.0]])
    same = np.arange(3003) >= 3000
    found = verification.val_at_far(distances, same, 1e-3)
    assert found.attained_far == 1e-3
    assert found.val == pytest.approx(2 / 3)
    assert found.threshold == pytest.approx(2.875)
    assert found.warning == ""
    # 0.29 * 100 is 28.999999999999996 in floats.
    distances = np.arange(101.0)
    assert verification.val_at_far(distances, distances == 100, 0.29).attained_far == 0.29


def test_clopper_pearson_of_a_full_house():
    found = verification.val_at_far([0.1] * 10 + [2.0] * 10, [True] * 10 + [False] * 10)
    assert found.val == found.high == 1
    assert found.low == pytest.approx(0.025 ** (1 / 10))
    assert "10 different pairs" in found.warning


@pytest.mark.parametrize(
    ("distances", "same", "folds", "message"),
    [
        ([0.1, np.nan, 1.0], [True, False, False], None, "Expected finite distances.*pair 1"),
        ([0.1, 0.2], [True, True], None, "2 same and 0 different"),
        ([], [], None, "0 same and 0 different"),
        ([0.1, 0.2, 0.3], [True, False], None, "both"),
        ([0.1, 0.2, 0.3], [1, 0, -1], None, "True or False"),
        ([0.1, 0.2, 0.3], [True, False, False], None, "at least two same"),
        ([0.1, 0.2, 0.3], [True, False, False], [0, 1], "fold per pair, for 3 pairs"),
        ([0.1, 0.2, 0.3], [True, False, False], [0.0, 1.0, 1.5], "fold per pair, for 3 pairs"),
        ([0.1, 0.2, 0.3], [True, False, False], [3, 3, 3], "fold 3 alone"),
        ([0.1, 0.2, 0.3], [True, False, False], [0, 1, 1], "outside fold 0"),
    ],
)
def test_verification_says_what_is_wrong(distances, same, folds, message):
    with pytest.raises(ValueError, match=message):
        verification.verify(distances, same, folds)


def test_val_at_far_says_what_is_wrong():
    with pytest.raises(ValueError, match="far=2"):
        verification.val_at_far([0.1, 0.2], [True, False], 2)
    with pytest.raises(ValueError, match="Expected pairs"):
        verification.val_at_far([0.1, 0.2], [False, False])


def test_tracks_are_compared_by_the_mean_over_frame_pairs():
    generator = np.random.default_rng(0)
    drawn = [generator.normal(size=(frames, 6)) for frames in (4, 130, 1)]
    pairs = [(0, 1), (1, 2), (2, 0), (1, 1)]

    def by_pairs(first, second):
        return np.mean([np.square(a - b).sum() for a in first for b in second])

    for frames in (100, 3, None):
        found = tracks.track_distances(iter(drawn), pairs, frames)
        expected = [by_pairs(drawn[a][:frames], drawn[b][:frames]) for a, b in pairs]
        np.testing.assert_allclose(found, expected)
    assert tracks.track_distance(drawn[0], drawn[1]) == pytest.approx(
        by_pairs(drawn[0], drawn[1][:100])
    )


def test_tracks_far_from_the_origin_lose_no_digits():
    first = np.array([[1e8, 0.0], [1e8, 1.0]])
    assert tracks.track_distance(first, first) == 0.5


@pytest.mark.parametrize(
    ("given", "pairs", "message"),
    [
        ([np.zeros((0, 2))], [[0, 0]], "track 0"),
        ([np.zeros((1, 2)), np.zeros((1, 3))], [[0, 1]], r"\(frames, 2\).*track 1"),
        ([np.zeros((1, 2))], [[0, 1]], "from 0 to 1"),
        ([np.zeros((1, 2))], [[-1, 0]], "from -1 to 0"),
    ],
)
def test_tracks_say_what_is_wrong(given, pairs, message):
    with pytest.raises(ValueError, match=message):
        tracks.track_distances(given, pairs)


@pytest.mark.parametrize("entries", [1, 50, 2**22])
def test_ranks_against_sorted_distances(monkeypatch, entries):
    monkeypatch.setattr(identification, "BLOCK_ENTRIES", entries)
    generator = np.random.default_rng(1)
    identities = np.array([b"a", b"b", b"c", b"d"])[generator.integers(0, 4, 40)]
    identities[7] = b"z"
    embeddings = generator.normal(size=(40, 3)) + 100
    found = identification.rank_accuracies(embeddings, identities, ranks=(1, 2, 5))
    hits = np.zeros((40, 3), bool)
    for probe in range(40):
        distances = np.square(embeddings - embeddings[probe]).sum(axis=1)
        distances[probe] = np.inf
        order = np.argsort(distances)
        assert found.nearest[probe] == order[0]
        for index, rank in enumerate((1, 2, 5)):
            hits[probe, index] = (identities[order[:rank]] == identities[probe]).any()
    np.testing.assert_array_equal(found.hits, hits)
    np.testing.assert_array_equal(found.has_match, np.arange(40) != 7)
    np.testing.assert_allclose(found.accuracies, hits.sum(axis=0) / 39)


def test_ranks_in_a_gallery():
    found = identification.rank_accuracies(
        [[0.0], [9.0]], ["a", "z"], (1, 2, 3), [[0.1], [0.2], [0.3]], ["c", "b", "a"]
    )
    np.testing.assert_array_equal(found.positions, [3, 0])
    np.testing.assert_array_equal(found.hits, [[False, False, True], [False] * 3])
    np.testing.assert_array_equal(found.accuracies, [0, 0, 1])
    np.testing.assert_array_equal(found.nearest, [0, 2])


def test_a_collapsed_network_gets_no_credit():
    found = identification.rank_accuracies(np.ones((6, 2)), [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(found.accuracies, [0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0.0], [1.0]], ["a", "b"]), "no two alike"),
        (([[0.0], [np.nan]], ["a", "a"]), "row 1"),
        (([[0.0], [1.0]], ["a"]), r"shapes \(2, 1\) and \(1,\)"),
        (([[0.0]], ["a"], (0,)), "ranks"),
        (([[0.0]], ["a"], (1,), [[0.0]]), "a gallery alone"),
        (([[0.0]], ["a"], (1,), [[0.0, 1.0]], ["a"]), "size 1"),
    ],
)
def test_identification_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        identification.rank_accuracies(*arguments)


@pytest.mark.parametrize("linkage", ["average", "complete"])
def test_clusters_join_up_to_the_threshold_on_squared_distances(linkage):
    # Squared: 1 between the first two; from them to 3: mean (9 + 4) / 2 = 6.5, greatest 9.
    line = [[0.0], [50.0], [1.0], [3.0]]
    bound = {"average": 6.5, "complete": 9.0}[linkage]
    np.testing.assert_array_equal(clustering.cluster(line, 0.99, linkage), [0, 1, 2, 3])
    np.testing.assert_array_equal(clustering.cluster(line, 1.0, linkage), [0, 1, 0, 2])
    np.testing.assert_array_equal(clustering.cluster(line, bound - 0.1, linkage), [0, 1, 0, 2])
    np.testing.assert_array_equal(clustering.cluster(line, bound, linkage), [0, 1, 0, 0])


def test_clusters_of_few_images():
    assert clustering.cluster(np.zeros((0, 2)), 1.0).shape == (0,)
    np.testing.assert_array_equal(clustering.cluster([[0.5]], 1.0), [0])


def test_clustering_says_what_is_wrong():
    with pytest.raises(ValueError, match="linkage='single'"):
        clustering.cluster([[0.0]], 1.0, "single")
    with pytest.raises(ValueError, match="threshold=-1"):
        clustering.cluster([[0.0]], -1)
    with pytest.raises(ValueError, match="1 not finite"):
        clustering.cluster([[np.inf]], 1)
    with pytest.raises(ValueError, match="Expected the cluster"):
        clustering.pairwise_scores([0, 1], ["a"])


def test_pairwise_scores_count_pairs():
    generator = np.random.default_rng(2)
    labels, identities = generator.integers(0, 5, 60), generator.integers(0, 7, 60)
    found = clustering.pairwise_scores(labels, identities.astype("S2"))
    together = alike = right = 0
    for i, j in itertools.combinations(range(60), 2):
        together += labels[i] == labels[j]
        alike += identities[i] == identities[j]
        right += labels[i] == labels[j] and identities[i] == identities[j]
    assert found.precision == pytest.approx(right / together)
    assert found.recall == pytest.approx(right / alike)
    assert found.f == pytest.approx(2 / (together / right + alike / right))
    assert found.clusters == 5
    (_, extra), (missing, both) = sklearn.metrics.cluster.pair_confusion_matrix(identities, labels)
    assert found.precision == pytest.approx(both / (both + extra))
    assert found.recall == pytest.approx(both / (both + missing))


def test_pairwise_scores_without_pairs():
    apart = clustering.pairwise_scores([0, 1, 2], ["a", "a", "b"])
    assert (apart.precision, apart.recall, apart.f) == (1, 0, 0)
    strangers = clustering.pairwise_scores([0, 0], ["a", "b"])
    assert (strangers.precision, strangers.recall, strangers.f) == (0, 1, 0)
    single = clustering.pairwise_scores([0, 1], ["a", "b"])
    assert (single.precision, single.recall, single.f) == (1, 1, 1)
