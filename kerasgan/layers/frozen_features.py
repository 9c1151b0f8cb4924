"""Feature maps of a frozen image encoder, as input of a discriminator."""

import keras
from keras import layers

from kerasgan.layers.blur_pool import BlurMaxPooling2D


def build_frozen_features(encoder: keras.Model, antialias: bool = True) -> keras.Model:
    """Builds a network that returns the map after each ReLU of a convolutional encoder.

    The network shares the encoder's layers and runs them in inference mode. It has no trainable
    weights.

    Args:
        encoder: Chain of layers from images `[N, H, W, 3]`, such as `build_image_encoder` builds.
            Layers after the last ReLU are left out.
        antialias: If `True`, replaces max pooling by `BlurMaxPooling2D`.

    Returns:
        Model from images to a list of maps, largest first.

    Raises:
        ValueError: If the encoder has no ReLU layers.

    Reference:
        Sauer et al., 2021, "Projected GANs Converge Faster", https://arxiv.org/abs/2111.01007
    """
    chain = encoder.layers[1:]
    ends = [index for index, layer in enumerate(chain) if isinstance(layer, layers.ReLU)]
    if not ends:
        raise ValueError(f"encoder must have ReLU layers (its features); received {encoder.name}")
    x = images = keras.Input(encoder.input_shape[1:], name="images")
    maps = []
    for layer in chain[: ends[-1] + 1]:
        if antialias and isinstance(layer, layers.MaxPooling2D):
            x = BlurMaxPooling2D(name=f"blur_{layer.name}")(x)
        elif isinstance(layer, (layers.BatchNormalization, layers.Dropout)):
            x = layer(x, training=False)
        else:
            x = layer(x)
        if isinstance(layer, layers.ReLU):
            maps.append(x)
    network = keras.Model(images, maps, name="frozen_features")
    network.trainable = False
    return network
