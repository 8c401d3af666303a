"""The loop of `factorize`: the guard, when it stops, folding in, batches, and what it refuses."""

import keras
import numpy as np
import pytest
from methodical.models.factorization import (
    MiniBatchFactorizer,
    factorize,
    gradient_parts,
    solve_rows,
)

CASES = [
    ("euclidean", "multiplicative"),
    ("euclidean", "hierarchical"),
    ("euclidean", "additive"),
    ("divergence", "multiplicative"),
]


class Coordinates:
    """The positive entries of V as `scipy.sparse` shows them, where SciPy is not installed."""

    def __init__(self, V):
        self.row, self.col = np.nonzero(V)
        self.data, self.shape = V[self.row, self.col], V.shape

    def tocoo(self):
        return self


def low_rank(shape, rank, seed=0, noise=0.0):
    generator = np.random.default_rng(seed)
    V = generator.gamma(1, 1, (shape[0], rank)) @ generator.gamma(1, 1, (rank, shape[1]))
    return V * generator.uniform(1 - noise, 1 + noise, shape)


@pytest.mark.parametrize(("loss", "solver"), CASES)
def test_losses_never_rise_over_500_iterations(loss, solver):
    """On 50 random shapes with zeros and missing entries, over all the methods.

    JAX compiles for each shape and PyTorch runs op by op: they get fewer.
    """
    place = CASES.index((loss, solver))
    checked, count = 0, {"tensorflow": 50, "jax": 12}.get(keras.backend.backend(), 4)
    for seed in range(place, count, len(CASES)):
        generator = np.random.default_rng(seed)
        shape = tuple(generator.integers(1, 25, 2))
        rank = int(generator.integers(1, 6))
        V = generator.gamma(0.5, 3, shape) * (generator.random(shape) < 0.6)
        V[generator.random(shape) < 0.2] = np.nan
        found = factorize(
            V, rank, loss=loss, solver=solver, seed=seed, iterations=500, tolerance=-1
        )
        known = np.nan_to_num(V)
        size = (known**2 if loss == "euclidean" else known * np.abs(np.log(known + 1e-9))).sum()
        assert found.iterations == 500, (seed, found.stopped)
        assert len(found.losses) == 501
        assert np.diff(found.losses).max() <= 1e-13 * (size + found.losses[0]), seed
        assert np.isfinite(found.W).all()
        assert np.isfinite(found.H).all()
        assert found.losses[-1] < found.losses[0] or found.losses[0] == 0
        checked += 1
    assert checked >= count // len(CASES)


def test_guard_refuses_an_iteration_that_raises_the_objective():
    V = low_rank((12, 8), 3, noise=0.3)
    start = np.full((12, 3), 0.5), np.full((3, 8), 0.5)
    options = {"solver": "additive", "start": start, "tolerance": -1}
    good = factorize(V, 3, learning_rate=1e-3, iterations=30, **options)
    assert good.stopped == "iterations"
    assert (np.diff(good.losses) < 0).all()
    bad = factorize(V, 3, learning_rate=10.0, iterations=30, **options)
    assert bad.stopped == "guard"
    assert bad.iterations == 1
    assert len(bad.losses) == 1
    np.testing.assert_array_equal(bad.W, start[0])
    np.testing.assert_array_equal(bad.H, start[1])


def test_guard_returns_the_last_factors_that_fell():
    V = low_rank((12, 8), 3, noise=0.3)
    generator = np.random.default_rng(4)
    start = 0.1 * generator.random((12, 3)), 0.1 * generator.random((3, 8))
    for rate in np.geomspace(1e-3, 1, 30):
        options = {"solver": "additive", "start": start, "tolerance": -1, "learning_rate": rate}
        found = factorize(V, 3, iterations=200, **options)
        if found.stopped == "guard" and found.iterations > 3:
            break
    else:
        pytest.fail("no learning rate halts after some iterations")
    before = factorize(V, 3, iterations=found.iterations - 1, **options)
    np.testing.assert_array_equal(found.W, before.W)
    assert found.losses[-1] == before.losses[-1]
    np.testing.assert_allclose(0.5 * ((V - found.W @ found.H) ** 2).sum(), found.losses[-1])


