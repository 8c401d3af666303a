"""The updates against NumPy transcriptions of the papers, on dense, masked and sparse V."""

import itertools

import numpy as np
import pytest
from keras import ops
from methodical.models.backend import double_precision
from methodical.models.factorization import (
    additive_update,
    divergence_loss,
    euclidean_loss,
    factorize,
    gradient_parts,
    hierarchical_update,
    multiplicative_update,
    rescaling_learning_rate,
)

CASES = [
    ("euclidean", "multiplicative"),
    ("euclidean", "hierarchical"),
    ("euclidean", "additive"),
    ("divergence", "multiplicative"),
    ("divergence", "additive"),
]


class Coordinates:
    """A sparse matrix as `scipy.sparse` shows it, where SciPy is not installed; out of order."""

    def __init__(self, V, stored):
        self.row, self.col = (places[::-1].astype("int32") for places in np.nonzero(stored))
        self.data, self.shape = V[self.row, self.col], V.shape

    def tocoo(self):
        return self


@pytest.fixture(autouse=True)
def float64():
    with double_precision():
        yield


@pytest.fixture
def problem():
    generator = np.random.default_rng(3)
    V = generator.gamma(1.0, 2.0, (13, 9)) * (generator.random((13, 9)) < 0.7)
    return V, generator.uniform(0.1, 1, (13, 4)), generator.uniform(0.1, 1, (4, 9))


def tensors(*arrays):
    return [ops.convert_to_tensor(array) for array in arrays]


def array(tensor):
    return ops.convert_to_numpy(tensor)


def objective(V, W, H, loss, M, l1=(0, 0), l2=(0, 0)):
    """The objective as written in the paper, entry by entry, with penalties."""
    value = 0.0
    for i, j in itertools.product(*map(range, V.shape)):
        if M[i, j] == 0:
            continue
        v, wh = V[i, j], W[i] @ H[:, j]
        if loss == "euclidean":
            value += M[i, j] * 0.5 * (v - wh) ** 2
        else:
            value += M[i, j] * ((v * np.log(v / wh) if v else 0) - v + wh)
    value += l1[0] * W.sum() + l1[1] * H.sum()
    return value + 0.5 * (l2[0] * (W**2).sum() + l2[1] * (H**2).sum())


def paper_iteration(V, W, H, loss, solver, M, l1=(0, 0), l2=(0, 0)):
    """One iteration, W then H, as sums over indices; no shortcut of the library is used."""

    def half(V, W, H, M, l1, l2):
        W = W.copy()
        if solver == "hierarchical":
            for k in range(W.shape[1]):
                for i in range(W.shape[0]):
                    rest = V[i] - W[i] @ H + W[i, k] * H[k]
                    slope = (M[i] * H[k] ** 2).sum() + l2
                    W[i, k] = max(0, ((M[i] * rest * H[k]).sum() - l1) / slope)
            return W
        WH, new = W @ H, np.empty_like(W)
        for i, a in itertools.product(*map(range, W.shape)):
            if loss == "euclidean":
                up, down = (M[i] * V[i] * H[a]).sum(), (M[i] * WH[i] * H[a]).sum()
                new[i, a] = W[i, a] * up / (down + l1 + l2 * W[i, a])
            else:
                up, down = (M[i] * V[i] / WH[i] * H[a]).sum(), (M[i] * H[a]).sum() + l1
                new[i, a] = W[i, a] * up / down
                if l2:
                    root = np.sqrt(down**2 + 4 * l2 * W[i, a] * up)
                    new[i, a] = (root - down) / (2 * l2)
        return new

    W = half(V, W, H, M, l1[0], l2[0])
    return W, half(V.T, H.T, W.T, M.T, l1[1], l2[1]).T


