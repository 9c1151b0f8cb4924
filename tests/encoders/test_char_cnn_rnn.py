import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.datasets.synthetic_birds import generate_captions
from kerasgan.encoders import char_cnn_rnn as text
from kerasgan.io import checkpoints, presets
from tests.marks import slow_on_jax

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 220, 30),
    "blue": (30, 30, 220),
    "white": (240, 240, 240),
}


def patches(count=32, size=20):
    """Images of a single color, each with two captions."""
    names = [list(COLOURS)[i % 4] for i in range(count)]
    return CaptionedImages(
        images=np.stack([np.full((size, size, 3), COLOURS[name], "uint8") for name in names]),
        classes=np.arange(count, dtype="int32") % 4,
        captions=[[f"a {name} patch", f"this patch is {name}"] for name in names],
        names=[str(i) for i in range(count)],
    )


def small_model():
    return text.JointEmbedding(
        text.build_text_encoder(width=1 / 16, dim=12), text.build_image_encoder(16, 4, 12)
    )


def compiled(model):
    model.compile(encoders=keras.optimizers.Adam(5e-3))
    return model


def test_the_alphabet_is_that_of_the_paper():
    assert len(text.ALPHABET) == 70 and len(set(text.ALPHABET)) == 69
    assert text.ALPHABET.count("-") == 2


def test_characters():
    indices = text.characters(["Ab-é 1", "x" * 10_000])
    assert indices.shape == (2, 201) and indices.dtype == np.int32
    # "-" has its second index, as in the code of the paper; "é" is unknown; "A" becomes "a".
    assert indices[0, :6].tolist() == [0, 1, text.ALPHABET.rindex("-"), -1, 69, 27]
    assert (indices[0, 6:] == -1).all() and (indices[1] == 23).all()


@pytest.mark.parametrize("caption", ["", "   ", "鳥", "\n\t", "鳥" * 300 + "red"])
def test_a_caption_without_a_known_character_raises(caption):
    with pytest.raises(
        ValueError, match="a caption must contain a letter, digit or punctuation mark .*; received"
    ):
        text.characters(["a red bird", caption])


@pytest.mark.parametrize("captions", ["a red bird", [b"a red bird"], [None]])
def test_captions_must_be_a_list_of_strings(captions):
    with pytest.raises(ValueError, match="captions must be a list of strings; received"):
        text.characters(captions)


def test_networks_have_the_papers_number_of_parameters():
    convolutions = 70 * 4 * 384 + 384 + 384 * 4 * 512 + 512
    rnn, gru = text.build_text_encoder("rnn"), text.build_text_encoder("gru")
    last, recurrent, linear = 512 * 4 * 256 + 256, 2 * 256 * 256 + 256, 256 * 1024 + 1024
    assert rnn.count_params() == convolutions + last + recurrent + linear
    last, recurrent, linear = 512 * 4 * 512 + 512, 3 * (2 * 512 * 512 + 512), 512 * 1024 + 1024
    assert gru.count_params() == convolutions + last + recurrent + linear
    steps = [n.get_layer(index=-2).input.shape[1] for n in (rnn, gru)]
    assert steps == [8, 18] and rnn.output_shape == gru.output_shape == (None, 1024)
    with pytest.raises(ValueError, match="recurrent must be rnn or gru; received 'lstm'"):
        text.build_text_encoder("lstm")


@pytest.mark.backend
def test_an_unknown_character_is_a_row_of_zeros():
    network = text.build_text_encoder(width=1 / 16, dim=8)
    first = next(layer for layer in network.layers if isinstance(layer, keras.layers.Conv1D))
    onehot = np.zeros((1, 201, 70), "float32")
    onehot[0, 0, 17] = 1  # r
    expected = ops.convert_to_numpy(keras.Model(first.input, network.output)(onehot))
    np.testing.assert_allclose(text.TextEncoder(network)(["R"]), expected, atol=1e-6)
    np.testing.assert_allclose(text.TextEncoder(network)(["ré鳥"]), expected, atol=1e-6)


