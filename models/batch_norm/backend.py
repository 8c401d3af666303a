"""What `keras.ops` lacks: sums over replicas and compiled functions."""

import keras


def sum_over_replicas(tensors):
    """Returns the tensors, each summed over the replicas that run this step.

    TensorFlow: an all-reduce in the replica context of `tf.distribute`. JAX: the tensors as they
    are, because a jitted step sees the whole batch, however it is sharded.
    """
    if keras.backend.backend() != "tensorflow":
        return tensors
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tensors
    return [context.all_reduce(tf.distribute.ReduceOp.SUM, tensor) for tensor in tensors]


def trace(function, *arguments):
    """Runs the Python of a function of tensors once; computes nothing where the backend can."""
    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow as tf

        tf.function(function).get_concrete_function(*arguments)
    elif name == "jax":
        import jax

        jax.eval_shape(function, *arguments)
    else:
        import torch

        with torch.no_grad():
            function(*arguments)


def compiled(function):
    """Returns a function of arrays, compiled where the backend compiles, without gradients."""
    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow as tf

        return tf.function(function, reduce_retracing=True)
    if name == "jax":
        import jax

        return jax.jit(function)
    import torch

    return torch.no_grad()(function)


def synchronize_weights(model):
    """Writes the weights of a `fit` that is under way into the model, where it holds them apart."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()
