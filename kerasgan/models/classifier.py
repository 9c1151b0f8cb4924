"""A small convolutional classifier: the judge of generated images, trained by our own code (zoo/digit_judge.py).

Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 1998.
Differences from the paper: 3 x 3 kernels, leaky ReLU, max pooling and dropout: fewer digits do.
"""

import keras


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
