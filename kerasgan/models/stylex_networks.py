"""Networks of StylEx besides those of StyleGAN2: the encoder, and the classifier's requirements."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kerasgan.models.stylegan2_networks import residual_trunk


def build_encoder(
    size: int,
    channels: int = 3,
    *,
    capacity: int = 16,
    max_channels: int = 512,
    latent_dim: int = 512,
    gain: float = 1.0,
) -> keras.Model:
    """Builds the encoder from images `[N, size, size, channels]` to w `[N, latent_dim]`.

    The encoder is the discriminator without its last layer, followed by a dense layer.

    Args:
        size: Image size, a power of two and at least 8.
        channels: Channels of the images.
        capacity, max_channels: See `stylegan2_networks.residual_trunk`.
        latent_dim: Dimension of w.
        gain: Scale of the initial weights of the dense layer. 1 is Kaiming initialization.
    """
    images = keras.Input((size, size, channels), name="images")
    initializer = keras.initializers.VarianceScaling(2.0 * gain**2, "fan_in", "untruncated_normal")
    w = layers.Dense(latent_dim, kernel_initializer=initializer)(
        residual_trunk(images, capacity, max_channels)
    )
    return keras.Model(images, w, name="encoder")


def check_classifier(classifier: Any) -> tuple[tuple[int, int, int], int]:
    """Checks that StylEx can explain a classifier.

    Args:
        classifier: Built Keras model from images `[N, H, W, C]` to logits `[N, K]`.

    Returns:
        `((H, W, C), K)`, the shape of the images and the number of classes.

    Raises:
        ValueError: If the model is not built, if its images are not square with a side that is a
            power of two and at least 8, or if its output is not logits of at least two classes.
    """
    if not isinstance(classifier, keras.Model) or [
        len(getattr(classifier, side, None) or []) for side in ("inputs", "outputs")
    ] != [1, 1]:
        raise ValueError(
            "classifier must be a built Keras model with one input and one output; "
            f"received {type(classifier).__name__}"
        )
    shape, outputs = tuple(classifier.inputs[0].shape[1:]), tuple(classifier.outputs[0].shape[1:])
    side = shape[0] if len(shape) == 3 and shape[0] == shape[1] and None not in shape else 0
    if side < 8 or side & (side - 1):
        raise ValueError(
            "classifier must take square images [N, H, W, C] with a side that is a power of two "
            f"and at least 8; received {shape}"
        )
    if len(outputs) != 1 or (outputs[0] or 0) < 2:
        raise ValueError(
            f"classifier must return logits [N, K] of at least two classes; received {outputs}"
        )
    last = classifier.layers[-1]
    squashed = getattr(last, "activation", None) in (
        keras.activations.softmax,
        keras.activations.sigmoid,
    )
    noise = np.random.default_rng(0).uniform(-1, 1, (4, *shape)).astype("float32")
    values = np.array(ops.convert_to_numpy(classifier(noise, training=False)), "float64")
    sums_to_one = values.min() >= 0 and np.allclose(values.sum(axis=1), 1, atol=1e-3)
    if squashed or sums_to_one or isinstance(last, layers.Softmax):
        raise ValueError(
            f"classifier must return logits; layer {last.name} of {classifier.name} returns "
            "probabilities"
        )
    return shape, outputs[0]
