"""`BatchNormalization` against PyTorch's numbers, NumPy transcriptions of the papers, and edges."""

import contextlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops
from methodical.models.batch_norm import BatchNormalization

BACKEND = keras.backend.backend()
EPSILON = 1e-3


def array(tensor):
    return ops.convert_to_numpy(tensor)


def normal(*shape, mean=1.5, scale=2.0, seed=0):
    return np.random.default_rng(seed).normal(mean, scale, shape).astype("float32")


def randomised(layer, shape, seed=5):
    """The layer, built, with weights far from where they begin."""
    generator = np.random.default_rng(seed)
    layer.build(shape)
    for weight in layer.weights:
        if "float" in weight.dtype:
            weight.assign(generator.uniform(0.5, 2.0, weight.shape))
    return layer


def gradients(layer, x, upstream, training, mask=None):
    """The output, and the gradients of `sum(y * upstream)` for `x` and each trainable weight."""
    options = {"training": training, "mask": mask}
    if BACKEND == "jax":
        import jax

        def loss(x, trainable):
            y, state = layer.stateless_call(trainable, kept, x, **options)
            return ops.sum(y * upstream), (y, state)

        kept = [variable.value for variable in layer.non_trainable_variables]
        weights = [variable.value for variable in layer.trainable_variables]
        slopes = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
        (_, (y, state)), found = slopes(x, weights)
        for variable, value in zip(layer.non_trainable_variables, state, strict=True):
            variable.assign(value)
        return y, [found[0], *found[1]]
    if BACKEND == "torch":
        import torch

        x = torch.tensor(x, requires_grad=True)
        y = layer(x, **options)
        weights = [variable.value for variable in layer.trainable_variables]
        return y, torch.autograd.grad(ops.sum(y * ops.convert_to_tensor(upstream)), [x, *weights])
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, **options)
        total = ops.sum(y * upstream)
    return y, tape.gradient(total, [x, *(v.value for v in layer.trainable_variables)])


def algorithm_1(x, gamma, beta, mask=None, epsilon=EPSILON):
    """The paper's equations in float64, channels last; also mean, biased and unbiased variance."""
    x = x.astype("float64")
    channels = x.shape[-1]
    counted = (x if mask is None else x[mask]).reshape(-1, channels)
    m = len(counted)
    mean = counted.sum(0) / m
    variance = ((counted - mean) ** 2).sum(0) / m
    y = gamma * (x - mean) / np.sqrt(variance + epsilon) + beta
    return y, mean, variance, variance * m / (m - 1)


@pytest.mark.data
def test_equals_the_fixtures(real_data):
    files = sorted(real_data.parent.glob("fixtures/*/batchnorm.npz"))
    if not files:
        pytest.skip(f"no fixtures: {real_data.parent}/fixtures/*/batchnorm.npz is missing")
    for file in files:
        with np.load(file) as fixtures:
            for number in range(int(fixtures["n_cases"])):
                prefix = f"c{number:02d}."
                case = {
                    name.removeprefix(prefix): fixtures[name]
                    for name in fixtures.files
                    if name.startswith(prefix)
                }
                check_case(case, f"{file} case {number}")
            check_frozen(fixtures)


def check_case(case, where):
    def check(value, name):
        np.testing.assert_allclose(
            array(value), case[name], rtol=1e-5, atol=1e-5, err_msg=f"{where}: {name}"
        )

    def check_running(step):
        check(layer.moving_mean, f"running_mean_{step}")
        check(layer.moving_variance, f"running_var_{step}")

    momentum, affine = float(case["momentum"]), bool(case["affine"])
    layer = BatchNormalization(
        axis=1,
        momentum=None if momentum == -1 else 1 - momentum,
        epsilon=float(case["eps"]),
        center=affine,
        scale=affine,
    )
    layer.build(case["x0"].shape)
    layer.moving_mean.assign(case["running_mean_0"])
    layer.moving_variance.assign(case["running_var_0"])
    if affine:
        layer.gamma.assign(case["gamma"])
        layer.beta.assign(case["beta"])
    check(layer(case["x0"], training=False), "y_eval_0")
    y, found = gradients(layer, case["x0"], case["upstream"], training=True)
    check(y, "y_train0")
    names = ("grad_x", "grad_gamma", "grad_beta") if affine else ("grad_x",)
    for gradient, name in zip(found, names, strict=True):
        check(gradient, name)
    check_running(1)
    for step in (1, 2):
        check(layer(case[f"x{step}"], training=True), f"y_train{step}")
        check_running(step + 1)
    y, found = gradients(layer, case["x0"], case["upstream_eval"], training=False)
    check(y, "y_eval_3")
    check(found[0], "grad_x_eval")


