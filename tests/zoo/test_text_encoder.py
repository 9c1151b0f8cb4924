import dataclasses
import json

import numpy as np
import pytest

from kerasgan.datasets.synthetic_birds import ATTRIBUTES, synthetic_birds
from kerasgan.encoders import char_cnn_rnn
from kerasgan.io import checkpoints, presets
from zoo import text_encoder as recipe

TINY = recipe.Settings(epochs=1, batch_size=8, width=1 / 16, image_width=4, dim=16)


@pytest.fixture(scope="module")
def birds():
    return synthetic_birds("train", 24, size=76), synthetic_birds("test", 12, size=64)


def test_the_probe_predicts_encoded_attributes_only():
    random = np.random.default_rng(0)
    limits = [len(values) for values in ATTRIBUTES.values()]
    said = random.integers(0, limits, (900, len(limits)))
    vectors = np.concatenate(
        [np.eye(n)[column] for n, column in zip(limits, said.T, strict=True)], axis=1
    )
    vectors = vectors @ random.normal(size=(sum(limits), 40)) + 3
    said[
        random.random(said.shape) < 0.5
    ] = -1  # Attributes that the caption does not name are left out.
    vectors[:, :] = np.where((said >= 0).any(axis=1, keepdims=True), vectors, 1e6)
    found = recipe.probe(vectors[:600], said[:600], vectors[600:], said[600:])
    assert list(found) == [*ATTRIBUTES, "all"] and set(found.values()) == {1.0}
    blind = recipe.probe(
        random.normal(size=(600, 4)), said[:600], random.normal(size=(300, 4)), said[600:]
    )
    assert blind["crown"] < 0.3 and blind["all"] < 0.5


def test_the_recipe_writes_encoders_card_and_log(tmp_path, birds):
    settings = dataclasses.replace(TINY, output_dir=str(tmp_path / "mine"))
    log = recipe.run(settings, *birds)
    folder = tmp_path / "mine"
    assert sorted(path.name for path in folder.iterdir()) == [
        "T.h5",
        "V.h5",
        "card.md",
        "log.json",
        "vocabulary.txt",
    ]
    assert json.loads((folder / "log.json").read_text()) == log
    assert set(log["probe_accuracy"]) == {*ATTRIBUTES, "all"} and 0 <= log["r_precision"][0] <= 1
    vectors = char_cnn_rnn.text_encoder(folder)(recipe.all_captions(birds[0]))
    assert vectors.shape == (240, 16) and vectors.var() == pytest.approx(1, rel=0.1)
    assert checkpoints.read_info(folder / "T.h5")["epoch"] == 1
    assert presets.card(folder).startswith("# mine\n")


def test_the_shipped_encoders_have_the_settings_of_the_recipe():
    folder = presets.find(recipe.NAME)
    settings, log = recipe.Settings(), json.loads((folder / "log.json").read_text())
    differing = {
        name for name, value in vars(settings).items() if log["settings"].get(name) != value
    }
    # Settings newer than the file; it was trained on the birds of the training species.
    assert differing <= {"output_dir", "augment", "data", "birds"} and settings.birds == "train"
    shipped = char_cnn_rnn.JointEmbedding.from_preset(recipe.NAME)
    built = (
        char_cnn_rnn.build_text_encoder(settings.recurrent, settings.width, settings.dim),
        char_cnn_rnn.build_image_encoder(recipe.SIZE, settings.image_width, settings.dim),
    )
    for one, other in zip((shipped.text_encoder, shipped.image_encoder), built, strict=True):
        assert [weight.shape for weight in one.weights] == [
            weight.shape for weight in other.weights
        ]
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 5e6
    for letter in "TV":
        assert checkpoints.verify(folder / f"{letter}.h5")["epoch"] == settings.epochs
    assert min(log["probe_accuracy"].values()) >= 0.95


def test_the_shipped_encoder_distinguishes_colors():
    encode = char_cnn_rnn.text_encoder()
    said, reworded, other = encode(
        ["a bird with a red belly", "the bird has a red breast", "a bird with a blue belly"]
    )
    assert encode.dim == 1024 and np.linalg.norm(said - reworded) < np.linalg.norm(said - other)