@pytest.mark.backend
def test_the_loss_against_a_loop():
    random = np.random.default_rng(0)
    images, texts, labels = (
        random.normal(size=(5, 3)),
        random.normal(size=(5, 3)),
        np.array([0, 1, 2, 1, 3]),
    )
    expected = 0.0
    for i in range(5):
        for j in range(5):
            if labels[i] != labels[j]:
                expected += max(
                    0, 1 + images[i] @ texts[j] - images[i] @ texts[i]
                )  # Another text for the image.
                expected += max(
                    0, 1 + images[j] @ texts[i] - images[i] @ texts[i]
                )  # Another image for the text.
    own_first = np.mean((images @ texts.T).argmax(axis=1) == np.arange(5))
    arguments = [
        ops.convert_to_tensor(x, d)
        for x, d in ((images, "float32"), (texts, "float32"), (labels, "int32"))
    ]
    loss, accuracy = text.joint_embedding_loss(*arguments)
    assert float(loss) == pytest.approx(expected / 25, rel=1e-5)
    assert float(accuracy) == pytest.approx(own_first)


@slow_on_jax
@pytest.mark.backend
def test_training_improves_both_encoders():
    model, batches = (
        compiled(small_model()),
        text.CaptionedPairs(patches(), 16, size=16, match="class"),
    )
    before = [v.copy() for v in model.get_weights()]
    first = model.evaluate(batches, verbose=0, return_dict=True)
    history = model.fit(batches, epochs=12, verbose=0).history
    last = model.evaluate(batches, verbose=0, return_dict=True)
    assert set(history) == set(first) == {"encoders_loss", "accuracy"}
    assert history["encoders_loss"][-1] < 0.7 * history["encoders_loss"][0]
    assert last["encoders_loss"] < 0.8 * first["encoders_loss"]
    assert all(
        np.abs(now - then).max() > 0 for now, then in zip(model.get_weights(), before, strict=True)
    )


def test_batches_are_functions_of_seed_epoch_and_index():
    one, other = (text.CaptionedPairs(patches(), 8, size=16, seed=3) for _ in range(2))
    other[0]
    for x, y in zip(one[2], other[2], strict=True):
        np.testing.assert_array_equal(x, y)
    images, indices, labels = one[0]
    assert images.shape == (8, 16, 16, 3) and images.dtype == np.float32 and abs(images).max() <= 1
    assert indices.shape == (8, 201) and indices.dtype == labels.dtype == np.int32
    other.set_epoch(1)
    assert not np.array_equal(one[2][2], other[2][2])


def test_labels_of_matching_captions():
    data = patches(8)
    assert len(set(text.CaptionedPairs(data, 4, size=16).labels)) == 8
    np.testing.assert_array_equal(
        text.CaptionedPairs(data, 4, size=16, match="class").labels, data.classes
    )
    data.attributes = np.array(
        [[0]] * 4 + [[0], [0], [0], [1]], "int8"
    )  # 0 and 4, 1 and 5, 2 and 6 have equal attributes.
    labels = text.CaptionedPairs(data, 4, size=16).labels
    assert (labels[:3] == labels[4:7]).all() and len(set(labels)) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 1}, "batch_size must be between 2 and the 32 images; received 1"),
        ({"batch_size": 33}, "batch_size must be between 2 and the 32 images; received 33"),
        (
            {"batch_size": 4, "match": "species"},
            "match must be class or instance; received 'species'",
        ),
        (
            {"batch_size": 4, "size": 64},
            "images must be at least 64 pixels high and wide; received 20 x 20",
        ),
    ],
)
def test_invalid_arguments_of_pairs(arguments, message):
    with pytest.raises(ValueError, match=message):
        text.CaptionedPairs(patches(), **arguments)


def test_encoders_must_have_one_dimension():
    with pytest.raises(ValueError, match="must have the same output dimension; received 8 and 12"):
        text.JointEmbedding(
            text.build_text_encoder(width=1 / 16, dim=8), text.build_image_encoder(16, 4, 12)
        )


def test_standardized_embeddings_rank_captions_equally():
    model = small_model()
    captions = [f"{a} {b}" for a in "a few words that differ in all".split() for b in COLOURS]
    images = np.random.default_rng(0).uniform(-1, 1, (6, 16, 16, 3)).astype("float32")
    encode_text, encode_image = (
        text.TextEncoder(model.text_encoder),
        text.ImageEncoder(model.image_encoder),
    )
    before = encode_image(images) @ encode_text(captions).T
    model.standardize(captions)
    embeddings = encode_text(captions)
    np.testing.assert_allclose(embeddings.mean(axis=0), 0, atol=1e-4)
    assert embeddings.var() == pytest.approx(1, rel=1e-3)
    change = encode_image(images) @ embeddings.T - before
    np.testing.assert_allclose(
        change, change[:, :1].repeat(len(captions), 1), atol=1e-4
    )  # The change is one number per image.


