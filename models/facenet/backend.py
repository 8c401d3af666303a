"""What `keras.ops` lacks: a compiled step that sees a constant change."""

import keras


def trace_steps_anew(model):
    """Makes the compiled steps of a `fit` see that a variable outside of the model has changed.

    Only JAX needs it: its compiled steps hold such a variable as a constant.
    """
    if keras.backend.backend() == "jax" and model.jit_compile:
        model.make_train_function(force=True)
        model.make_test_function(force=True)
