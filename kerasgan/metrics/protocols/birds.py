"""Scores of a model that draws birds from captions, asked with captions of species that it has not seen.

Drawn birds are not CUB: no number here may stand beside one on CUB. The Fréchet distance is on the features of our own
bird judge, so it is neither FID nor near it in size.
"""

import functools

import numpy as np

from kerasgan.datasets.synthetic_birds import parse_caption, synthetic_birds
from kerasgan.images import from_uint8
from kerasgan.metrics.frechet import frechet_distance, statistics
from kerasgan.metrics.protocols import bird_attributes
from kerasgan.metrics.r_precision import r_precision

BIRDS = 1000  # of the test species, with ten captions each
BLOCK = 50  # pictures in memory at a time; the scores do not depend on it


def score_birds(model, text_encoder, pair=None, samples=BIRDS, seed=1, judge=None):
    """Draw pictures of the test birds' captions, and say how well they answer.

    Picture i is of bird i mod 1,000 (20 of each of 50 species), by another of its ten captions each time: 1,000 samples
    are each bird once, 10,000 all captions.

    Args:
        model: has `sizes`; `noise(n, seed)`, a tuple of arrays [n, ...]; and `sample(embeddings [n, D], noise)`, a
            dictionary of size -> float [n, size, size, 3] in [-1, 1]. All in inference mode.
        text_encoder: the one that the model was trained with, list of n captions -> [n, D].
        pair: a text and an image encoder that learnt together, for R-precision; the latter takes images as `sample`
            draws them. None leaves it out.
        samples: number of pictures, from 200 to 10,000. Published scores take 1,000 or more.
        seed: of the latents.
        judge: in place of the shipped bird judge; see `attributes.attribute_accuracy`.

    Returns:
        A dictionary of numbers and `protocol`, a dictionary that says how they were got. Of the largest pictures:
        attribute_accuracy: share, in [0, 1], of what the captions ask for that the judge sees.
        attribute_chance: what pictures get that have nothing to do with their captions.
        attribute_accuracy_data: what the birds themselves get, drawn at this size.
        crown_accuracy, wing_accuracy ...: of each attribute.
        attribute_accuracy_64 ...: over all attributes, at each size.
        bird_frechet_distance: between the judge's features of the first 1,000 pictures and of the 1,000 test birds;
            from 1,000 samples on, for its bias goes with their number.
        bird_frechet_floor: the same of 1,000 other birds of the test species: what true drawings get.
        bird_frechet_ratio: the distance over its floor.
        r_precision, r_precision_deviation: share of the pictures whose caption comes first among 100, the others of
            other species; its deviation over ten parts of the pictures.
        r_precision_data: what the birds themselves get.
    """
    if not 200 <= samples <= 10 * BIRDS:
        raise ValueError(f"samples must be between 200 and {10 * BIRDS}; received {samples}")
    judge, info = bird_attributes.shipped() if judge is None else (judge, {})
    match_text, match_image = pair or (None, None)
    size, bird = max(model.sizes), np.arange(samples) % BIRDS
    birds, real, floor = _reference(judge, match_image, size)
    captions = pick(birds.captions, samples)
    ask = np.stack([*map(parse_caption, captions)])  # [N, 7]
    noise = model.noise(samples, seed)

    def pictures():
        for start in range(0, samples, BLOCK):
            rows = slice(start, start + BLOCK)
            yield model.sample(text_encoder(captions[rows]), tuple(part[rows] for part in noise))

    drawn = _seen(judge, match_image, pictures())
    shares = {s: bird_attributes.shares(found, ask) for s, found in drawn["found"].items()}
    scores = dict(shares[size])
    scores["attribute_accuracy_data"] = bird_attributes.shares(real["found"][size][bird], ask)[
        "attribute_accuracy"
    ]
    scores |= {
        f"attribute_accuracy_{s}": numbers["attribute_accuracy"] for s, numbers in shares.items()
    }
    if samples >= BIRDS:
        distance = frechet_distance(
            statistics(drawn["features"][:BIRDS]), statistics(real["features"])
        )
        scores |= {
            "bird_frechet_distance": distance,
            "bird_frechet_floor": floor,
            "bird_frechet_ratio": distance / floor,
        }
    if pair:
        texts, classes = match_text(captions), birds.classes[bird]
        mean, deviation = r_precision(drawn["vectors"], texts, classes)
        scores |= {"r_precision": mean, "r_precision_deviation": deviation}
        scores |= {"r_precision_data": r_precision(real["vectors"][bird], texts, classes)[0]}
    about = {
        "data": "drawn birds, not CUB: captions and pictures of the 50 test species, seed 0",
        "samples": f"{samples} at {', '.join(map(str, shares))} pixels, one a caption; latents of seed {seed}",
        "real": f"the {BIRDS} test birds, drawn at {size * 19 // 16} pixels, the middle {size}",
        "frechet_features": f"the {drawn['features'].shape[1]} inputs of the judge's last layer",
        "frechet_samples": f"the first {BIRDS} pictures against the {BIRDS} test birds",
        "frechet_floor": f"{BIRDS} birds of the test species of seed 1 against the same",
        "r_precision": "one of 100 by cosine, the 99 captions of other species",
    }
    return scores | {"protocol": bird_attributes.protocol(info) | about}


def pick(captions, samples):
    """One of each bird's captions at each turn round the birds, so that all captions come before one comes again."""
    turns = (divmod(i, len(captions)) for i in range(samples))
    return [captions[bird][(bird + turn) % len(captions[bird])] for turn, bird in turns]


@functools.cache  # a run scores many epochs
def _reference(judge, image_encoder, size):
    """The test birds (without their pictures), what is seen in them, and the Fréchet distance of others to them."""
    birds, real = _real(judge, image_encoder, size, seed=0)
    _, others = _real(judge, None, size, seed=1)
    return (
        birds,
        real,
        frechet_distance(statistics(others["features"]), statistics(real["features"])),
    )


def _real(judge, image_encoder, size, seed):
    birds = synthetic_birds(
        "test", BIRDS, seed, size * 19 // 16
    )  # 304 for 256: as cropped in training
    edge = (birds.images.shape[1] - size) // 2
    cut = birds.images[:, edge : edge + size, edge : edge + size]
    seen = _seen(
        judge,
        image_encoder,
        ({size: from_uint8(cut[i : i + BLOCK])} for i in range(0, BIRDS, BLOCK)),
    )
    birds.images = range(BIRDS)  # nobody looks at them again
    return birds, seen


def _seen(judge, image_encoder, blocks):
    """What judge and encoder see in blocks of pictures, each a dictionary size -> [n, size, size, 3].

    Returns:
        found: size -> int [N, 7]; of the largest size, features [N, F] and, with an encoder, vectors [N, E].
    """
    found, features, vectors = {}, [], []
    for pictures in blocks:
        for size in sorted(pictures):  # what is last is the largest
            seen, values = bird_attributes.judged(judge, pictures[size])
            found.setdefault(size, []).append(values)
        features.append(seen)
        if image_encoder is not None:
            vectors.append(image_encoder(pictures[size]))
    return {
        "found": {size: np.concatenate(parts) for size, parts in found.items()},
        "features": np.concatenate(features),
        "vectors": np.concatenate(vectors) if vectors else None,
    }
