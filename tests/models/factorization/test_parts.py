"""Parts, principal components and prototypes, and the model around them."""

import keras
import numpy as np
import pytest
from methodical.models.factorization import (
    NonNegativeFactorization,
    PartsModel,
    PrincipalComponents,
    VectorQuantization,
)


@pytest.fixture(scope="module")
def images():
    from sklearn.datasets import load_digits

    return (load_digits().images[:300] / 16.0).astype("float32")


def flat(images):
    return images.reshape(len(images), -1)


def test_principal_components_equal_those_of_scikit_learn(images):
    from sklearn.decomposition import PCA

    layer = PrincipalComponents(6)
    layer.adapt(flat(images))
    reference = PCA(6, svd_solver="full").fit(flat(images))
    codes = keras.ops.convert_to_numpy(layer(flat(images)))
    theirs = reference.transform(flat(images))
    signs = np.sign((codes * theirs).sum(axis=0))
    np.testing.assert_allclose(codes * signs, theirs, atol=2e-5)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer.reconstruct(codes)),
        reference.inverse_transform(theirs),
        atol=2e-5,
    )
    components = keras.ops.convert_to_numpy(layer.components)
    assert (np.abs(components).max(axis=1) == components.max(axis=1)).all()


def test_quantisation_takes_the_nearest_prototype(images):
    layer = VectorQuantization(5, seed=3)
    layer.adapt(flat(images))
    prototypes = keras.ops.convert_to_numpy(layer.components)
    distances = ((flat(images)[:, None] - prototypes[None]) ** 2).sum(axis=2)
    codes = keras.ops.convert_to_numpy(layer(flat(images)))
    np.testing.assert_array_equal(codes, np.eye(5)[distances.argmin(axis=1)])
    # Of k-means: each prototype is the mean of its examples.
    for number in range(5):
        mine = flat(images)[codes[:, number] == 1]
        np.testing.assert_allclose(prototypes[number], mine.mean(axis=0), atol=1e-5)


def test_what_cannot_be_adapted_to_is_refused(images):
    with pytest.raises(ValueError, match=r"positive integer. Received: rank=0"):
        PrincipalComponents(0)
    with pytest.raises(ValueError, match=r"number of features.*Received: rank=65"):
        PrincipalComponents(65).adapt(flat(images))
    with pytest.raises(ValueError, match=r"number of examples. Received: rank=5, 4 examples"):
        VectorQuantization(5).adapt(flat(images)[:4])
    with pytest.raises(ValueError, match=r"finite examples.*shape \(2, 3\), 1 not finite"):
        PrincipalComponents(1).adapt([[1.0, 2.0, np.nan], [1.0, 2.0, 3.0]])


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
def test_the_model_reports_the_squared_error_and_learns_parts(images):
    keras.utils.set_random_seed(0)
    model = PartsModel(NonNegativeFactorization(8, update="multiplicative", momentum=0.0))
    model.compile()
    before = model.evaluate(images, batch_size=300, verbose=0)
    model.fit(images, batch_size=300, epochs=50, verbose=0)
    after = model.evaluate(images, batch_size=300, verbose=0)
    found = {
        key: keras.ops.convert_to_numpy(value)
        for key, value in model.predict(images, batch_size=300, verbose=0).items()
    }
    assert found["codes"].shape == (300, 8)
    assert found["reconstruction"].shape == images.shape
    assert after == pytest.approx(((found["reconstruction"] - images) ** 2).mean(), rel=1e-5)
    from sklearn.decomposition import NMF

    theirs = NMF(8, init="random", random_state=0, max_iter=500, tol=0).fit(flat(images))
    least = theirs.reconstruction_err_**2 / images.size
    assert 0.97 * least < after < 1.06 * least
    assert after < 0.6 * before


def test_the_model_is_saved_with_its_coder(images, tmp_path):
    coder = PrincipalComponents(3)
    coder.adapt(flat(images))
    model = PartsModel(coder)
    expected = keras.ops.convert_to_numpy(model(images)["codes"])
    model.save(tmp_path / "parts.keras")
    loaded = keras.models.load_model(tmp_path / "parts.keras")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(loaded(images)["codes"]), expected)
