"""GAN-train and GAN-test: accuracy of a classifier that is trained on one set, tested on another.

GAN-train trains on generated images and tests on real ones. It falls if samples are unrealistic, if
their labels are wrong or if they lack variety. GAN-test trains on real images and tests on
generated ones. It falls if samples are unrealistic or have wrong labels, and does not see a lack of
variety. Both compare with the accuracy of a classifier that is trained and tested on real images.

Reference:
    Shmelkov, Schmid and Alahari, 2018, "How good is my GAN?", https://arxiv.org/abs/1807.09499
    Ravuri and Vinyals, 2019, "Classification Accuracy Score for Conditional Generative Models",
    https://arxiv.org/abs/1905.10887 (GAN-train, under the name of its title)

**Difference from the papers**: the caller chooses the classifier; the papers use ResNets.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import keras
import numpy as np

from kerasgan.images import from_uint8
from kerasgan.metrics.labels import label_accuracy

Labelled = tuple[np.ndarray, np.ndarray]
# Maps images `[N, ...]` to integers or logits, `[N]` or `[N, K]`.
Classifier = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray], Classifier]


class Classification(NamedTuple):
    """Data of GAN-train and GAN-test, for `scores`.

    Attributes:
        fit: Function that trains a classifier, see `keras_fit`.
        labels: Integers `[N]`, labels that the samples were generated from.
        real_train: Training images of the GAN, uint8 `[M, H, W, 3]`, and their labels.
        real_test: Other real images and their labels.
        name: Description of the classifier for the protocol.
    """

    fit: Fit
    labels: np.ndarray
    real_train: Labelled
    real_test: Labelled
    name: str = "a classifier of the caller"


def gan_train(fit: Fit, generated: Labelled, real_test: Labelled) -> float:
    """Computes the accuracy on real images of a classifier that is trained on generated images.

    Args:
        fit: Function that trains a classifier on images `[N, ...]` and labels `[N]`, see
            `keras_fit`.
        generated: Generated images and the labels that they were generated from.
        real_test: Real images that the GAN was not trained on, and their labels.

    Returns:
        A share in [0, 1].

    Raises:
        ValueError: If a shape, type or value is wrong, or if a class of `real_test` is missing in
            the training images.
    """
    return _accuracy(fit, generated, real_test)


def gan_test(fit: Fit, real_train: Labelled, generated: Labelled) -> float:
    """Computes the accuracy on generated images of a classifier that is trained on real images.

    Args:
        fit: See `gan_train`.
        real_train: Real images and their labels.
        generated: Generated images and the labels that they were generated from.

    Returns:
        A share in [0, 1].

    Raises:
        ValueError: See `gan_train`.
    """
    return _accuracy(fit, real_train, generated)


def accuracy(classifier: Classifier, blocks: Iterable[Labelled]) -> tuple[int, int]:
    """Counts correct predictions over a stream of blocks of images and labels.

    Returns:
        Number of correct predictions and number of images. The counts of two streams add up.
    """
    right, count = 0, 0
    for images, labels in blocks:
        predicted = np.asarray(classifier(images))
        predicted = predicted.argmax(axis=1) if predicted.ndim == 2 else predicted
        right += round(label_accuracy(predicted, labels) * len(labels))
        count += len(labels)
    return right, count


def keras_fit(
    build: Callable[[], keras.Model],
    epochs: int = 20,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> Fit:
    """Returns a function that trains a Keras classifier with Adam and a cosine decay.

    Images of type uint8 are scaled to [-1, 1]; others are used as they are.

    Args:
        build: Function that returns a new network from images to logits `[N, K]`.
        epochs: Number of epochs. The weights after the last one are kept.
        batch_size: Images per step.
        learning_rate: Initial learning rate.
        seed: Seed of the weights and of the order of the images.
    """

    def fit(images, labels):
        keras.utils.set_random_seed(seed)
        network = build()
        steps = epochs * -(-len(images) // batch_size)
        network.compile(
            keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps)),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        network.fit(scaled(images), labels, batch_size, epochs, verbose=0)
        return lambda images: network.predict(scaled(images), batch_size=500, verbose=0)

    def scaled(images):
        return from_uint8(images) if images.dtype == np.uint8 else images

    return fit


def _accuracy(fit, train, test):
    (images, labels), (test_images, test_labels) = _checked("train", train), _checked("test", test)
    if images.shape[1:] != test_images.shape[1:]:
        raise ValueError(
            "Images for training and test must have one shape; received "
            f"{list(images.shape[1:])} and {list(test_images.shape[1:])}."
        )
    if missing := sorted(set(test_labels.tolist()) - set(labels.tolist())):
        raise ValueError(
            f"The images for training must contain all classes of the test; class {missing[0]} is "
            "missing."
        )
    right, count = accuracy(fit(images, labels), [(test_images, test_labels)])
    return right / count


def _checked(name, pair):
    images, labels = (np.asarray(part) for part in pair)
    if images.ndim < 2 or images.dtype.kind not in "iuf" or not len(images):
        raise ValueError(
            f"Expected {name} images [N, ...] of real numbers; received {images.dtype} "
            f"{list(images.shape)}."
        )
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"Expected one integer label per {name} image ({len(images)}); received {labels.dtype} "
            f"{list(labels.shape)}."
        )
    if not np.isfinite(images).all():
        raise ValueError(f"The {name} images must be finite; received others.")
    return images, labels
