"""The estimator `NMF`: scikit-learn's own checks, missing entries, sparse input, batches."""

import pickle
import warnings

import keras
import numpy as np
import pytest

pytest.importorskip("sklearn")

import scipy.sparse
from methodical.models.factorization import NMF
from sklearn import datasets, decomposition
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="The estimator adds nothing of a backend; test_factorization_* run on all three.",
)

LOSSES = ("euclidean", "divergence")


def product(rows=30, columns=12, rank=3, seed=0):
    """A matrix of exactly this rank, from sparse factors."""
    generator = np.random.default_rng(seed)
    W, H = (generator.gamma(1.0, 1.0, shape) for shape in ((rows, rank), (rank, columns)))
    return (W * (W > 0.5)) @ (H * (H > 0.5)) + 0.01


@pytest.fixture(scope="module")
def images():
    return datasets.load_digits().data / 16


@parametrize_with_checks([NMF(), NMF(loss="divergence", solver="multiplicative")])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("loss", LOSSES)
def test_digits_are_restored_as_well_as_scikit_learn_does(images, loss):
    model = NMF(10, loss=loss).fit(images[:600])
    peer = decomposition.NMF(
        10,
        beta_loss={"euclidean": "frobenius", "divergence": "kullback-leibler"}[loss],
        solver={"euclidean": "cd", "divergence": "mu"}[loss],
        init={"euclidean": "nndsvd", "divergence": "nndsvda"}[loss],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer.fit(images[:600])
    assert model.reconstruction_err_ < 1.01 * peer.reconstruction_err_
    restored = model.inverse_transform(model.transform(images[:600]))
    if loss == "euclidean":
        np.testing.assert_allclose(
            model.reconstruction_err_, np.linalg.norm(images[:600] - restored), rtol=1e-6
        )


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array, scipy.sparse.csc_matrix])
def test_transform_of_the_fitted_data_is_what_fit_transform_returned(images, loss, make):
    X = make(images[:200])
    model = NMF(6, loss=loss, random_state=0)
    codes = model.fit_transform(X)
    np.testing.assert_allclose(model.transform(X), codes, atol=1e-7)
    assert codes.min() >= 0
    assert model.components_.min() >= 0


@pytest.mark.parametrize("loss", LOSSES)
def test_a_code_depends_on_its_own_row_only(images, loss):
    model = NMF(5, loss=loss).fit(images[:200])
    together = model.transform(images[200:260])
    alone = np.vstack([model.transform(images[i : i + 1] * 1) for i in (200, 201, 259)])
    np.testing.assert_allclose(alone, together[[0, 1, 59]], atol=2e-3 * together.max())