def check_frozen(fixtures):
    layer = BatchNormalization(axis=1, epsilon=1e-5)
    layer.build(fixtures["frozen.x"].shape)
    names = ("weight", "bias", "running_mean", "running_var")
    weights = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    for weight, name in zip(weights, names, strict=True):
        weight.assign(fixtures[f"frozen.{name}"])
    layer.trainable = False
    y = array(layer(fixtures["frozen.x"], training=True))
    np.testing.assert_allclose(y, fixtures["frozen.y"], rtol=1e-5, atol=1e-5)


def test_one_step_worked_out_by_hand():
    layer = BatchNormalization(momentum=0.5, epsilon=1e-9)
    y = layer(np.array([[1.0], [2.0], [3.0], [6.0]], "float32"), training=True)
    # Mean 3, squares 4 + 1 + 0 + 9 = 14: biased 3.5, unbiased 14/3.
    np.testing.assert_allclose(array(y)[:, 0], np.array([-2, -1, 0, 3]) / 3.5**0.5, rtol=1e-5)
    np.testing.assert_allclose(array(layer.moving_mean), [1.5])
    np.testing.assert_allclose(array(layer.moving_variance), [0.5 + 14 / 6], rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((6, 5), -1),
        ((5, 6), 0),
        ((4, 3, 5), 1),
        ((4, 3, 5), 2),
        ((4, 3, 2, 5), -3),
        ((3, 2, 4, 2, 5), 1),
        ((3, 2, 4, 2, 5), -1),
    ],
)
def test_any_axis(shape, axis):
    layer = randomised(BatchNormalization(axis=axis, momentum=0.9), shape)
    gamma, beta = array(layer.gamma), array(layer.beta)
    mean_0, variance_0 = array(layer.moving_mean), array(layer.moving_variance)
    x = normal(*shape)
    last = np.moveaxis(x, axis, -1)
    expected, mean, _, unbiased = algorithm_1(last, gamma, beta)
    y = array(layer(x, training=True))
    np.testing.assert_allclose(np.moveaxis(y, axis, -1), expected, rtol=1e-4, atol=1e-5)
    mean = 0.9 * mean_0 + 0.1 * mean
    variance = 0.9 * variance_0 + 0.1 * unbiased
    np.testing.assert_allclose(array(layer.moving_mean), mean, rtol=1e-5)
    np.testing.assert_allclose(array(layer.moving_variance), variance, rtol=1e-5)
    y = np.moveaxis(array(layer(x, training=False)), axis, -1)
    expected = gamma * (last - mean) / np.sqrt(variance + EPSILON) + beta
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("per_position", [True, False])
def test_masked_positions_count_in_no_statistic(per_position):
    generator = np.random.default_rng(3)
    x = normal(5, 7, 3) if per_position else normal(5, 7, 2, 3)
    mask = generator.random((5, 7)) < 0.6
    layer = randomised(BatchNormalization(momentum=0.0), x.shape)
    gamma, beta = array(layer.gamma), array(layer.beta)
    expected, mean, _, unbiased = algorithm_1(x, gamma, beta, mask)
    np.testing.assert_allclose(
        array(layer(x, training=True, mask=ops.convert_to_tensor(mask))), expected, 1e-4, 1e-5
    )
    np.testing.assert_allclose(array(layer.moving_mean), mean, rtol=1e-5)
    np.testing.assert_allclose(array(layer.moving_variance), unbiased, rtol=1e-5)