def test_stops_where_the_objective_falls_no_longer():
    V = low_rank((20, 15), 3, noise=0.5)
    found = factorize(V, 3, seed=0, tolerance=1e-3, iterations=1000)
    assert found.stopped == "tolerance"
    assert 1 < found.iterations < 1000
    falls = -np.diff(found.losses)
    assert falls[-1] < 1e-3 * found.losses[0] <= falls[:-1].min()


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_stops_at_an_exact_factorization(value):
    found = factorize(np.full((4, 3), value), 1, seed=0, tolerance=0, iterations=400)
    assert found.stopped == "tolerance"
    assert found.iterations < 400
    np.testing.assert_allclose(found.W @ found.H, value, atol=1e-12)


def test_evaluating_seldom_changes_nothing_else():
    V = low_rank((20, 15), 3, noise=0.5)
    options = {"seed": 0, "tolerance": -1, "iterations": 23}
    often = factorize(V, 3, **options)
    seldom = factorize(V, 3, evaluate_every=5, **options)
    np.testing.assert_allclose(seldom.W, often.W, rtol=1e-12)
    np.testing.assert_allclose(seldom.losses, often.losses[[0, 5, 10, 15, 20, 23]], rtol=1e-12)
    assert seldom.iterations == 23


def test_unwatched_iterations_of_a_sparse_V_keep_what_nothing_moves():
    V = low_rank((20, 15), 3, noise=0.5)
    V[4], V[:, 7] = 0, 0
    W, H = low_rank((20, 4), 3, seed=1), low_rank((4, 15), 3, seed=2)
    H[1], W[:, 2] = 0, 0
    options = {"start": (W, H), "tolerance": -1, "iterations": 11, "evaluate_every": 4}
    dense, sparse = factorize(V, 4, **options), factorize(Coordinates(V), 4, **options)
    np.testing.assert_allclose(sparse.losses, dense.losses, rtol=1e-12)
    np.testing.assert_allclose(sparse.W, dense.W, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(sparse.H, dense.H, rtol=1e-10, atol=1e-14)
    np.testing.assert_array_equal(sparse.W[:, 1], W[:, 1])
    np.testing.assert_array_equal(sparse.H[2], H[2])
    folded = solve_rows(Coordinates(V), H, start=W, iterations=11, tolerance=-1, evaluate_every=4)
    np.testing.assert_array_equal(folded.W[:, 1], W[:, 1])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_dtype_follows_V(dtype):
    V = np.arange(1, 13).reshape(4, 3).astype(dtype)
    expected = "float64" if dtype == "float64" else "float32"
    for matrix in (V, Coordinates(V)):
        found = factorize(matrix, 2, seed=0, iterations=5)
        assert found.W.dtype == found.H.dtype == expected
        assert solve_rows(matrix, found.H).W.dtype == expected
    assert factorize(V, 2, seed=0, iterations=5, dtype="float64").W.dtype == "float64"


@pytest.mark.parametrize("loss", ["euclidean", "divergence"])
def test_large_matrices_take_the_same_steps(loss):
    """Those whose elementwise parts are fused, in float32."""
    V = low_rank((400, 300), 5, noise=0.5)
    V *= np.median(V) <= V
    start = low_rank((400, 5), 3, seed=1), low_rank((5, 300), 3, seed=2)
    options = {"loss": loss, "start": start, "iterations": 10, "tolerance": -1}
    exact = factorize(V, 5, **options)
    WH = start[0] @ start[1]
    terms = {
        "euclidean": 0.5 * (V - WH) ** 2,
        "divergence": V * np.log(np.where(V > 0, V / WH, 1)) - V + WH,
    }[loss]
    np.testing.assert_allclose(exact.losses[0], terms.sum(), rtol=1e-12)
    for matrix in (V.astype("float32"), Coordinates(V.astype("float32"))):
        found = factorize(matrix, 5, **options)
        np.testing.assert_allclose(found.losses, exact.losses, rtol=2e-5)
        np.testing.assert_allclose(found.W, exact.W, rtol=2e-3, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Maximum number of iterations")
def test_hierarchical_reaches_the_loss_of_coordinate_descent():
    decomposition = pytest.importorskip("sklearn.decomposition")
    V = low_rank((60, 40), 8, noise=0.5)
    generator = np.random.default_rng(1)
    W, H = generator.random((60, 5)), generator.random((5, 40))
    model = decomposition.NMF(5, init="custom", solver="cd", tol=1e-9, max_iter=500)
    W_peer = model.fit_transform(V, W=W.copy(), H=H.copy())
    peer = 0.5 * ((V - W_peer @ model.components_) ** 2).sum()
    found = factorize(V, 5, solver="hierarchical", start=(W, H), tolerance=1e-12, iterations=500)
    np.testing.assert_allclose(found.losses[-1], peer, rtol=1e-5)
    few = decomposition.NMF(5, init="custom", solver="cd", tol=0, max_iter=7)
    W_peer = few.fit_transform(V, W=W.copy(), H=H.copy())
    found = factorize(V, 5, solver="hierarchical", start=(W, H), tolerance=-1, iterations=7)
    np.testing.assert_allclose(found.W, W_peer, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("loss", "solver"), CASES)
def test_solve_rows_finds_the_rows_alone(loss, solver):
    V = low_rank((4, 12), 3, noise=0.3)
    H = np.random.default_rng(5).random((3, 12))
    iterations = 300 if solver == "hierarchical" else 2000
    options = {"loss": loss, "solver": solver, "iterations": iterations, "tolerance": -1}
    together = solve_rows(V, H, **options)
    np.testing.assert_array_equal(together.H, H)
    alone = np.concatenate([solve_rows(row[None], H, **options).W for row in V])
    np.testing.assert_allclose(together.W, alone, rtol=1e-3, atol=1e-3)
    gradient = slope(V, together.W, H, loss)
    assert gradient.min() > -2e-2
    assert np.abs(gradient * together.W).max() < 2e-2


def slope(V, W, H, loss):
    WH = W @ H
    return (WH - V) @ H.T if loss == "euclidean" else (1 - V / WH) @ H.T


def test_solve_rows_sees_only_what_is_observed():
    H = np.array([[1.0, 0, 1, 2], [0, 1, 1, 5]])
    V = np.array([[2.0, 3, 5, np.nan], [np.nan, 1, np.nan, 7]])
    found = solve_rows(V, H, solver="hierarchical", iterations=500, tolerance=-1)
    np.testing.assert_allclose(found.W, [[2, 3], [1, 1]], atol=1e-5)


@pytest.mark.parametrize(("loss", "solver"), [*CASES[:2], CASES[3]])
def test_one_batch_without_memory_is_an_iteration(loss, solver):
    V = low_rank((10, 7), 3, noise=0.5)
    generator = np.random.default_rng(0)
    W, H = generator.random((10, 3)), generator.random((3, 7))
    learner = MiniBatchFactorizer(
        H, loss=loss, solver=solver, forgetting=0, row_iterations=1, row_tolerance=-1
    )
    found = W
    for _ in range(4):
        found = learner.update(V, found)
    expected = factorize(V, 3, loss=loss, solver=solver, start=(W, H), iterations=4, tolerance=-1)
    np.testing.assert_allclose(found, expected.W, rtol=1e-10)
    np.testing.assert_allclose(learner.H, expected.H, rtol=1e-10)
    assert learner.batches == 4


def test_batches_accumulate_with_forgetting():
    """Two updates worked in NumPy from the formulas."""
    V = low_rank((8, 5), 2, noise=0.5)
    H = np.random.default_rng(0).random((2, 5))
    learner = MiniBatchFactorizer(H, forgetting=0.7, row_iterations=200, row_tolerance=-1)
    A = B = 0
    for rows in (V[:4], V[4:]):
        W = solve_rows(rows, H, iterations=200, tolerance=-1).W
        np.testing.assert_allclose(learner.update(rows), W, rtol=1e-10, atol=1e-12)
        A = 0.7 * A + H * (W.T @ rows)
        B = 0.7 * B + W.T @ W @ H
        H = A / B
        np.testing.assert_allclose(learner.H, H, rtol=1e-10)


@pytest.mark.parametrize("solver", ["multiplicative", "hierarchical"])
def test_batches_learn(solver):
    V = low_rank((96, 12), 3)
    generator = np.random.default_rng(0)
    learner = MiniBatchFactorizer(generator.random((3, 12)), solver=solver, forgetting=0.8)
    first = solve_rows(V, learner.H).losses[-1]
    for _ in range(8):
        for rows in np.split(V, 8):
            learner.update(Coordinates(rows))
    assert solve_rows(V, learner.H).losses[-1] < 0.02 * first


def refused(match, V=None, rank=1, **options):
    with pytest.raises(ValueError, match=match):
        factorize(np.ones((3, 2)) if V is None else V, rank, **options)


def test_what_is_refused():
    refused(r"V should be non-negative.*Received: -1.0", V=np.array([[1.0, -1]]))
    refused(r"V should be non-negative.*Received: inf", V=np.array([[1.0, np.inf]]))
    refused(r"V should be a matrix.*Received: shape \(3,\)", V=np.ones(3))
    refused("`rank` should be a positive int. Received: 0", rank=0)
    refused("`loss` should be one of .*Received: 'kl'", loss="kl")
    refused("`solver` should be one of .*Received: 'cd'", solver="cd")
    refused("hierarchical.*Received: loss='divergence'", solver="hierarchical", loss="divergence")
    refused("`start` should be one of .*Received: 'svd'", start="svd")
    refused(r"W should have the shape \(3, 1\)", start=(np.ones((2, 1)), np.ones((1, 2))))
    refused("H should be non-negative", start=(np.ones((3, 1)), -np.ones((1, 2))))
    refused("`weights` should have V's shape", weights=np.ones((2, 3)))
    refused("`weights` should be non-negative.*Received: -1.0", weights=-np.ones((3, 2)))
    refused('`observed` should be "all" or "stored"', observed="some")
    refused("needs a sparse V", observed="stored")
    refused("`learning_rate` should be positive", solver="additive", learning_rate=-1.0)
    refused("goes with the additive solver", learning_rate=0.1)
    refused("`l1` should be non-negative", l1=-0.1)
    refused("`l2` should be a float or a pair", l2=(1, 2, 3))
    refused("`dtype` should be float32 or float64", dtype="float16")
    refused("`evaluate_every` at least 1", evaluate_every=0)
    with pytest.raises(ValueError, match="H should have the shape"):
        solve_rows(np.ones((3, 2)), np.ones((1, 3)))
    with pytest.raises(ValueError, match="`loss` should be one of"):
        gradient_parts(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)), loss="hinge")
    with pytest.raises(ValueError, match="V should have 2 columns"):
        MiniBatchFactorizer(np.ones((1, 2))).update(np.ones((4, 3)))
    learner = MiniBatchFactorizer(np.ones((1, 2)), solver="hierarchical")
    with pytest.raises(ValueError, match="no weights and no missing"):
        learner.update(np.array([[1, np.nan]]))
    with pytest.raises(ValueError, match="`forgetting` should be from 0 to 1"):
        MiniBatchFactorizer(np.ones((1, 2)), forgetting=2)
