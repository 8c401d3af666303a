"""Starts and the baseline against NumPy and scikit-learn; the kinds of sparse input."""

import keras
import numpy as np
import pytest
from keras import ops
from methodical.models import backend
from methodical.models.factorization import factorize, initialize, truncated_svd


class Coordinates:
    """Entries of V as `scipy.sparse` shows them, where SciPy is not installed."""

    def __init__(self, V, stored):
        self.row, self.col = np.nonzero(stored)
        self.data, self.shape = V[self.row, self.col], V.shape

    def tocoo(self):
        return self


def random_matrix(shape, rank=20, seed=0):
    generator = np.random.default_rng(seed)
    V = generator.gamma(0.3, 1, (shape[0], rank)) @ generator.gamma(0.3, 1, (rank, shape[1]))
    return V + 0.01 * generator.random(shape)


@pytest.mark.parametrize("shape", [(12, 9), (9, 12), (300, 250)])
@pytest.mark.parametrize("sparse", [False, True])
def test_truncated_svd_is_numpys(shape, sparse):
    V = random_matrix(shape)
    if sparse:
        V *= np.median(V) <= V
    left, values, right = np.linalg.svd(V, full_matrices=False)
    U, s, Vt = truncated_svd(Coordinates(V, V > 0) if sparse else V, 4)
    np.testing.assert_allclose(s, values[:4], rtol=1e-9)
    np.testing.assert_allclose(U * s @ Vt, left[:, :4] * values[:4] @ right[:4], atol=1e-7)
    np.testing.assert_allclose(U.T @ U, np.eye(4), atol=1e-12)
    assert (Vt[np.arange(4), np.abs(Vt).argmax(1)] > 0).all()
    assert U.dtype == s.dtype == Vt.dtype == "float64"


def test_truncated_svd_fills_what_is_missing_with_the_mean():
    V = random_matrix((14, 10))
    seen = np.random.default_rng(1).random(V.shape) < 0.7
    filled = np.where(seen, V, V[seen].mean())
    values = np.linalg.svd(filled, compute_uv=False)[:3]
    for matrix, options in (
        (np.where(seen, V, np.nan), {}),
        (V, {"weights": seen}),
        (Coordinates(V, seen), {"observed": "stored"}),
    ):
        U, s, Vt = truncated_svd(matrix, 3, **options)
        np.testing.assert_allclose(s, values, rtol=1e-10)
        assert np.abs(U * s @ Vt - filled).max() < np.abs(V).max()
    with pytest.raises(ValueError, match=r"`rank` should be from 1 to 10.*Received: 11"):
        truncated_svd(V, 11)


@pytest.mark.parametrize("start", ["nndsvd", "nndsvda"])
def test_start_from_singular_vectors(start):
    """The product of the start's parts by hand, and scikit-learn's where it is installed."""
    V = random_matrix((15, 11))
    W, H = initialize(V, 3, start)
    left, values, right = np.linalg.svd(V, full_matrices=False)
    outer = np.sqrt(values[0]) * np.abs(left[:, 0]), np.sqrt(values[0]) * np.abs(right[0])
    np.testing.assert_allclose(np.outer(W[:, 0], H[0]), np.outer(*outer), rtol=1e-9)
    assert (W >= 0).all()
    assert (H >= 0).all()
    if start == "nndsvd":
        assert (W[:, 1:] == 0).mean() > 0.2
        assert (H[1:] == 0).any()
    else:
        assert W.min() > 0
        assert np.isin(V.mean(), W)
    nmf = pytest.importorskip("sklearn.decomposition._nmf")
    W_peer, H_peer = nmf._initialize_nmf(V, 3, start, random_state=0)
    np.testing.assert_allclose(W, W_peer, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(H, H_peer, rtol=1e-5, atol=1e-7)


def test_a_better_start_needs_fewer_iterations():
    V = random_matrix((60, 40), 6)
    options = {"solver": "hierarchical", "iterations": 5, "tolerance": -1}
    random = factorize(V, 6, seed=0, **options).losses
    assert factorize(V, 6, start="nndsvd", **options).losses[0] < 0.5 * random[0]


def test_random_start_is_seeded_and_as_large_as_V():
    V = random_matrix((200, 100))
    W, H = initialize(V, 10, seed=3)
    for mine, again in zip((W, H), initialize(V, 10, seed=3), strict=True):
        np.testing.assert_array_equal(mine, again)
    assert (initialize(V, 10, seed=4)[0] != W).all()
    assert W.min() >= 0
    scale = np.sqrt(V.mean() / 10 * 2 / np.pi)
    np.testing.assert_allclose([W.mean(), H.mean()], scale, rtol=0.05)
    stored = np.random.default_rng(0).random(V.shape) < 0.1
    W_all, _ = initialize(Coordinates(V, stored), 10, seed=3)
    W_stored, _ = initialize(Coordinates(V, stored), 10, seed=3, observed="stored")
    ratio = np.sqrt(V[stored].mean() / (V * stored).mean())
    np.testing.assert_allclose(W_stored / W_all, ratio, rtol=1e-10)


def test_scipy_and_tensorflow_matrices():
    sparse = pytest.importorskip("scipy.sparse")
    V = np.array([[0.0, 2, 0, 1], [3, 0, 0, 0], [0, 0, 0, 0], [1, 1, 4, 0]])
    expected = factorize(V, 2, seed=0, iterations=20, tolerance=-1)
    kinds = [sparse.csr_array(V), sparse.csc_matrix(V), sparse.coo_array(V), sparse.lil_array(V)]
    kinds.append(sparse.coo_array(([1.0, 1, 1, 3, 1, 1, 4], ([0, 0, 0, 1, 3, 3, 3], [1, 1, 3, 0, 0, 1, 2])), (4, 4)))  # fmt: skip  # noqa: E501
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        kinds.append(tf.sparse.from_dense(V))
    for matrix in kinds:
        found = factorize(matrix, 2, seed=0, iterations=20, tolerance=-1)
        np.testing.assert_allclose(found.W, expected.W, rtol=1e-10, atol=1e-13)


def test_sparse_is_never_made_dense():
    """The dense matrix would have 10¹¹ entries."""
    generator = np.random.default_rng(0)
    V = np.ones((1, 1))
    matrix = Coordinates(V, V)
    matrix.shape = (400_000, 250_000)
    matrix.row = generator.integers(0, matrix.shape[0], 2000)
    matrix.col = generator.integers(0, matrix.shape[1], 2000)
    matrix.data = generator.random(2000) + 0.5
    for loss, observed in (("euclidean", "all"), ("divergence", "stored")):
        found = factorize(matrix, 2, loss=loss, observed=observed, seed=0, iterations=2)
        assert found.losses[-1] < found.losses[0]


@pytest.mark.parametrize("columns", [1, 24, 25, 60])
def test_products_with_a_sparse_matrix(columns):
    """TensorFlow gets wide matrices in pieces."""
    generator = np.random.default_rng(0)
    V = generator.random((30, 20)) * (generator.random((30, 20)) < 0.3)
    dense = generator.random((20, columns)).astype("float32")
    rows, places = np.nonzero(V)
    pattern = backend.sparse_pattern(rows, places, V.shape)
    values = ops.convert_to_tensor(V[rows, places].astype("float32"))
    found = backend.sparse_times(pattern, values, ops.convert_to_tensor(dense))
    np.testing.assert_allclose(ops.convert_to_numpy(found), V @ dense, rtol=1e-5)