def test_mask_of_all_axes_and_garbage_behind_it():
    x = normal(4, 3, 6)
    mask = np.random.default_rng(4).random((4, 1, 6)) < 0.6
    x[~np.broadcast_to(mask, x.shape)] = np.nan
    layer = BatchNormalization(axis=1, momentum=0.0)
    layer(x, training=True, mask=ops.convert_to_tensor(mask))
    for channel in range(3):
        counted = x[:, channel][mask[:, 0]].astype("float64")
        np.testing.assert_allclose(array(layer.moving_mean)[channel], counted.mean(), rtol=1e-5)
        np.testing.assert_allclose(
            array(layer.moving_variance)[channel], counted.var(ddof=1), rtol=1e-5
        )


def test_the_mask_of_a_model_reaches_the_layer():
    x = normal(6, 5, 3)
    x[2:, 3:] = 0
    layer = BatchNormalization(momentum=0.0)
    model = keras.Sequential([keras.Input((5, 3)), keras.layers.Masking(), layer])
    model(x, training=True)
    counted = x[np.any(x != 0, axis=-1)].astype("float64")
    np.testing.assert_allclose(array(layer.moving_variance), counted.var(0, ddof=1), rtol=1e-5)


def test_gradients_with_a_mask_equal_those_without_the_masked():
    x, upstream = normal(4, 6, 3), normal(4, 6, 3, seed=1)
    mask = np.ones((4, 6), bool)
    mask[:, 4:] = False
    upstream[~mask] = 0
    layer = randomised(BatchNormalization(), x.shape)
    _, found = gradients(layer, x, upstream, True, mask)
    _, expected = gradients(layer, x[:, :4], upstream[:, :4], True)
    np.testing.assert_allclose(array(found[0])[:, :4], array(expected[0]), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(array(found[0])[:, 4:], 0)
    for one, other in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(array(one), array(other), rtol=1e-4, atol=1e-6)


def test_a_mask_of_another_shape_is_an_error():
    with pytest.raises(ValueError, match=r"`mask` must have.*mask.shape=\(4, 5\)"):
        BatchNormalization()(normal(4, 6, 3), training=True, mask=np.ones((4, 5), bool))


def test_far_from_zero_nothing_cancels():
    x = normal(64, 4, mean=3e3, scale=1.0)
    layer = BatchNormalization(momentum=0.0)
    expected, _, _, unbiased = algorithm_1(x, 1.0, 0.0)
    y = array(layer(x, training=True))
    np.testing.assert_allclose(array(layer.moving_variance), unbiased, rtol=1e-4)
    np.testing.assert_allclose(y, expected, atol=1e-3)


@contextlib.contextmanager
def float64():
    """Computes in float64, which JAX allows only when asked."""
    keras.config.set_dtype_policy("float64")
    try:
        if BACKEND == "jax":
            import jax

            with jax.enable_x64(True):
                yield
        else:
            yield
    finally:
        keras.config.set_dtype_policy("float32")


def test_second_derivatives():
    """The derivative of `v · grad` equals its difference quotient, in float64."""
    with float64():
        x, upstream, v, w = (normal(5, 2, seed=seed).astype("float64") for seed in range(4))
        layer = randomised(BatchNormalization(), x.shape)
        assert layer.moving_variance.dtype == "float64"

        def slope(x):
            return float(np.sum(array(gradients(layer, x, upstream, True)[1][0]) * v))

        step = 1e-5
        expected = (slope(x + step * w) - slope(x - step * w)) / (2 * step)
        np.testing.assert_allclose(second_derivative(layer, x, upstream, v, w), expected, rtol=1e-5)


def second_derivative(layer, x, upstream, v, w):
    if BACKEND == "jax":
        import jax

        kept = [variable.value for variable in layer.non_trainable_variables]
        weights = [variable.value for variable in layer.trainable_variables]

        def loss(x):
            return ops.sum(layer.stateless_call(weights, kept, x, training=True)[0] * upstream)

        second = jax.grad(lambda x: ops.sum(jax.grad(loss)(x) * v))(ops.convert_to_tensor(x))
    elif BACKEND == "torch":
        import torch

        x = torch.tensor(x, requires_grad=True)
        total = ops.sum(layer(x, training=True) * ops.convert_to_tensor(upstream))
        (first,) = torch.autograd.grad(total, x, create_graph=True)
        (second,) = torch.autograd.grad(ops.sum(first * ops.convert_to_tensor(v)), x)
    else:
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                total = ops.sum(layer(x, training=True) * upstream)
            slope = ops.sum(inner.gradient(total, x) * v)
        second = outer.gradient(slope, x)
    return float(np.sum(array(second) * w))


def test_one_value_per_channel_is_an_error_with_ways_out():
    with pytest.raises(ValueError, match=r"more than one value.*`renorm=True`.*\(1, 3\)"):
        BatchNormalization()(normal(1, 3), training=True)
    with pytest.raises(ValueError, match="ghost_batch_size=1"):
        BatchNormalization(ghost_batch_size=1)(normal(4, 3), training=True)
    assert np.isfinite(array(BatchNormalization()(normal(1, 3), training=False))).all()
    assert np.isfinite(array(BatchNormalization()(normal(1, 2, 3), training=True))).all()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="Only TensorFlow has batches of unknown size.")
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("size", [0, 1])
def test_too_small_a_batch_of_unknown_size_changes_nothing(jit, size):
    import tensorflow as tf

    layer = randomised(BatchNormalization(momentum=None), (None, 3))
    before = [array(weight).copy() for weight in layer.weights]
    run = tf.function(
        lambda x: layer(x, training=True),
        input_signature=[tf.TensorSpec((None, 3))],
        jit_compile=jit,
    )
    y = array(run(normal(size, 3)))
    np.testing.assert_allclose(y, np.tile(array(layer.beta), (size, 1)), rtol=1e-5)
    for weight, value in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(array(weight), value)
    x = normal(5, 3)
    run(x)
    # The first batch that counts: the average over all steps so far is its own.
    np.testing.assert_allclose(array(layer.moving_variance), x.var(0, ddof=1), rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"ghost_batch_size": 2}, {"renorm": True}])
