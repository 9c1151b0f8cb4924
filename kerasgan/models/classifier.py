"""Small convolutional classifiers: the judges of generated images, trained by our own code (zoo/*_judge.py).

Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 1998.
Differences from the paper: 3 x 3 kernels, leaky ReLU, max pooling, dropout or batch norm: fewer images do.
"""

import keras

from kerasgan.layers.batch_norm import BatchNormalization


def build_classifier(size=28, channels=1, classes=10, width=32, features=128):
    """Build the classifier of images [B, size, size, channels] in [-1, 1] into logits [B, classes].

    Its features are what the last layer sees, in inference mode: [B, features].
    """
    layers = keras.layers

    def convolve(filters, x):
        x = layers.Conv2D(filters, 3, padding="same", kernel_initializer="he_normal")(x)
        return layers.LeakyReLU(negative_slope=0.1)(x)

    images = keras.Input((size, size, channels), name="images")
    x = convolve(width, images)  # [B, size, size, width]
    x = layers.MaxPooling2D()(x)  # [B, size / 2, size / 2, width]
    x = convolve(2 * width, x)
    x = convolve(2 * width, x)  # [B, size / 2, size / 2, 2 width]
    x = layers.MaxPooling2D()(x)  # [B, size / 4, size / 4, 2 width]
    x = layers.Dropout(0.25)(layers.Flatten()(x))  # [B, size / 4 * size / 4 * 2 width]
    x = layers.Dense(features, kernel_initializer="he_normal")(x)
    x = layers.LeakyReLU(negative_slope=0.1, name="features")(x)  # [B, features]
    logits = layers.Dense(classes, name="logits")(layers.Dropout(0.5)(x))  # [B, classes]
    return keras.Model(images, logits, name="classifier")


def build_deep_classifier(size=128, channels=3, classes=36, width=16, features=128):
    """Build the classifier of larger images [B, size, size, channels] in [-1, 1] into logits [B, classes].

    What it looks for may be anywhere: each map gives its largest value. (On drawn birds, four epochs: 90 % of the
    attributes right, against 77 % by the maps' means.)

    Args:
        size: 8 * 2**k, at least 16: halved until 8 x 8.
        width: filters of the first convolution; doubled with each halving, up to 8 times as many.
        features: what the last layer sees, in inference mode: [B, features].
    """
    if size < 16 or size & (size - 1):
        raise ValueError(f"size must be a power of 2, at least 16; received {size}")
    layers = keras.layers

    def convolve(filters, x, kernel=3, strides=1):
        weights = "he_normal"
        x = layers.Conv2D(
            filters, kernel, strides, padding="same", use_bias=False, kernel_initializer=weights
        )(x)
        return layers.LeakyReLU(negative_slope=0.1)(BatchNormalization(momentum=0.9)(x))

    images = keras.Input((size, size, channels), name="images")
    x = convolve(width, images, kernel=5, strides=2)  # [B, size / 2, size / 2, width]
    while x.shape[1] > 8:
        x = layers.MaxPooling2D()(convolve(min(2 * x.shape[-1], 8 * width), x))
    x = layers.GlobalMaxPooling2D()(convolve(x.shape[-1], x))  # [B, 8 width]
    x = layers.Dense(features, kernel_initializer="he_normal")(x)
    x = layers.LeakyReLU(negative_slope=0.1, name="features")(x)  # [B, features]
    return keras.Model(
        images, layers.Dense(classes, name="logits")(x), name="deep_classifier"
    )  # [B, classes]
