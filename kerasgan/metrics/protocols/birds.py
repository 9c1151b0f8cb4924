"""Scores of a text-conditioned model on synthetic birds, for captions of unseen species.

The data are synthetic birds, so no score compares with scores on CUB. The Fréchet distance uses
features of the bird attribute classifier and differs from FID in scale.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np

from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.datasets.synthetic_birds import parse_caption, synthetic_birds
from kerasgan.images import from_uint8
from kerasgan.metrics.frechet import frechet_distance, statistics
from kerasgan.metrics.protocols import bird_attributes
from kerasgan.metrics.r_precision import r_precision

BIRDS = 1000  # Number of test birds, with ten captions each.
BLOCK = 50  # Number of images in memory at a time. The scores do not depend on it.


def score_birds(
    model: Any,
    text_encoder: Callable[[list[str]], np.ndarray],
    matching_encoders: tuple[Callable, Callable] | None = None,
    samples: int = BIRDS,
    seed: int = 1,
    classifier: keras.Model | None = None,
) -> dict[str, Any]:
    """Generates images from the captions of the test birds and scores them.

    Image i shows bird i mod 1,000 (20 of each of 50 species), with another of its ten captions in
    each round: 1,000 samples use each bird once, 10,000 samples all captions.

    Args:
        model: Model with `sizes`, `noise(n, seed)` (tuple of arrays `[n, ...]`) and
            `sample(embeddings=, latents=, sizes="all")` (dict from size to float images
            `[n, size, size, 3]` in [-1, 1]), in inference mode.
        text_encoder: Text encoder that the model was trained with: list of n captions to `[n, D]`.
        matching_encoders: Text and image encoder that were trained together, for R-precision. The
            image encoder takes images as `sample` returns them. `None` skips R-precision.
        samples: Number of images, from 200 to 10,000. Published scores use 1,000 or more.
        seed: Seed of the latents.
        classifier: Bird attribute classifier. Defaults to the shipped one.

    Returns:
        Dict of scores at the largest size, and `protocol`, a dict that describes the measurement:

        - `attribute_accuracy`: share in [0, 1] of the attributes in the captions that the
          classifier predicts;
        - `attribute_chance`: expected accuracy of images that are independent of the captions;
        - `attribute_accuracy_data`: accuracy of the real test birds at this size;
        - `crown_accuracy`, `wing_accuracy`, ...: accuracy of each attribute;
        - `attribute_accuracy_64`, ...: accuracy over all attributes at each size;
        - `bird_frechet_distance`: Fréchet distance between the features of the first 1,000 samples
          and of the 1,000 test birds; only with 1,000 samples or more, because its bias depends on
          the number of samples;
        - `bird_frechet_floor`: the same for 1,000 other real birds of the test species;
        - `bird_frechet_ratio`: distance divided by the floor;
        - `r_precision`, `r_precision_deviation`: share of the images whose caption ranks first of
          100 (99 of other species), and its standard deviation over ten splits;
        - `r_precision_data`: R-precision of the real test birds.

    Raises:
        ValueError: If `samples` is out of range.
    """
    if not 200 <= samples <= 10 * BIRDS:
        raise ValueError(f"samples must be between 200 and {10 * BIRDS}; received {samples}")
    info: dict[str, Any] = {}
    if classifier is None:
        classifier, info = bird_attributes.load_bird_attribute_classifier()
    match_text, match_image = matching_encoders or (None, None)
    size, bird = max(model.sizes), np.arange(samples) % BIRDS
    birds, real, floor = reference(classifier, match_image, size)
    captions = pick(birds.captions, samples)
    requested = np.stack([*map(parse_caption, captions)])  # [N, 7]
    latents = model.random_latents(samples, seed)

    def images():
        for start in range(0, samples, BLOCK):
            rows = slice(start, start + BLOCK)
            yield model.sample(
                embeddings=text_encoder(captions[rows]),
                latents=latents[rows],
                sizes="all",
            )

    fakes = measure(classifier, match_image, images())
    accuracies = {
        s: bird_attributes.accuracies(predicted, requested)
        for s, predicted in fakes["attributes"].items()
    }
    scores = dict(accuracies[size])
    scores["attribute_accuracy_data"] = bird_attributes.accuracies(
        real["attributes"][size][bird], requested
    )["attribute_accuracy"]
    scores |= {
        f"attribute_accuracy_{s}": numbers["attribute_accuracy"]
        for s, numbers in accuracies.items()
    }
    if samples >= BIRDS:
        distance = frechet_distance(
            statistics(fakes["features"][:BIRDS]), statistics(real["features"])
        )
        scores |= {
            "bird_frechet_distance": distance,
            "bird_frechet_floor": floor,
            "bird_frechet_ratio": distance / floor,
        }
    if match_text is not None:
        texts, classes = match_text(captions), birds.classes[bird]
        mean, deviation = r_precision(fakes["embeddings"], texts, classes)
        scores |= {"r_precision": mean, "r_precision_deviation": deviation}
        scores |= {"r_precision_data": r_precision(real["embeddings"][bird], texts, classes)[0]}
    sizes = ", ".join(map(str, accuracies))
    about = {
        "data": "synthetic birds, not CUB: captions and images of the 50 test species, seed 0",
        "samples": f"{samples} at {sizes} pixels, one per caption; latents of seed {seed}",
        "real": f"the {BIRDS} test birds at {size * 19 // 16} pixels, central crop of {size}",
        "frechet_features": f"the {fakes['features'].shape[1]} inputs of the classifier's last "
        "layer",
        "frechet_samples": f"the first {BIRDS} samples and the {BIRDS} test birds",
        "frechet_floor": f"{BIRDS} birds of the test species with seed 1 and the same test birds",
        "r_precision": "rank 1 of 100 by cosine similarity, with 99 captions of other species",
    }
    return scores | {"protocol": bird_attributes.protocol(info) | about}


def pick(captions: Sequence[Sequence[str]], samples: int) -> list[str]:
    """Chooses one caption per bird and round. Each round uses another caption of the bird."""
    rounds = (divmod(i, len(captions)) for i in range(samples))
    return [captions[bird][(bird + turn) % len(captions[bird])] for turn, bird in rounds]


@functools.cache
def reference(
    classifier: keras.Model, image_encoder: Callable | None, size: int
) -> tuple[CaptionedImages, dict[str, Any], float]:
    """Returns the test birds, measurements of their images and the floor of the Fréchet distance.

    Args:
        classifier: Bird attribute classifier.
        image_encoder: Image encoder, or `None`.
        size: Side of the images in pixels.

    Returns:
        The test birds without their images, the result of `measure` for their images, and the
        Fréchet distance between them and as many other birds of the test species.
    """
    birds, real = _real(classifier, image_encoder, size, seed=0)
    _, others = _real(classifier, None, size, seed=1)
    return (
        birds,
        real,
        frechet_distance(statistics(others["features"]), statistics(real["features"])),
    )


def _real(classifier, image_encoder, size, seed):
    # Crop 256 of 304 pixels, as in training.
    birds = synthetic_birds("test", BIRDS, seed, size * 19 // 16)
    edge = (birds.images.shape[1] - size) // 2
    cropped = birds.images[:, edge : edge + size, edge : edge + size]
    measured = measure(
        classifier,
        image_encoder,
        ({size: from_uint8(cropped[i : i + BLOCK])} for i in range(0, BIRDS, BLOCK)),
    )
    birds.images = range(BIRDS)  # Free the memory.
    return birds, measured


def measure(
    classifier: keras.Model,
    image_encoder: Callable | None,
    blocks: Iterable[dict[int, np.ndarray]],
) -> dict[str, Any]:
    """Runs the classifier and the image encoder on blocks of images.

    Args:
        classifier: Bird attribute classifier.
        image_encoder: Image encoder, or `None`.
        blocks: Dicts from size to images `[n, size, size, 3]`.

    Returns:
        Dict with `attributes` (size to integers `[N, 7]`) and, for the largest size, `features`
        `[N, F]` and `embeddings` `[N, E]`.
    """
    attributes: dict[int, list[np.ndarray]] = {}
    features, embeddings = [], []
    for images in blocks:
        for size in sorted(images):
            of_size, predicted = bird_attributes.predict_attributes(classifier, images[size])
            attributes.setdefault(size, []).append(predicted)
        features.append(of_size)
        if image_encoder is not None:
            embeddings.append(image_encoder(images[size]))
    return {
        "attributes": {size: np.concatenate(parts) for size, parts in attributes.items()},
        "features": np.concatenate(features),
        "embeddings": np.concatenate(embeddings) if embeddings else None,
    }
