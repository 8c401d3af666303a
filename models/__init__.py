"""The methods: pure Keras 3 layers, losses and models, written on `keras.ops`."""