def test_empty_batch_and_full_mask_change_nothing(options):
    layer = randomised(BatchNormalization(**options), (None, 4, 3))
    before = [array(weight).copy() for weight in layer.weights]
    assert array(layer(normal(0, 4, 3), training=True)).shape == (0, 4, 3)
    y = array(layer(normal(4, 4, 3), training=True, mask=np.zeros((4, 4), bool)))
    assert np.isfinite(y).all()
    for weight, value in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(array(weight), value)


def test_frozen_is_inference():
    layer = randomised(BatchNormalization(), (None, 3))
    x = normal(8, 3)
    expected = array(layer(x, training=False))
    layer.trainable = False
    np.testing.assert_array_equal(array(layer(x, training=True)), expected)


def test_cumulative_average():
    layer = BatchNormalization(momentum=None)
    batches = [normal(size, 3, seed=size) for size in (4, 7, 10)]
    for batch in batches:
        layer(batch, training=True)
    mean = np.mean([batch.mean(0, dtype="float64") for batch in batches], axis=0)
    variance = np.mean([batch.astype("float64").var(0, ddof=1) for batch in batches], axis=0)
    np.testing.assert_allclose(array(layer.moving_mean), mean, rtol=1e-5)
    np.testing.assert_allclose(array(layer.moving_variance), variance, rtol=1e-5)


def renormalize(x, moving_mean, moving_variance, r_max, d_max, epsilon=EPSILON):
    """Ioffe 2017, Algorithm 1, in float64: `x̂` and whether a limit was met."""
    mean, variance = x.mean(0), x.var(0)
    sigma_b, sigma = np.sqrt(variance + epsilon), np.sqrt(moving_variance + epsilon)
    r = np.clip(sigma_b / sigma, 1 / r_max, r_max)
    d = np.clip((mean - moving_mean) / sigma, -d_max, d_max)
    return (x - mean) / sigma_b * r + d, (r != sigma_b / sigma) | (
        d != (mean - moving_mean) / sigma
    )


