"""Spectral normalization as a projection after each update, with Keras' own layer."""

import keras
from keras import layers


def spectral(layer: layers.Layer) -> layers.SpectralNormalization:
    """Wraps a layer with a kernel in Keras' `SpectralNormalization`; see `project`."""
    return layers.SpectralNormalization(layer, name=f"spectral_{layer.name}")


def project(network: keras.Model) -> None:
    """Divides the kernels of a network's spectrally normalized layers by their largest singular
    values.

    Keras' layer does the same in each training call, inside the loss, where a gradient may pass
    through it on one backend and not on another. Called once after an update, with the layers in
    inference mode, it is one power iteration a step and no part of any gradient.
    """
    for layer in network.layers:
        if isinstance(layer, layers.SpectralNormalization):
            vector, kernel = layer.normalized_weights()
            layer.vector_u.assign(vector)
            layer.kernel.assign(kernel)
