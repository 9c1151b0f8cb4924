"""Small convolutional classifiers: the evaluation classifiers that score generated images.

The recipes `zoo.digit_classifier`, `zoo.bird_attribute_classifier` and `zoo.classifier` train them.

LeCun, Bottou, Bengio and Haffner, 1998, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE.

**Differences from the paper**

- Kernels are 3 x 3, with leaky ReLUs and max pooling.
- Dropout or batch normalization reduces overfitting, because the data sets are small.
"""

import keras

from kerasgan.layers.batch_norm import BatchNormalization


def build_classifier(
    size: int = 28, channels: int = 1, classes: int = 10, width: int = 32, features: int = 128
) -> keras.Model:
    """Builds a classifier of small images.

    Input: images `[B, size, size, channels]` in [-1, 1].
    Output: logits `[B, classes]`. The layer `"features"` has the outputs `[B, features]`.

    Args:
        size: Side of the images in pixels.
        channels: Number of image channels.
        classes: Number of classes.
        width: Filters of the first convolution. The others have twice as many.
        features: Number of features before the last layer.
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


def build_deep_classifier(
    size: int = 128, channels: int = 3, classes: int = 36, width: int = 16, features: int = 128
) -> keras.Model:
    """Builds a classifier of larger images.

    Input: images `[B, size, size, channels]` in [-1, 1].
    Output: logits `[B, classes]`. The layer `"features"` has the outputs `[B, features]`.

    The last maps are reduced by global max pooling, because an attribute may be visible anywhere.
    After four epochs on synthetic birds, 90 % of the attributes were correct, against 77 % with
    average pooling.

    Args:
        size: Side of the images in pixels, a power of 2 and at least 16. The maps are halved until
            they are 8 x 8.
        channels: Number of image channels.
        classes: Number of classes.
        width: Filters of the first convolution. They double with each halving, up to 8 times as
            many.
        features: Number of features before the last layer.

    Raises:
        ValueError: If `size` is not a power of 2, or less than 16.
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