@pytest.mark.parametrize(("r_max", "d_max", "met"), [(1.1, 0.2, True), (100.0, 100.0, False)])
def test_batch_renormalization(r_max, d_max, met):
    layer = BatchNormalization(
        momentum=0.9, renorm=True, renorm_max_scale=r_max, renorm_max_shift=d_max
    )
    randomised(layer, (None, 3))
    gamma, beta, mean_0, variance_0 = (array(weight) for weight in layer.weights)
    x, upstream = normal(6, 3), normal(6, 3, seed=1)
    x64 = x.astype("float64")
    normalized, limited = renormalize(x64, mean_0, variance_0, r_max, d_max)
    assert limited.all() == met
    y, found = gradients(layer, x, upstream, True)
    np.testing.assert_allclose(array(y), gamma * normalized + beta, rtol=1e-4, atol=1e-5)
    if not met:
        inference = gamma * (x64 - mean_0) / np.sqrt(variance_0 + EPSILON) + beta
        np.testing.assert_allclose(array(y), inference, rtol=1e-4, atol=1e-5)
    # r and d have no gradient, so dx is r times that of batch normalization.
    plain = randomised(BatchNormalization(), (None, 3))
    _, of_plain = gradients(plain, x, upstream, True)
    r = np.clip(np.sqrt(x64.var(0) + EPSILON) / np.sqrt(variance_0 + EPSILON), 1 / r_max, r_max)
    np.testing.assert_allclose(array(found[0]), r * array(of_plain[0]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        array(layer.moving_variance), 0.9 * variance_0 + 0.1 * x64.var(0, ddof=1), rtol=1e-5
    )


def test_renormalization_learns_the_statistics_from_batches_of_one():
    layer = BatchNormalization(momentum=0.99, renorm=True, dtype="float32")
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=BACKEND != "torch")
    x = normal(600, 3, mean=2.0, scale=3.0)
    model.fit(x, x, batch_size=1, epochs=1, verbose=0)
    assert np.isfinite(array(layer.moving_variance)).all()
    np.testing.assert_allclose(array(layer.moving_mean), 2.0, atol=1.0)
    np.testing.assert_allclose(array(layer.moving_variance), 9.0, rtol=0.4)


def test_renormalization_limits_follow_a_schedule():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1], [1.0, 3.0])
    shift = keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.0, 5.0])
    layer = BatchNormalization(renorm=True, renorm_max_scale=schedule, renorm_max_shift=shift)
    plain = BatchNormalization()
    x = normal(8, 3)
    for step in range(4):
        y, of_plain = array(layer(x, training=True)), array(plain(x, training=True))
        assert np.allclose(y, of_plain, atol=1e-5) == (step < 2)
    again = BatchNormalization.from_config(layer.get_config())
    assert again.renorm_max_scale.get_config() == schedule.get_config()


@pytest.mark.parametrize(("shape", "axis"), [((6, 3), -1), ((6, 4, 3), -1), ((6, 3, 4, 2), 1)])
def test_ghost_batches(shape, axis):
    layer = randomised(BatchNormalization(axis, momentum=0.9, ghost_batch_size=2), shape)
    gamma, beta, mean_0, variance_0 = (array(weight) for weight in layer.weights)
    x = normal(*shape)
    last = np.moveaxis(x, axis, -1)
    groups = [algorithm_1(last[start : start + 2], gamma, beta) for start in (0, 2, 4)]
    y = np.moveaxis(array(layer(x, training=True)), axis, -1)
    np.testing.assert_allclose(y, np.concatenate([g[0] for g in groups]), rtol=1e-4, atol=2e-5)
    for weight, before, part in (
        (layer.moving_mean, mean_0, 1),
        (layer.moving_variance, variance_0, 3),
    ):
        average = np.mean([group[part] for group in groups], axis=0)
        np.testing.assert_allclose(array(weight), 0.9 * before + 0.1 * average, rtol=1e-5)


