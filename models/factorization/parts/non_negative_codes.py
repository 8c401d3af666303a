"""Non-negative codes of examples for fixed components, by a fixed number of iterations.

Here `B` is the number of examples, `M` the features, `R` the rank; examples are `(B, M)`, codes
`(B, R)`, components `(R, M)`, and an example is approximated by its code times the components.
Everything is differentiable, in the examples and in the components.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from ...types import Tensor

# Smaller denominators count as zero: the gradient of the quotient would overflow in float32.
SMALLEST = 1e-18


def divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Returns the quotient, and 0 (with gradient 0) where the denominator is 0."""
    positive = ops.greater(denominator, SMALLEST)
    # A NaN is not zero: it must reach the result.
    positive = ops.logical_or(positive, ops.isnan(denominator))
    quotient = numerator / ops.where(positive, denominator, ops.ones_like(denominator))
    return ops.where(positive, quotient, ops.zeros_like(quotient))


def repeat(step: Callable[..., Tensor], count: int, start: Tensor, *constants: Any) -> Tensor:
    """Returns a tensor after `count` applications of `step(tensor, *constants)`, in one loop.

    Of the loops of `keras.ops`, JAX can differentiate only `scan`, and XLA under TensorFlow only a
    `while_loop` with a maximum number of iterations. Outside of a compiled function JAX compiles a
    loop again unless its function is the same object: `step` must be a function of a module, not a
    closure.
    """
    if keras.backend.backend() == "jax":
        return ops.scan(_scan_body(step), (start, *constants), length=count)[0][0]
    return ops.while_loop(
        lambda index, _: index < count,
        lambda index, current: (index + 1, step(current, *constants)),
        (0, start),
        maximum_iterations=count,
    )[1]


@functools.cache
def _scan_body(step):
    return lambda carry, _: ((step(*carry), *carry[1:]), None)


def euclidean_codes(
    examples: Tensor, components: Tensor, weights: Tensor | None, iterations: int
) -> Tensor:
    """Runs equation 4 of Lee & Seung 2001 with fixed components, from equal codes.

    Minimises `Σ w (x − cH)² / 2`. Without weights an iteration costs `B·R²` operations.
    """
    transposed = ops.transpose(components)
    if weights is None:
        numerator = ops.matmul(examples, transposed)
        gram = ops.matmul(components, transposed)
        return repeat(_euclidean_step, iterations, ops.ones_like(numerator), numerator, gram)
    numerator = ops.matmul(weights * examples, transposed)
    start = ops.ones_like(numerator)
    return repeat(_weighted_step, iterations, start, numerator, weights, components)


def _euclidean_step(codes, numerator, gram):
    return codes * divide(numerator, ops.matmul(codes, gram))


def _weighted_step(codes, numerator, weights, components):
    reconstruction = weights * ops.matmul(codes, components)
    return codes * divide(numerator, ops.matmul(reconstruction, ops.transpose(components)))


def divergence_codes(
    examples: Tensor, components: Tensor, weights: Tensor | None, iterations: int
) -> Tensor:
    """Runs equation 5 of Lee & Seung 2001 with fixed components, from equal codes.

    Minimises `Σ w (x log(x / cH) − x + cH)`.
    """
    transposed = ops.transpose(components)
    start = ops.ones_like(ops.matmul(examples, transposed))
    if weights is None:
        total = ops.sum(components, axis=1) * start
    else:
        examples = weights * examples
        total = ops.matmul(weights, transposed)
    return repeat(_divergence_step, iterations, start, examples, total, components)


def _divergence_step(codes, examples, total, components):
    ratio = divide(examples, ops.matmul(codes, components))
    return divide(codes * ops.matmul(ratio, ops.transpose(components)), total)
