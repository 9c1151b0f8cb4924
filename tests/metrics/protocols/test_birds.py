import json

import numpy as np
import pytest

from kerasgan.datasets.synthetic_birds import draw_bird, parse_caption
from kerasgan.images import from_uint8
from kerasgan.metrics.protocols import birds
from kerasgan.metrics.protocols.bird_attributes import VALUES
from kerasgan.metrics.protocols.birds import pick, score_birds


class BirdModel:
    """Model that renders the attributes of the caption, and random values of the others.

    Args:
        ignore_captions: If `True`, all attributes are random.
    """

    sizes = (32, 64)

    def __init__(self, ignore_captions=False):
        self.ignore_captions, self.blocks = ignore_captions, []

    def random_latents(self, n, seed):
        return np.random.default_rng(seed).integers(0, 2**31, (n, 2))

    def sample(self, embeddings, latents, sizes):
        self.blocks.append(len(embeddings))
        free = [np.random.default_rng(seeds).integers(0, VALUES) for seeds in latents]
        chosen = np.where((embeddings < 0) | self.ignore_captions, free, embeddings).astype(int)
        images = {
            size: np.stack(
                [draw_bird(a, tuple(s), size) for a, s in zip(chosen, latents, strict=True)]
            )
            for size in self.sizes
        }
        return {size: from_uint8(rendered) for size, rendered in images.items()}


def encode(captions):
    return np.stack([*map(parse_caption, captions)]).astype("float32")


def encode_images(images):
    """Image encoder that returns the colors of 4 x 4 cells."""
    return (
        images.reshape(len(images), 4, images.shape[1] // 4, 4, -1, 3)
        .mean(axis=(2, 4))
        .reshape(len(images), -1)
    )


@pytest.fixture(scope="module", autouse=True)
def few():
    """Uses 200 test birds instead of 1,000."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(birds, "BIRDS", 200)
        birds.reference.cache_clear()
        yield
    birds.reference.cache_clear()


def random_encoder(captions):
    """Text encoder that returns random embeddings of the image encoder's dimension."""
    return np.random.default_rng(0).normal(size=(len(captions), 48))


def test_a_model_that_follows_the_captions_scores_like_the_data():
    model = BirdModel()
    scores = score_birds(model, encode, (random_encoder, encode_images), samples=200)
    assert set(model.blocks) == {birds.BLOCK}
    assert scores["attribute_accuracy"] == scores["attribute_accuracy_64"] > 0.9
    assert scores["attribute_accuracy"] > scores["attribute_accuracy_32"] > 0.4
    assert scores["attribute_accuracy_data"] > 0.9 and 0.2 < scores["attribute_chance"] < 0.35
    assert scores["crown_accuracy"] > 0.9 and scores["bird_frechet_ratio"] < 4
    assert scores["r_precision"] < 0.1 and scores["r_precision_data"] < 0.1
    protocol = json.loads(json.dumps(scores))["protocol"]
    assert protocol["samples"] == "200 at 32, 64 pixels, one per caption; latents of seed 1"


def test_a_model_that_ignores_the_captions_scores_like_chance():
    model = BirdModel(ignore_captions=True)
    model.sizes = (64,)
    scores = score_birds(model, encode, samples=200)
    assert scores["attribute_accuracy"] == pytest.approx(scores["attribute_chance"], abs=0.08)
    assert "r_precision" not in scores


def test_every_caption_is_used_once_before_one_is_repeated():
    captions = [[f"{bird} {i}" for i in range(10)] for bird in range(7)]
    picked = pick(captions, 70)
    assert sorted(picked) == sorted(caption for each in captions for caption in each)
    assert (
        picked[:2] == ["0 0", "1 1"]
        and picked[7:9] == ["0 1", "1 2"]
        and pick(captions, 3) == picked[:3]
    )


@pytest.mark.parametrize("samples", [199, 2001])
def test_too_few_or_too_many(samples):
    with pytest.raises(ValueError, match=f"samples must be between 200 and .*; received {samples}"):
        score_birds(BirdModel(), encode, samples=samples)