def test_ghost_batches_with_a_mask_leave_empty_groups_out():
    layer = BatchNormalization(momentum=0.0, ghost_batch_size=2)
    x = normal(6, 4, 3)
    mask = np.ones((6, 4), bool)
    mask[2:4] = False
    mask[4, 1:] = False
    layer(x, training=True, mask=mask)
    groups = [x[:2].reshape(-1, 3), np.concatenate([x[4, :1], x[5]])]
    np.testing.assert_allclose(
        array(layer.moving_variance), np.mean([g.var(0, ddof=1) for g in groups], axis=0), rtol=1e-5
    )


@pytest.mark.skipif(BACKEND != "tensorflow", reason="Only TensorFlow has batches of unknown size.")
def test_ghost_batches_in_a_batch_of_unknown_size():
    import tensorflow as tf

    layer = BatchNormalization(momentum=0.0, ghost_batch_size=2)
    layer.build((None, None, 3))
    run = tf.function(
        lambda x: layer(x, training=True), input_signature=[tf.TensorSpec((None, None, 3))]
    )
    x = normal(6, 4, 3)
    expected = BatchNormalization(ghost_batch_size=2)(x, training=True)
    np.testing.assert_allclose(array(run(x)), array(expected), rtol=1e-4, atol=1e-5)


def test_ghost_batches_must_divide_the_batch():
    with pytest.raises(ValueError, match=r"must divide.*drop_remainder.*ghost_batch_size=4"):
        BatchNormalization(ghost_batch_size=4)(normal(6, 3), training=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_mixed_precision_keeps_statistics_in_float32(dtype):
    layer = BatchNormalization(momentum=0.0, dtype=f"mixed_{dtype}")
    x = array(ops.cast(ops.cast(normal(256, 2, 3, mean=300.0, scale=20.0), dtype), "float32"))
    y = layer(x, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    expected, mean, _, unbiased = algorithm_1(x, 1.0, 0.0)
    np.testing.assert_allclose(array(layer.moving_mean), mean, rtol=1e-6)
    # The squares of 300 overflow float16, their sum is beyond bfloat16's eight bits.
    np.testing.assert_allclose(array(layer.moving_variance), unbiased, rtol=1e-4)
    np.testing.assert_allclose(array(ops.cast(y, "float32")), expected, atol=2e-2)


def test_moving_averages_of_a_bfloat16_layer_do_not_stall():
    layer = BatchNormalization(momentum=0.999, dtype="bfloat16")
    x = normal(32, 3, mean=4.0)
    for _ in range(3):
        layer(x, training=True)
    x = array(ops.cast(ops.cast(x, "bfloat16"), "float32"))
    np.testing.assert_allclose(array(layer.moving_mean), x.mean(0) * (1 - 0.999**3), rtol=1e-4)


def test_jitted_fit_without_eager():
    layer = BatchNormalization(momentum=None)
    model = keras.Sequential([keras.Input((4, 4, 2)), layer, keras.layers.GlobalMaxPooling2D()])
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=BACKEND != "torch")
    x = normal(12, 4, 4, 2)
    model.fit(x, np.ones((12, 2)), batch_size=4, epochs=2, shuffle=False, verbose=0)
    batches = [x[start : start + 4].reshape(-1, 2).astype("float64") for start in (0, 4, 8)]
    np.testing.assert_allclose(
        array(layer.moving_variance), np.mean([b.var(0, ddof=1) for b in batches], 0), rtol=1e-5
    )
    assert int(layer.steps) == 6


def test_same_weights_and_inference_as_keras():
    theirs = keras.layers.BatchNormalization(center=True, name="norm")
    ours = BatchNormalization(name="norm")
    for layer in (ours, theirs):
        randomised(layer, (None, 5, 5, 3))
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    x = normal(4, 5, 5, 3)
    np.testing.assert_allclose(array(ours(x)), array(theirs(x)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        array(ours(x, training=True)), array(theirs(x, training=True)), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 1.5}, "momentum=1.5"),
        ({"epsilon": 0.0}, "epsilon=0.0"),
        ({"ghost_batch_size": 0}, "ghost_batch_size=0"),
        ({"ghost_batch_size": 2.5}, "ghost_batch_size=2.5"),
        ({"axis": [1]}, r"axis=\[1\]"),
        ({"ghost_batch_size": 2, "synchronized": True}, "synchronized"),
        ({"renorm_max_scale": 0.5}, "renorm_max_scale=0.5"),
        ({"renorm_max_shift": "5"}, "renorm_max_shift=5"),
        ({"synchronized": True}, None if BACKEND != "torch" else "needs TensorFlow or JAX"),
    ],
)
def test_arguments_out_of_range(options, message):
    if message is None:
        BatchNormalization(**options)
        return
    with pytest.raises(ValueError, match=message):
        BatchNormalization(**options)


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({"axis": 3}, (None, 4, 4), "axis=3"),
        ({}, (None, 4, None), "number of channels must be known"),
        ({}, (4,), "at least two"),
        ({"axis": 0, "ghost_batch_size": 2}, (4, 6), "first axis must be the batch"),
    ],
)
def test_shapes_that_do_not_fit(options, shape, message):
    with pytest.raises(ValueError, match=message):
        BatchNormalization(**options).build(shape)
    with pytest.raises(ValueError, match=message):
        BatchNormalization(**options).compute_output_shape(shape)