@pytest.mark.parametrize(("loss", "solver"), CASES)
@pytest.mark.parametrize("kind", ["ones", "mask", "weights"])
def test_iterations_are_the_papers(problem, loss, solver, kind):
    V, W, H = problem
    generator = np.random.default_rng(5)
    M = {
        "ones": np.ones_like(V),
        "mask": (generator.random(V.shape) < 0.6).astype(V.dtype),
        "weights": generator.gamma(1.0, 1.0, V.shape) * (generator.random(V.shape) < 0.8),
    }[kind]
    weights = {"ones": None, "mask": M > 0, "weights": M}[kind]
    found = factorize(
        np.where(M > 0, V, np.nan), 4, loss=loss, solver=solver, start=(W, H), weights=weights,
        iterations=3, tolerance=-1,
    )  # fmt: skip
    losses = [objective(V, W, H, loss, M)]
    for _ in range(3):
        W, H = paper_iteration(V, W, H, loss, solver, M)
        losses.append(objective(V, W, H, loss, M))
    np.testing.assert_allclose(found.W, W, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.H, H, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-10)


@pytest.mark.parametrize(("loss", "solver"), CASES)
def test_penalties_are_those_of_the_objective(problem, loss, solver):
    V, W, H = problem
    l1, l2 = (0.3, 0.2), (0.4, 0.5)
    if (loss, solver) == ("divergence", "additive"):
        l2 = (0.0, 0.0)
    found = factorize(
        V, 4, loss=loss, solver=solver, start=(W, H), iterations=4, tolerance=-1, l1=l1, l2=l2
    )
    ones = np.ones_like(V)
    losses = [objective(V, W, H, loss, ones, l1, l2)]
    for _ in range(4):
        W, H = paper_iteration(V, W, H, loss, solver, ones, l1, l2)
        losses.append(objective(V, W, H, loss, ones, l1, l2))
    assert (np.diff(losses) < 0).all()
    np.testing.assert_allclose(found.W, W, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-10)


def test_multiplicative_rule_is_gradient_descent_with_the_rescaling_step(problem):
    V, W, H = tensors(*problem)
    for loss in ("euclidean", "divergence"):
        parts = gradient_parts(ops.transpose(V), ops.transpose(H), ops.transpose(W), loss)
        G = ops.transpose(H)
        rate = rescaling_learning_rate(G, parts[1])
        if loss == "euclidean":
            expected = problem[2] / (problem[1].T @ problem[1] @ problem[2])
            np.testing.assert_allclose(array(rate).T, expected, rtol=1e-12)
        np.testing.assert_allclose(
            array(additive_update(G, *parts, rate)), array(multiplicative_update(G, *parts)),
            rtol=1e-12, atol=1e-15,
        )  # fmt: skip


@pytest.mark.parametrize("loss", ["euclidean", "divergence"])
def test_parts_differ_by_the_gradient(problem, loss):
    V, W, H = problem
    generator = np.random.default_rng(2)
    M = generator.uniform(0, 2, V.shape)
    numerator, denominator = gradient_parts(*tensors(V, W, H), loss, ops.convert_to_tensor(M))
    function = {"euclidean": euclidean_loss, "divergence": divergence_loss}[loss]
    direction = generator.standard_normal(W.shape)

    def value(t):
        return float(function(*tensors(V, (W + t * direction) @ H, M)))

    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    expected = ((array(denominator) - array(numerator)) * direction).sum()
    np.testing.assert_allclose(expected, slope, rtol=1e-7)
    np.testing.assert_allclose(value(0), objective(V, W, H, loss, M), rtol=1e-12)


def test_hierarchical_update_minimises_each_column(problem):
    V, W, H = problem
    new = array(hierarchical_update(*tensors(W, V @ H.T, H @ H.T), 0.1, 0.2))
    ones, last = np.ones_like(V), W.shape[1] - 1
    least = objective(V, new, H, "euclidean", ones, (0.1, 0), (0.2, 0))
    for i, step in itertools.product(range(len(W)), (-1e-3, 1e-3)):
        moved = new.copy()
        moved[i, last] = max(0, moved[i, last] + step)
        assert objective(V, moved, H, "euclidean", ones, (0.1, 0), (0.2, 0)) >= least


