import json

import keras
import numpy as np
import pytest

from kerasgan.datasets.synthetic_birds import ATTRIBUTES, synthetic_birds
from kerasgan.encoders import char_cnn_rnn
from kerasgan.io import checkpoints, presets
from zoo import robust_image_encoder, text_encoder, training_data


@pytest.fixture
def birds(monkeypatch):
    network = char_cnn_rnn.build_text_encoder(width=1 / 16, dim=8)
    monkeypatch.setattr(
        char_cnn_rnn, "text_encoder", lambda name: char_cnn_rnn.TextEncoder(network)
    )
    return synthetic_birds("train", 24, size=76), synthetic_birds("test", 12, size=64)


def settings(folder, **changes):
    return robust_image_encoder.Settings(
        output_dir=str(folder), epochs=2, batch_size=8, width=2, **changes
    )


def test_the_recipe_writes_the_encoder_and_its_log(tmp_path, birds):
    log = robust_image_encoder.run(settings(tmp_path), *birds)
    name = "robust_image_encoder_synthetic_birds_64_R_epoch_2.h5"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "log.json"])
    assert json.loads((tmp_path / "log.json").read_text()) == log
    assert set(log["probe_accuracy"]) == {*ATTRIBUTES, "all"} and 0 <= log["r_precision"][0] <= 1
    for place in (tmp_path, tmp_path / name):
        network = robust_image_encoder.network(place)
        assert network.input_shape == (None, 64, 64, 3) and network.output_shape == (None, 8)
    again = robust_image_encoder.run(settings(tmp_path / "again"), *birds)
    assert again["probe_accuracy"] == log["probe_accuracy"]


def test_batches_hold_images_attributes_and_one_caption_each(birds):
    data = birds[0].embed(lambda captions: np.arange(len(captions), dtype="float32")[:, None])
    batches_of_pairs = training_data.EmbeddingBatches(data, 8, 64, seed=3)
    images, attributes, vectors = batches_of_pairs[1]
    chosen = batches_of_pairs.batch_indices(1)
    assert images.shape == (8, 64, 64, 3) and vectors.shape == (8, 1)
    np.testing.assert_array_equal(attributes, data.attributes[chosen])
    assert all(vector in data.embeddings[i] for i, vector in zip(chosen, vectors, strict=True))
    assert not np.array_equal(vectors, data.embeddings[chosen, 0])


def test_other_files_are_named(tmp_path):
    with pytest.raises(
        checkpoints.CheckpointError,
        match=f"no robust image encoder in {tmp_path}; train one: python -m "
        "zoo.robust_image_encoder",
    ):
        robust_image_encoder.network(tmp_path)
    path = tmp_path / "judge_C_epoch_1.h5"
    images = keras.Input((8, 8, 3))
    classifier = keras.Model(images, keras.layers.Dense(2)(keras.layers.Flatten()(images)))
    checkpoints.save_network(path, classifier, epoch=1, letter="C")
    with pytest.raises(
        checkpoints.CheckpointError, match="must hold a robust image encoder \\(R\\); it holds C"
    ):
        robust_image_encoder.network(path)


def test_the_shipped_encoder_has_the_settings_of_the_recipe():
    wanted, log = (
        robust_image_encoder.Settings(),
        json.loads((robust_image_encoder.FOLDER / "log.json").read_text()),
    )
    log["settings"]["text_encoder"] = presets.find(
        log["settings"]["text_encoder"]
    ).name  # The preset was renamed.
    differing = {name for name, value in vars(wanted).items() if log["settings"].get(name) != value}
    assert differing <= {"output_dir", "augment", "data"}  # settings newer than the file
    network, shipped = robust_image_encoder.network(), char_cnn_rnn.text_encoder()
    assert (
        network.output_shape == (None, shipped.dim) and network.input_shape[1] == text_encoder.SIZE
    )
    path = checkpoints.latest(robust_image_encoder.FOLDER, letter="R")
    assert checkpoints.verify(path)["epoch"] == wanted.epochs and path.stat().st_size <= 5e6
    assert log["probe_accuracy"]["all"] >= 0.8