@pytest.mark.parametrize("loss", LOSSES)
def test_sparse_input_gives_what_dense_input_gives(loss):
    X = product()
    X[X < 0.5] = 0
    dense = NMF(3, loss=loss, init="random", random_state=1).fit(X)
    sparse = NMF(3, loss=loss, init="random", random_state=1).fit(scipy.sparse.csr_array(X))
    np.testing.assert_allclose(sparse.components_, dense.components_, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(sparse.reconstruction_err_, dense.reconstruction_err_, rtol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_missing_entries_are_restored(loss):
    X = product()
    known = np.random.default_rng(2).uniform(size=X.shape) < 0.8
    model = NMF(3, loss=loss, random_state=0, tol=1e-9, max_iter=3000)
    gaps = np.where(known, X, np.nan)
    restored = model.inverse_transform(model.fit_transform(gaps))
    wrong = np.linalg.norm((X - restored)[~known])
    by_means = np.linalg.norm((X - np.nanmean(gaps, axis=0))[~known])
    assert wrong < 0.2 * by_means


@pytest.mark.parametrize("loss", LOSSES)
def test_nan_a_mask_weights_and_unstored_entries_say_the_same(loss):
    X = product()
    known = np.random.default_rng(2).uniform(size=X.shape) < 0.7
    gaps = np.where(known, X, np.nan)
    junk = np.where(known, X, 77.0)
    start = {"init": "random", "random_state": 3, "loss": loss, "max_iter": 50, "tol": 0}
    codes = NMF(3, **start).fit_transform(gaps)
    np.testing.assert_allclose(NMF(3, **start).fit_transform(junk, weights=known), codes)
    weights = known.astype("float64")
    np.testing.assert_allclose(NMF(3, **start).fit_transform(junk, weights=weights), codes)
    stored = scipy.sparse.csr_array(np.where(known, X, 0))
    model = NMF(3, observed="stored", **start)
    np.testing.assert_allclose(model.fit_transform(stored), codes, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.transform(stored), codes, rtol=1e-4, atol=1e-6)


def test_an_entry_of_weight_two_counts_as_two_rows():
    X = product(rows=8)
    twice = np.vstack([X, X[:3]])
    weights = np.ones_like(X)
    weights[:3] = 2
    W, H = (np.random.default_rng(0).uniform(size=shape) for shape in ((8, 2), (2, 12)))
    settings = {"init": "custom", "max_iter": 30, "tol": 0, "solver": "multiplicative"}
    one = NMF(2, **settings).fit(X, weights=weights, W=W, H=H)
    other = NMF(2, **settings).fit(twice, W=np.vstack([W, W[:3]]), H=H)
    np.testing.assert_allclose(one.components_, other.components_, rtol=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("solver", ["multiplicative", "auto"])
@pytest.mark.parametrize("init", ["nndsvd", "nndsvda", "random"])
def test_zeros_make_no_nan_whatever_the_start(loss, solver, init):
    X = product()
    X[2], X[:, 5] = 0, 0
    X[4], X[:, 7] = np.nan, np.nan
    model = NMF(3, loss=loss, solver=solver, init=init, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        codes = model.fit_transform(X)
    assert np.isfinite(codes).all()
    assert np.isfinite(model.components_).all()
    assert np.isfinite(model.reconstruction_err_)
    assert np.all(codes[2] == 0)
    assert np.all(codes[4] == 0)
    np.testing.assert_allclose(model.components_[:, 5], 0, atol=1e-6)


def test_zeros_of_nndsvd_lock_the_multiplicative_solver_and_the_user_is_told():
    with pytest.warns(UserWarning, match="init='nndsvda', or the hierarchical solver"):
        locked = NMF(3, solver="multiplicative", init="nndsvd").fit(product())
    free = NMF(3, solver="multiplicative").fit(product())
    assert np.mean(locked.components_ == 0) > 0.1
    assert free.reconstruction_err_ < locked.reconstruction_err_


def test_no_known_entry_of_a_sparse_row_gives_a_zero_code():
    X = scipy.sparse.csr_array(product())
    weights = X.copy()
    weights.data = np.ones_like(weights.data)
    weights.data[: X.indptr[1]] = 0
    codes = NMF(3, observed="stored").fit_transform(X, weights=weights)
    assert np.all(codes[0] == 0)
    assert codes[1].sum() > 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_dtype_stays(dtype, loss):
    X = product().astype(dtype)
    model = NMF(3, loss=loss)
    codes = model.fit_transform(X)
    assert codes.dtype == model.components_.dtype == dtype
    assert model.transform(X).dtype == model.inverse_transform(codes).dtype == dtype
    other = {"float32": "float64", "float64": "float32"}[dtype]
    assert model.transform(X.astype(other)).dtype == other
    model.partial_fit(X)
    assert model.components_.dtype == dtype


def test_penalties_make_factors_smaller_and_sparser_and_are_no_part_of_the_error(images):
    X = images[:200]
    plain, l1, l2 = (
        NMF(5, l1=l1, l2=l2, max_iter=2000, random_state=0).fit(X)
        for l1, l2 in ((0, 0), ((0.5, 0), 0), (0, 5.0))
    )
    assert np.mean(l1.transform(X) == 0) > np.mean(plain.transform(X) == 0)
    assert np.square(l2.components_).sum() < np.square(plain.components_).sum()
    for model in (l1, l2):
        restored = model.inverse_transform(model.transform(X))
        np.testing.assert_allclose(model.reconstruction_err_, np.linalg.norm(X - restored))


def test_partial_fit_learns_from_batches(images):
    model = NMF(10, random_state=0)
    generator = np.random.default_rng(0)
    for _ in range(5):
        for rows in np.array_split(generator.permutation(len(images)), 7):
            model.partial_fit(images[rows])
    assert model.n_iter_ == 35
    restored = model.inverse_transform(model.transform(images))
    whole = NMF(10).fit(images)
    assert np.linalg.norm(images - restored) < 1.04 * whole.reconstruction_err_
    model.fit(images[:100])
    components = model.components_
    model.partial_fit(images[100:200])
    assert model.n_iter_ == 1
    assert not np.array_equal(model.components_, components)


@pytest.mark.parametrize("loss", LOSSES)
def test_partial_fit_takes_missing_entries_and_sparse_batches(loss):
    X = product(rows=120)
    gaps = np.where(np.random.default_rng(2).uniform(size=X.shape) < 0.9, X, np.nan)
    model = NMF(3, loss=loss, random_state=0, init="random", forget_factor=0.5)
    for _ in range(40):
        for rows in np.split(gaps, 4):
            model.partial_fit(rows)
    restored = model.inverse_transform(model.transform(gaps))
    unknown = np.isnan(gaps)
    by_means = np.linalg.norm((X - np.nanmean(gaps, axis=0))[unknown])
    assert np.linalg.norm((X - restored)[unknown]) < 0.4 * by_means
    stored = scipy.sparse.csr_array(np.nan_to_num(gaps))
    sparse = NMF(3, loss=loss, random_state=0, init="random", observed="stored")
    dense = NMF(3, loss=loss, random_state=0, init="random")
    for _ in range(2):
        sparse.partial_fit(stored[:60])
        dense.partial_fit(gaps[:60])
    np.testing.assert_allclose(sparse.components_, dense.components_, rtol=1e-5)


def test_a_pickled_estimator_goes_on():
    X = product()
    model = NMF(3, random_state=0).partial_fit(X)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        model.partial_fit(X).components_, again.partial_fit(X).components_
    )


def test_it_stands_in_a_pipeline_and_names_its_outputs():
    chain = make_pipeline(MinMaxScaler(), NMF(3))
    chain.set_output(transform="default").fit(product())
    assert list(chain.get_feature_names_out()) == ["nmf0", "nmf1", "nmf2"]


def test_it_says_when_it_has_not_converged():
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        NMF(3, max_iter=2).fit(product())
    model = NMF(3, max_iter=2, tol=0).fit(product())
    assert model.n_iter_ == 2


def test_n_components_may_be_left_out():
    model = NMF().fit(product(rows=5))
    assert model.n_components_ == 5
    assert model.components_.shape == (5, 12)
    assert NMF(20).fit(product(rows=5)).components_.shape == (20, 12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_components": 0}, "`n_components` must be a positive integer.*n_components=0"),
        ({"init": "ones"}, "`init` must be one of.*init='ones'"),
        ({"init": "custom"}, "`W` and `H` must both be given.*NoneType"),
        ({"init": "nndsvd", "n_components": 9}, "smaller side of X.*n_components=9"),
        ({"loss": "frobenius"}, "frobenius"),
        ({"solver": "cd"}, "'cd'"),
        ({"solver": "hierarchical", "loss": "divergence"}, "hierarchical"),
        ({"observed": "stored"}, "sparse"),
        ({"l1": -1.0}, "l1"),
    ],
)
def test_wrong_arguments_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        NMF(**{"n_components": 2, **settings}).fit(product(rows=5))


def test_what_cannot_be_factored_is_refused():
    X = product()
    X[0, 0], X[1, 1] = -1, np.nan
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        NMF(2).fit(X)
    with pytest.raises(NotFittedError):
        NMF(2).transform(product())
    with pytest.raises(ValueError, match="infinity"):
        NMF(2).fit(np.where(X < 0, np.inf, X))
