"""Captions and classifiers of `zoo.evaluate`: inputs of CLIP score, R-precision and GAN-train."""

import numpy as np

from kerasgan.datasets.digits import load_digits
from kerasgan.images import from_uint8, to_uint8
from kerasgan.io.reading import reading
from kerasgan.metrics.classification_accuracy import Classification
from kerasgan.metrics.clip_score import Captioned
from kerasgan.metrics.protocols import digits
from zoo import evaluation_images, lazy, sample

clip = lazy.module("kerasgan.metrics.features.clip")
digit_classifier = lazy.module("zoo.digit_classifier")


def captioned(
    pair: str | None,
    file: str | None,
    checkpoint: str | None,
    count: int,
    text_encoder: str | None = None,
    data_dir: str = "",
) -> Captioned:
    """Returns the captions of samples, and the pair of encoders that scores them.

    Args:
        pair: Name of a CLIP, see `metrics.features.clip.load_clip`.
        file: Text file with the caption of each image in a line. `None` uses the captions that the
            checkpoint generates from.
        checkpoint: A checkpoint, or `None`.
        count: Number of images.
        text_encoder: See `evaluation_images.source`.
        data_dir: See `evaluation_images.source`.

    Raises:
        ValueError: If the captions or the pair are missing.
    """
    if not pair:
        raise ValueError(
            "clip_score and r_precision need --clip, a CLIP of keras-hub; received none"
        )
    if file:
        with reading(file, "--captions must be a UTF-8 text file with one caption per line"):
            with open(file, encoding="utf-8") as opened:
                captions = opened.read().splitlines()
        if len(captions) < count or not all(line.strip() for line in captions):
            written = sum(bool(line.strip()) for line in captions)
            raise ValueError(
                f"--captions must have a caption per line for each of {count} images; received "
                f"{written} in {file}"
            )
        captions = captions[:count]
    elif checkpoint:
        captions = evaluation_images.captions(checkpoint, count, text_encoder, data_dir)
    else:
        raise ValueError("clip_score and r_precision need --captions, a text file; received none")
    return Captioned(clip.load_clip(pair), captions)


def classification(checkpoint: str | None, count: int, seed: int, epochs: int) -> Classification:
    """Returns labels, digits and the digit classifier of GAN-train and GAN-test.

    GAN-train trains the network of `zoo.digit_classifier` on the samples. GAN-test uses the shipped
    classifier, which the same recipe has trained on the training digits.

    Args:
        checkpoint: A checkpoint or preset of a class-conditional model of digits.
        count: Number of samples. Their labels are 0 to 9 in turn.
        seed: Seed of the training.
        epochs: Number of epochs of the training on the samples.

    Raises:
        ValueError: If the model has no labels, or if its data are not digits.
    """
    model = sample.load(checkpoint) if checkpoint else None
    conditioning = getattr(model, "conditioning", None)
    if conditioning != "labels" or getattr(model, "evaluation_protocol", None) != "digits":
        received = checkpoint or "--samples"
        raise ValueError(
            "gan_train and gan_test need a checkpoint of digits with labels; in Python, see "
            f"metrics.classification_accuracy for other data; received {received}"
        )
    train, test = ((_rgb(x), y) for x, y in (load_digits("train"), load_digits("test")))
    settings = digit_classifier.Settings(epochs=epochs, seed=seed)

    def fit(images, labels):
        if images is train[0]:
            network, _ = digits.load_digit_classifier()
        else:
            network = digit_classifier.trained(settings, (_gray(images), labels))
        return lambda x: network.predict(_gray(x), batch_size=500, verbose=0)

    name = (
        f"zoo.digit_classifier, {epochs} epochs on the samples, seed {seed}; GAN-test: as shipped"
    )
    return Classification(fit, np.arange(count) % 10, train, test, name)


def _rgb(images):
    return np.repeat(to_uint8(images), 3, axis=-1)


def _gray(images):
    return from_uint8(images[..., :1])