@pytest.mark.parametrize(("loss", "solver"), CASES)
@pytest.mark.parametrize("observed", ["all", "stored"])
@pytest.mark.parametrize("weighted", [False, True])
def test_sparse_is_dense(problem, loss, solver, observed, weighted):
    V, W, H = problem
    stored = (V > 0) | (np.random.default_rng(0).random(V.shape) < 0.2)
    M = np.ones_like(V)
    weights = None
    if weighted:
        M = np.where(stored, np.random.default_rng(1).integers(0, 3, V.shape), 1.0)
        weights = Coordinates(M, stored)
    if observed == "stored":
        M = np.where(stored, M, 0)
    options = {
        "loss": loss,
        "solver": solver,
        "start": (W, H),
        "iterations": 5,
        "tolerance": -1,
        "l1": 0.01,
        "l2": (0.02, 0),
    }
    sparse = factorize(Coordinates(V, stored), 4, observed=observed, weights=weights, **options)
    dense = factorize(V, 4, weights=M, **options)
    np.testing.assert_allclose(sparse.W, dense.W, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(sparse.H, dense.H, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(sparse.losses, dense.losses, rtol=1e-10)
    assert sparse.W.dtype == "float64"


@pytest.mark.parametrize(("loss", "solver"), CASES)
def test_everything_observed_is_no_mask(problem, loss, solver):
    V, W, H = problem
    options = {"loss": loss, "solver": solver, "start": (W, H), "iterations": 10, "tolerance": -1}
    plain = factorize(V, 4, **options)
    masked = factorize(V, 4, weights=np.ones(V.shape, bool), **options)
    np.testing.assert_allclose(masked.W, plain.W, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(masked.losses, plain.losses, rtol=1e-11)


def test_multiplicative_zeros_stay(problem):
    V, W, H = problem
    W[2, 1] = H[0, 3] = 0
    for loss in ("euclidean", "divergence"):
        found = factorize(V, 4, loss=loss, start=(W, H), iterations=20, tolerance=-1)
        assert found.W[2, 1] == 0
        assert found.H[0, 3] == 0
        assert (found.W > 0).sum() == W.size - 1
    found = factorize(V, 4, solver="hierarchical", start=(W, H), iterations=20, tolerance=-1)
    assert found.W[2].any()


@pytest.mark.parametrize(("loss", "solver"), CASES)
def test_empty_rows_and_columns(problem, loss, solver):
    V, W, H = problem
    V[[2, 5]] = 0
    V[:, 4] = 0
    M = np.ones_like(V)
    M[7] = M[:, 1] = 0
    stored = (M > 0) & (V > 0)
    options = {"loss": loss, "solver": solver, "start": (W, H), "iterations": 30, "tolerance": -1}
    dense = factorize(V, 4, weights=M, **options)
    for found in (dense, factorize(Coordinates(V, stored), 4, observed="stored", **options)):
        assert np.isfinite(found.W).all()
        assert np.isfinite(found.losses).all()
        np.testing.assert_array_equal(found.W[7], W[7])
        np.testing.assert_array_equal(found.H[:, 1], H[:, 1])
    assert not dense.W[[2, 5]].any()
    assert not dense.H[:, 4].any()
    nothing = factorize(np.zeros((3, 4)), 2, loss=loss, solver=solver, seed=0, iterations=3)
    assert not nothing.W.any()
    assert nothing.losses[-1] == 0


def test_divergence_of_a_locked_row_is_infinite_and_no_nan(problem):
    V, W, H = problem
    V[3] = 1
    W[3] = 0
    found = factorize(V, 4, loss="divergence", start=(W, H), iterations=20, tolerance=-1)
    assert (found.losses == np.inf).all()
    assert not found.W[3].any()
    assert np.isfinite(found.W).all()
    assert np.isfinite(found.H).all()
