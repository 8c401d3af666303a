"""The worked example of docs/factorization.md: three customers, three films, to the digits printed.

The digits printed in its source are truncated, not rounded. One of them, −6.48 for the first entry
of the singular value decomposition's H, is a misprint: times −0.656 it is −4.25, where the product
printed beside it has 4.36. The entry is −6.64…
"""

import keras
import numpy as np
import pytest
from keras import ops
from methodical.models.factorization import NonNegativeFactorization, factorize, truncated_svd

V = np.array([[5.0, 4.0, 1.0], [4.0, 5.0, 1.0], [2.0, 1.0, 5.0]])
PRINTED_SVD = [-0.656, -0.652, -0.379], [-6.64, -6.26, -3.20]
PRINTED_NON_NEGATIVE = [0.388, 0.386, 0.224], [11.22, 10.57, 5.41]
PRINTED_PRODUCT = [[4.36, 4.11, 2.10], [4.33, 4.08, 2.09], [2.52, 2.37, 1.21]]
SOLVERS = ("multiplicative", "hierarchical", "additive")


def cut(values, digits):
    return np.trunc(np.asarray(values) * 10**digits) / 10**digits


def non_negative(rank, solver, start="nndsvda"):
    found = factorize(V, rank, solver=solver, start=start, tolerance=0, iterations=2000, seed=0)
    return found.W, found.H


def test_singular_vectors_have_the_printed_digits():
    left, values, right = truncated_svd(V, 1)
    sign = -np.sign(left[0, 0])
    np.testing.assert_array_equal(cut(sign * left[:, 0], 3), PRINTED_SVD[0])
    np.testing.assert_array_equal(cut(sign * values * right[0], 2), PRINTED_SVD[1])
    np.testing.assert_array_equal(cut(left * values @ right, 2), PRINTED_PRODUCT)


def test_the_misprint_contradicts_the_printed_product():
    left, printed = -0.656, -6.48
    assert abs(left * printed - PRINTED_PRODUCT[0][0]) > 0.1
    assert abs(left * PRINTED_SVD[1][0] - PRINTED_PRODUCT[0][0]) < 0.01


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("start", ["random", "nndsvd"])
def test_non_negative_factors_have_the_printed_digits(solver, start):
    W, H = non_negative(1, solver, start)
    scale = W.sum()
    np.testing.assert_array_equal(cut((W / scale)[:, 0], 3), PRINTED_NON_NEGATIVE[0])
    np.testing.assert_array_equal(cut((H * scale)[0], 2), PRINTED_NON_NEGATIVE[1])
    np.testing.assert_array_equal(cut(W @ H, 2), PRINTED_PRODUCT)


@pytest.mark.parametrize("rank", [1, 2])
def test_both_have_the_same_product_and_error(rank):
    left, values, right = truncated_svd(V, rank)
    W, H = non_negative(rank, "hierarchical")
    np.testing.assert_allclose(W @ H, left * values @ right, atol=1e-6)
    # The error of the best approximation is what the other singular values leave.
    rest = np.linalg.svd(V, compute_uv=False)[rank:]
    np.testing.assert_allclose(np.linalg.norm(V - W @ H), np.linalg.norm(rest), rtol=1e-9)


def test_of_the_second_pair_the_svd_takes_back_what_non_negative_parts_never_give():
    left, values, right = truncated_svd(V, 2)
    second = np.outer(left[:, 1] * values[1], right[1])
    np.testing.assert_array_equal(
        second.round(2), [[0.13, 0.37, -0.99], [0.16, 0.45, -1.2], [-0.5, -1.4, 3.78]]
    )
    W, H = non_negative(2, "hierarchical", "nndsvd")
    parts = [np.outer(W[:, k], H[k]) for k in range(2)]
    assert min(part.min() for part in parts) >= 0
    favorites = sorted(np.argmax(part.sum(axis=0)) for part in parts)
    assert favorites == [1, 2]
    fans = W / W.sum(axis=1, keepdims=True)
    romance = int(np.argmax(H[:, 2] / H.sum(axis=1)))
    assert fans[2, romance] > 0.8
    assert fans[:2, romance].max() < 0.06


def test_the_layer_finds_the_same_product():
    keras.utils.set_random_seed(0)
    layer = NonNegativeFactorization(1, update="multiplicative", momentum=0.0)
    for _ in range(20):
        codes = layer(V.astype("float32"), training=True)
    product = ops.convert_to_numpy(layer.reconstruct(codes))
    left, values, right = truncated_svd(V, 1)
    np.testing.assert_allclose(product, left * values @ right, atol=1e-4)
