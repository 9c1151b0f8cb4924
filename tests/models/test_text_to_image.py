"""`sample(captions=...)` of every text-to-image model, and the text encoder in its files."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.encoders import char_cnn_rnn
from kerasgan.io import checkpoints
from kerasgan.models import hdgan, projected_text_gan

DIM = 6


def hierarchical(size=128, **arguments):
    sizes = (64, 128) if size == 128 else (64,)
    generator = hdgan.build_generator(sizes, 2, embedding_dim=DIM, latent_dim=5, condition_dim=4)
    discriminators = {
        s: hdgan.build_discriminator(s, 2, embedding_dim=DIM, text_dim=3) for s in sizes
    }
    return hdgan.HDGAN(generator, discriminators, **arguments)


def projected(size=64, **arguments):
    generator = projected_text_gan.build_generator(
        size, 1, embedding_dim=DIM, latent_dim=3, condition_dim=4
    )
    pixels = projected_text_gan.build_pixel_discriminator(64, 2, embedding_dim=DIM, text_dim=3)
    encoder = char_cnn_rnn.build_image_encoder(64, 2, DIM)
    return projected_text_gan.ProjectedTextGAN(generator, encoder, {"pixels": pixels}, **arguments)


MODELS = [hierarchical, projected]


def small_text_encoder(dim=DIM, vocabulary=("a", "red", "bird")):
    keras.utils.set_random_seed(1)
    network = char_cnn_rnn.build_text_encoder(width=1 / 64, dim=dim)
    return char_cnn_rnn.TextEncoder(network, vocabulary)


@pytest.mark.backend
@pytest.mark.parametrize("model", MODELS)
def test_sample_from_captions(model):
    encode = small_text_encoder()
    gan = model(text_encoder=encode)
    captions, size = ["a red bird", "a bird"], gan.sizes[-1]
    images = gan.sample(captions=captions, seed=0)
    assert images.shape == (2, size, size, 3) and images.dtype == np.float32
    assert not np.array_equal(images[0], images[1])
    by_size = gan.sample(captions=captions, seed=0, sizes="all")
    assert tuple(by_size) == gan.sizes
    np.testing.assert_allclose(by_size[size], images, atol=1e-5)
    for same in (
        gan.sample(embeddings=encode(captions), seed=0),
        gan.sample(captions=captions, latents=gan.random_latents(2, seed=0)),
        gan.sample(captions=captions, seed=0, batch_size=1),
    ):
        np.testing.assert_allclose(same, images, atol=1e-5)
    assert not np.array_equal(gan.sample(captions=captions, seed=1), images)
    with pytest.warns(UserWarning, match="not trained on the words dog, on, bicycle;") as caught:
        gan.sample(captions=["a dog on a bicycle", "a dog"], seed=0)
    assert sum("not trained on the words" in str(each.message) for each in caught) == 1


@pytest.mark.parametrize("model", MODELS)
def test_a_function_may_encode_captions(model):
    own = model(text_encoder=lambda captions: np.ones((len(captions), DIM), "float32"))
    size = own.sizes[-1]
    assert own.sample(captions=["anything"], seed=0).shape == (1, size, size, 3)
    assert own.get_config()["text_encoder"] is None


@pytest.mark.parametrize("model", MODELS)
def test_sample_needs_one_condition(model):
    rule = r"sample takes either captions=\[...\] or embeddings=, one for each image, .*; received "
    gan, embeddings = model(), np.ones((1, DIM), "float32")
    for arguments, received in [
        ({"n": 4}, "n"),
        ({"n": embeddings}, "n"),
        ({}, "none"),
        ({"captions": ["a"], "embeddings": embeddings}, "captions and embeddings"),
        ({"n": 1, "captions": ["a"]}, "n and captions"),
    ]:
        with pytest.raises(ValueError, match=rule + received):
            gan.sample(**arguments)
    name = type(gan).__name__
    with pytest.raises(ValueError, match=rf"captions need .* \({name}\(text_encoder.*: give emb"):
        gan.sample(captions=["a red bird"])
    encoded = model(text_encoder=lambda captions: np.ones((len(captions), DIM), "float32"))
    with pytest.raises(ValueError, match="captions must contain at least one caption; received no"):
        encoded.sample(captions=[])
    with pytest.raises(ValueError, match=r"sizes must be None \(the largest\) or 'all'; received"):
        gan.sample(embeddings=embeddings, sizes=64)
    with pytest.raises(ValueError, match="generator's dimension, 6; received one of dimension 5"):
        model(text_encoder=small_text_encoder(5))


@pytest.mark.parametrize("model", MODELS)
def test_a_preset_contains_its_text_encoder(model, tmp_path):
    gan = model(64, text_encoder=small_text_encoder())
    gan.save_to_preset(tmp_path / "contains")
    assert {path.name for path in (tmp_path / "contains").glob("*.h5")} == {"G.h5", "T.h5"}
    loaded = type(gan).from_preset(tmp_path / "contains")
    assert loaded.text_encoder.vocabulary == {"a", "red", "bird"}
    images = gan.sample(captions=["a red bird"], seed=0)
    np.testing.assert_allclose(loaded.sample(captions=["a red bird"], seed=0), images, atol=0.02)
    gan = type(gan).from_config(gan.get_config())  # without what is for training only
    gan.text_network.set_weights(loaded.text_network.get_weights())
    images = gan.sample(captions=["a red bird"], seed=0)
    gan.save(tmp_path / "gan.keras")
    again = keras.saving.load_model(tmp_path / "gan.keras")
    np.testing.assert_allclose(again.sample(captions=["a red bird"], seed=0), images, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_a_preset_names_a_shipped_text_encoder(model, tmp_path):
    named = model(64, text_encoder="synthetic_birds_text")
    assert "text_encoder" not in named.checkpoint_networks()
    named.save_to_preset(tmp_path / "names")
    assert [path.name for path in (tmp_path / "names").glob("*.h5")] == ["G.h5"]
    again = type(named).from_preset(tmp_path / "names")
    assert again.text_encoder_name == "synthetic_birds_text"
    with pytest.raises(
        ValueError, match="generator's dimension, 6; received one of dimension 1024"
    ):
        again.sample(captions=["a red bird"])


@pytest.mark.parametrize("model", MODELS)
def test_a_file_of_an_earlier_version_names_its_text_encoder_in_its_info(model, tmp_path):
    gan = model(64)
    info = {"text_encoder": "synthetic_birds_text"}
    path = tmp_path / "r_d_64_G_epoch_1.h5"
    checkpoints.save_network(path, gan.generator, epoch=1, model=gan, info=info)
    assert checkpoints.load_model(path)[0].text_encoder_name == "synthetic_birds_text"


@pytest.mark.parametrize("model", MODELS)
def test_training_does_not_change_the_text_encoder(model):
    encode = small_text_encoder()
    gan = model(64, text_encoder=encode)
    adam = {player: keras.optimizers.Adam(1e-2) for player in gan.players}
    gan.compile(**adam, run_eagerly=True)
    variables = encode.network.variables
    before = [ops.convert_to_numpy(ops.copy(v)) for v in variables]
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, [2, 3, 64, 64, 3]).astype("float32")
    images = images if model is hierarchical else images[:1]
    gan.train_on_batch(tuple([*images, random.normal(size=[3, DIM]).astype("float32")]))
    for old, new in zip(before, variables, strict=True):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(new))


@pytest.mark.parametrize("model", MODELS)
def test_a_run_saved_without_its_text_encoder_resumes(model, tmp_path):
    """Earlier versions did not save a text encoder of one's own with a run."""

    def compiled(**arguments):
        gan = model(**arguments)
        gan.compile(generator=keras.optimizers.Adam(0.1), discriminator="adam")
        return gan

    saved = compiled()
    saved.optimizer["generator"].iterations.assign(7)
    name = {"run": "birds", "dataset": "mine", "size": 64}
    checkpoints.save(tmp_path, saved, epoch=3, **name)
    resumed = compiled(text_encoder=small_text_encoder())
    before = [w.copy() for w in resumed.text_network.get_weights()]
    assert checkpoints.resume(tmp_path, resumed) == 3
    assert int(resumed.optimizer["generator"].iterations) == 7
    for a, b in zip(saved.generator.get_weights(), resumed.generator.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(before, resumed.text_network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    checkpoints.save(tmp_path, resumed, epoch=4, **name)  # From now on, files hold the encoder.
    assert checkpoints.resume(tmp_path, compiled(text_encoder=small_text_encoder())) == 4


@pytest.mark.parametrize("index", [0, 1])
def test_a_run_without_another_network_does_not_resume(index, tmp_path, monkeypatch):
    saved, gan = hierarchical(), hierarchical()
    for each in (saved, gan):
        each.compile(generator="adam", discriminator="adam")
    networks = saved.checkpoint_networks()
    del networks[list(networks)[index]]
    monkeypatch.setattr(saved, "checkpoint_networks", lambda: networks)
    checkpoints.save(tmp_path, saved, run="birds", dataset="mine", size=128, epoch=1)
    with pytest.raises(checkpoints.CheckpointError, match="with the networks"):
        checkpoints.resume(tmp_path, gan)