def test_text_encoder():
    encode = text.TextEncoder(small_model().text_encoder)
    captions = ["a small red bird", "x" * 10_000, "A SMALL RED BIRD", "x" * 201]
    embeddings = encode(captions, batch_size=3)
    assert encode.dim == 12 and embeddings.shape == (4, 12) and embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings[:2], embeddings[2:], atol=1e-6)
    assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-4
    assert encode([]).shape == (0, 12)
    with pytest.raises(
        ValueError, match=r"a text encoder must take characters \[N, 201\]; received"
    ):
        text.TextEncoder(small_model().image_encoder)


def test_image_encoder_pools_larger_images():
    encode = text.ImageEncoder(small_model().image_encoder)
    images = np.random.default_rng(0).uniform(-1, 1, (3, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(
        encode(images.repeat(4, 1).repeat(4, 2)), encode(images, batch_size=2), atol=1e-5
    )
    with pytest.raises(ValueError, match=r"with S a multiple of 16; received \[3, 8, 8, 3\]"):
        encode(images[:, :8, :8])


@pytest.mark.backend
def test_preset_round_trip(tmp_path):
    model, captions = small_model(), ["a red bird", "a blue one"]
    model.save_to_preset(tmp_path / "mine")
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == ["T.h5", "V.h5", "card.md"]
    encode = text.text_encoder(tmp_path / "mine")
    np.testing.assert_allclose(
        encode(captions), text.TextEncoder(model.text_encoder)(captions), atol=2e-3
    )
    np.testing.assert_array_equal(
        encode(captions), text.text_encoder(tmp_path / "mine" / "T.h5")(captions)
    )
    loaded = text.JointEmbedding.from_preset(tmp_path / "mine")
    kernel = model.image_encoder.get_layer("embedding").get_weights()[0]
    np.testing.assert_allclose(
        loaded.image_encoder.get_layer("embedding").get_weights()[0], kernel, atol=1e-3
    )
    assert text.image_encoder(tmp_path / "mine").dim == 12
    with pytest.raises(
        checkpoints.CheckpointError, match="V.h5 must hold the network T; it holds V"
    ):
        text.text_encoder(tmp_path / "mine" / "V.h5")
    with pytest.raises(ValueError, match="a preset must be one of .*received 'typo'"):
        text.text_encoder("typo")


def test_a_preset_of_encoders_needs_the_text_encoder(tmp_path):
    with pytest.raises(
        ValueError, match="must be among .* and include text_encoder; received image_encoder"
    ):
        presets.save(small_model(), tmp_path, networks=("image_encoder",))


# === Vocabulary ===


def test_words_outside_the_vocabulary_give_one_warning():
    encode = text.TextEncoder(small_model().text_encoder, {"a", "red", "bird"})
    assert encode.unknown_words(["A red, red bird!", "a dog on a dog's bed"]) == [
        "dog",
        "on",
        "dog's",
        "bed",
    ]
    with pytest.warns(UserWarning, match="not trained on the words dog, on; images") as caught:
        embeddings = encode(["a red bird", "a dog on a red dog"])
    assert len(caught) == 1 and embeddings.shape == (2, 12)
    encode(["A red bird."])  # Warnings are errors in this test suite.
    with pytest.warns(UserWarning, match="words b, c, d, e, f, g, h, i, j, k and 2 more; images"):
        encode(["a b c d e f g h i j k l m"])


def test_the_vocabulary_is_saved_with_a_preset_and_in_a_configuration(tmp_path):
    model = small_model()
    model.save_to_preset(tmp_path, captions=["a red bird", "A bird, blue"])
    assert (tmp_path / "vocabulary.txt").read_text() == "a\nbird\nblue\nred\n"
    for source in (tmp_path, tmp_path / "T.h5"):
        assert text.text_encoder(source).vocabulary == {"a", "bird", "blue", "red"}
    encode = text.TextEncoder(model.text_encoder, ["a", "red"])
    config = keras.saving.serialize_keras_object(encode)
    assert keras.saving.deserialize_keras_object(config).vocabulary == {"a", "red"}
    assert text.TextEncoder(model.text_encoder).unknown_words(["dog"]) == []


def test_the_shipped_vocabulary_is_that_of_the_synthetic_birds():
    encode = text.text_encoder()
    captions = [
        caption
        for seed in range(200)
        for caption in generate_captions([seed % 8, 1, 2, 0, 1, seed % 2, 0], seed)
    ]
    assert encode.unknown_words(captions) == []
    assert encode.unknown_words(["a small red bird on a bicycle"]) == ["bicycle"]
