"""CLIP as a text encoder."""

import importlib.util
import sys

import numpy as np
import pytest
import tiny_hub

from kerasgan.encoders import text_encoder
from kerasgan.encoders.clip import ClipTextEncoder
from zoo import text_gan


@pytest.mark.skipif(not importlib.util.find_spec("keras_hub"), reason="needs keras-hub (extra hub)")
def test_captions_become_embeddings_of_one_length(tmp_path):
    encode = text_encoder(f"clip:{tiny_hub.write_clip(tmp_path / 'clip')}")
    assert isinstance(encode, ClipTextEncoder) and encode.dim == 8
    found = encode(tiny_hub.CAPTIONS)
    assert found.shape == (4, 8) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 8**0.5, rtol=1e-5)
    right = tiny_hub.expected()["clip_texts"]
    right *= 8**0.5 / np.linalg.norm(right, axis=1, keepdims=True)
    np.testing.assert_allclose(found, right, atol=2e-5)
    np.testing.assert_allclose(encode(tiny_hub.CAPTIONS, batch_size=1), found, atol=1e-5)
    assert encode([]).shape == (0, 8)
    with pytest.raises(ValueError, match="captions must be a list of strings"):
        encode("abcd")
    for name in (f"clip:{tmp_path / 'missing'}", "clip:missing"):
        with pytest.raises(ValueError, match="CLIP must be a keras-hub preset.*; received") as told:
            text_encoder(name)
        assert "\n" not in str(told.value)


def test_models_name_a_clip_instead_of_containing_it():
    assert text_gan.referenced_encoder("clip:anything") == "clip:anything"


def test_keras_hub_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match="need the package keras-hub: pip install keras-hub"):
        text_encoder("clip:clip_vit")
