"""CLIP as a text encoder, with a stand-in for keras-hub."""

import sys
import types

import numpy as np
import pytest

from kerasgan.encoders import text_encoder
from kerasgan.encoders.clip import ClipTextEncoder
from zoo import text_gan


class Tokenizer:
    start_token_id, end_token_id, pad_token_id = 1, 2, 2

    def __call__(self, text):
        return np.array([ord(letter) for letter in text])


class Backbone:
    projection_dim = 4

    def get_text_embeddings(self, tokens):
        tokens = np.asarray(tokens)
        assert tokens.shape[1:] == (77,) and (tokens[:, 0] == 1).all()
        assert ((tokens == 2).sum(axis=1) >= 1).all()
        return tokens[:, 1:5].astype("float32")


@pytest.fixture
def hub(monkeypatch):
    def loads(kind):
        def from_preset(name):
            if "missing" in name:
                raise ValueError(f"Unknown preset {name}")
            return kind()

        return types.SimpleNamespace(from_preset=from_preset)

    models = types.SimpleNamespace(CLIPTokenizer=loads(Tokenizer), CLIPBackbone=loads(Backbone))
    monkeypatch.setitem(sys.modules, "keras_hub", types.SimpleNamespace(models=models))


def test_captions_become_embeddings_of_one_length(hub):
    encode = text_encoder("clip:clip_vit")
    assert isinstance(encode, ClipTextEncoder) and encode.dim == 4
    found = encode(["Abcd", "abcd", "a long caption " * 20])
    assert found.shape == (3, 4) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 2, rtol=1e-5)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(encode(["abcd", "bcde"], batch_size=1)[0], found[0])
    assert encode([]).shape == (0, 4)
    with pytest.raises(ValueError, match="captions must be a list of strings"):
        encode("abcd")


def test_models_name_a_clip_instead_of_containing_it():
    assert text_gan.referenced_encoder("clip:anything") == "clip:anything"


@pytest.mark.parametrize("name", ["clip:missing", "clip:/missing/folder"])
def test_a_missing_preset_is_one_line(hub, name):
    with pytest.raises(
        ValueError, match="clip: must name a .*keras-hub preset.*; received"
    ) as told:
        text_encoder(name)
    assert "\n" not in str(told.value)


def test_keras_hub_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match="needs the package keras-hub: pip install keras-hub"):
        text_encoder("clip:clip_vit")