TWO_REPLICAS = """
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from methodical.models.batch_norm import BatchNormalization
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
x = np.random.default_rng(0).normal(2.0, 3.0, (10, 4, 3)).astype("float32")
upstream = np.random.default_rng(1).normal(size=x.shape).astype("float32")
mask = np.random.default_rng(2).random((10, 4)) < 0.7
parts = [slice(0, 7), slice(7, 10)]  # the replicas' batches differ

def results(layer, run, masked):
    def step(x, upstream, mask):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True, mask=mask if masked else None)
            total = tf.reduce_sum(y * upstream)
        return y, tape.gradient(total, x)
    y, gradient = run(step)
    return [y, gradient, layer.moving_mean.numpy(), layer.moving_variance.numpy()]

def on_two(step):
    def share(array):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(array[parts[context.replica_id_in_sync_group]])
        )
    run = tf.function(lambda *arguments: strategy.run(step, args=arguments))
    found = run(share(x), share(upstream), share(mask))
    return [np.concatenate([part.numpy() for part in one.values]) for one in found]

def on_one(step):
    return [one.numpy() for one in tf.function(step)(*map(tf.constant, (x, upstream, mask)))]

for masked in (False, True):
    with strategy.scope():
        layer = BatchNormalization(momentum=0.5, synchronized=True)
        layer.build(x.shape)
    found = results(layer, on_two, masked)
    single = BatchNormalization(momentum=0.5)
    single.build(x.shape)
    expected = results(single, on_one, masked)
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    with strategy.scope():
        layer = BatchNormalization(momentum=0.5)
        layer.build(x.shape)
    alone = results(layer, on_two, masked)
    assert not np.allclose(alone[0], expected[0], atol=1e-2)
print("equal")
"""


TWO_DEVICES = """
import os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
import keras
import numpy as np
from methodical.models.batch_norm import BatchNormalization
x = np.random.default_rng(0).normal(2.0, 3.0, (8, 3)).astype("float32")
x[:4] += 10.0  # the devices' halves differ
keras.distribution.set_distribution(keras.distribution.DataParallel())
layer = BatchNormalization(momentum=0.0, synchronized=True)
model = keras.Sequential([keras.Input((3,)), layer])
model.compile("sgd", "mse")
model.fit(x, x, batch_size=8, verbose=0)
assert len(layer.moving_variance.value.devices()) == 2
expected = x.var(0, ddof=1)
np.testing.assert_allclose(keras.ops.convert_to_numpy(layer.moving_variance), expected, rtol=1e-5)
print("equal")
"""


@pytest.mark.skipif(BACKEND == "torch", reason="With PyTorch statistics are not synchronized.")
def test_synchronized_over_two_replicas_equals_one_with_all():
    script = TWO_REPLICAS if BACKEND == "tensorflow" else TWO_DEVICES
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ended.stdout.strip() == "equal", ended.stderr[-3000:]
