"""Spectral normalization as a projection after each update, based on Keras' layer."""

import keras
from keras import layers


def spectral(layer: layers.Layer) -> layers.SpectralNormalization:
    """Wraps a layer that has a kernel in `keras.layers.SpectralNormalization`; see `project`."""
    return layers.SpectralNormalization(layer, name=f"spectral_{layer.name}")


def project(network: keras.Model) -> None:
    """Divides the kernels of spectrally normalized layers by their largest singular values.

    Keras' layer does this in each training call, inside the loss, where on some backends the
    gradient passes through it. Calling this function once after each update, with the layers in
    inference mode, is one power iteration per step and never part of a gradient.

    Args:
        network: Model whose top-level layers include `keras.layers.SpectralNormalization`.
    """
    for layer in network.layers:
        if isinstance(layer, layers.SpectralNormalization):
            vector, kernel = layer.normalized_weights()
            layer.vector_u.assign(vector)
            layer.kernel.assign(kernel)
