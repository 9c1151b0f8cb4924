"""DINOv2 and CLIP with random weights against their published code, see make_hub.py."""

import hashlib
import importlib.util
import json
import sys
import types

import keras
import numpy as np
import pytest
import tiny_hub

from kerasgan.metrics.features import clip as clip_features, fingerprints, hub
from kerasgan.metrics.features.clip import load_clip
from kerasgan.metrics.features.dinov2 import DINOv2, position_embeddings
from kerasgan.metrics.features.extract import extract

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("keras_hub"), reason="needs keras-hub (extra hub)"
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    pytest.importorskip("safetensors")
    home = tmp_path_factory.mktemp("presets")
    return tiny_hub.write_dinov2(home / "dinov2"), tiny_hub.write_clip(home / "clip")


@pytest.fixture(scope="module")
def expected():
    return tiny_hub.expected()


@pytest.fixture(scope="module")
def dinov2(folders):
    return DINOv2(folders[0])


@pytest.fixture(scope="module")
def clip(folders):
    return load_clip(folders[1])


# === Parity ===


@pytest.mark.backend
def test_dinov2_equals_metas_network_after_dgm_evals_preprocessing(dinov2, folders, expected):
    images, right = expected["images"], expected["dinov2_features"]
    found = dinov2(images)
    assert found.shape == (3, 24) and found.dtype == "float32"
    assert np.abs(right[0] - right[1]).max() > 0.1
    np.testing.assert_allclose(found, right, rtol=0, atol=1e-5)
    np.testing.assert_allclose(dinov2(images[1:2]), right[1:2], rtol=0, atol=1e-5)
    clean = DINOv2(folders[0], resize="clean")
    np.testing.assert_allclose(clean(images), expected["dinov2_clean"], rtol=0, atol=1e-5)
    assert np.abs(expected["dinov2_clean"] - right).max() > 1e-3


@pytest.mark.backend
def test_clip_equals_open_clip_after_cmmds_preprocessing(clip, expected):
    for size in (32, 2):  # Batch sizes.
        found = clip.images(expected["images"], batch_size=size)
        np.testing.assert_allclose(found, expected["clip_images"], rtol=0, atol=1e-5)
        texts = clip.texts(tiny_hub.CAPTIONS, batch_size=size)
        np.testing.assert_allclose(texts, expected["clip_texts"], rtol=0, atol=1e-5)
    assert found.shape == texts[:3].shape == (3, clip.dim) and found.dtype == texts.dtype
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() > 0.1  # Not normalized.
    np.testing.assert_array_equal(clip(expected["images"]), clip.images(expected["images"]))
    assert clip.texts([]).shape == (0, 8)


def test_tokens_equal_those_of_transformers(clip, expected):
    np.testing.assert_array_equal(clip._tokens(tiny_hub.CAPTIONS), expected["clip_tokens"])
    upper = [caption.upper().replace("&AMP;", "&amp;") for caption in tiny_hub.CAPTIONS]
    np.testing.assert_array_equal(clip._tokens(upper), expected["clip_tokens"])


def test_position_embeddings_of_the_trained_size_stay():
    table = np.random.default_rng(0).normal(size=(1, 1 + 9, 4)).astype("float32")
    np.testing.assert_array_equal(position_embeddings(table, 3), table)
    constant = np.ones((1, 26, 2), "float32")
    np.testing.assert_allclose(position_embeddings(constant, 16), np.ones((1, 257, 2)), rtol=1e-6)


# === Presets ===


@pytest.mark.backend
def test_presets_of_keras_hub_have_the_same_features_and_fingerprint(
    dinov2, clip, folders, expected, tmp_path, monkeypatch
):
    from keras_hub import models

    backbone = models.DINOV2Backbone.from_preset(str(folders[0]))
    backbone.save_to_preset(str(tmp_path / "dinov2"))
    assert (tmp_path / "dinov2" / "model.weights.h5").is_file()
    again = DINOv2(tmp_path / "dinov2")
    assert again.protocol == dinov2.protocol and again.file_sha256 != dinov2.file_sha256
    np.testing.assert_allclose(again(expected["images"]), dinov2(expected["images"]), atol=1e-5)

    built = hub.load_backbone(clip_features._build, folders[1], "CLIP")[0]
    built.save_to_preset(str(tmp_path / "clip"))
    clip.tokenizer.save_to_preset(str(tmp_path / "clip"))
    other = load_clip(tmp_path / "clip")
    assert other.protocol == clip.protocol
    np.testing.assert_allclose(
        other.images(expected["images"]), clip.images(expected["images"]), atol=1e-5
    )
    captions = tiny_hub.CAPTIONS
    np.testing.assert_allclose(other.texts(captions), clip.texts(captions), atol=1e-5)


def test_weights_in_pytorchs_format(clip, expected, tmp_path):
    pytest.importorskip("torch")
    other = load_clip(tiny_hub.write_clip(tmp_path / "clip", torch_file=True))
    assert other.protocol == clip.protocol
    content = (tmp_path / "clip" / "pytorch_model.bin").read_bytes()
    assert other.file_sha256 == hashlib.sha256(content).hexdigest() != clip.file_sha256


def test_names_of_hubs_are_downloaded(folders, tmp_path, monkeypatch):
    asked = []

    def snapshot_download(repository, allow_patterns):
        asked.append((repository, allow_patterns))
        if repository == "missing":
            raise OSError("404\nnot found")
        return str(folders[0])

    def model_download(handle):
        asked.append(handle)
        return str(folders[0])

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setattr("kagglehub.model_download", model_download)
    presets = {"dinov2_large": {"kaggle_handle": "kaggle://keras/dinov2/keras/dinov2_large/1"}}
    for name in ("dinov2_large", "kaggle://a/b/keras/c/2", "hf://facebook/dinov2-large"):
        assert hub.preset_folder(name, presets, "DINOv2") == folders[0]
    assert asked[:2] == ["keras/dinov2/keras/dinov2_large/1", "a/b/keras/c/2"]
    assert asked[2][0] == "facebook/dinov2-large" and "*.json" in asked[2][1]
    with pytest.raises(ValueError, match="received hf://missing .404 not found.") as told:
        hub.preset_folder("hf://missing", presets, "DINOv2")
    assert "\n" not in str(told.value)
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download",
        lambda repository, allow_patterns: asked.append(allow_patterns) or str(tmp_path),
    )
    hub.preset_folder("hf://only/pytorch", presets, "CLIP")
    assert asked[-1] == ["pytorch_model.bin"]


# === Names and protocols ===


def test_protocols_state_preprocessing_layer_and_token(dinov2, clip, folders, expected):
    digest = dinov2.protocol["weights_sha256"]
    assert json.loads(json.dumps(dinov2.protocol)) == {
        "network": f"unknown weights {digest[:8]} of DINOv2",
        "weights_sha256": digest,
        "resize": "Pillow bicubic, antialiased, rounded to 8 bits, 224",
        "inputs": "(RGB / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]",
        "features": "class token after the last layer norm, 24",
    }
    assert clip.protocol["resize"].startswith("central square, then Pillow bicubic")
    assert clip.protocol["features"] == "class token after the projection, 8, not normalized"
    assert load_clip(folders[1], "clean").protocol["resize"] != clip.protocol["resize"]
    found = extract(expected["images"], dinov2, progress=False)
    assert found.protocol == dinov2.protocol and found.features.shape == (3, 24)


def test_known_files_have_the_published_name(folders, monkeypatch, dinov2, clip):
    monkeypatch.setitem(fingerprints.KNOWN, dinov2.file_sha256, "DINOv2 ViT-L/14")
    assert DINOv2(folders[0]).protocol["network"] == "DINOv2 ViT-L/14"
    monkeypatch.setitem(fingerprints.KNOWN, clip.protocol["weights_sha256"], "CLIP ViT-B/32")
    assert load_clip(folders[1]).protocol["network"] == "CLIP ViT-B/32"


@pytest.mark.backend
def test_the_fingerprint_is_equal_on_all_backends(dinov2, clip):
    assert dinov2.protocol["weights_sha256"].startswith("c46f6f2e")
    assert clip.protocol["weights_sha256"].startswith("e60b7b5f")


# === Bad input ===


def test_bad_presets_are_one_line(folders, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text("{")
    half = tiny_hub.write_clip(tmp_path / "half")
    (half / "vocab.json").unlink()
    cut = tiny_hub.write_dinov2(tmp_path / "cut")
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:1000])
    registers = tiny_hub.write_dinov2(tmp_path / "registers", num_register_tokens=4)
    for load, folder in (
        (DINOv2, tmp_path / "none"),
        (DINOv2, tmp_path / "empty"),
        (DINOv2, tmp_path / "damaged"),
        (DINOv2, cut),
        (DINOv2, registers),
        (DINOv2, folders[1]),
        (load_clip, folders[0]),
        (load_clip, half),
    ):
        kind = "CLIP" if load is load_clip else "DINOv2"
        with pytest.raises(ValueError, match=f"{kind} must be .*; received") as told:
            load(folder)
        assert folder.name in str(told.value) and "\n" not in str(told.value)
        assert len(str(told.value)) < 700
    for load, folder in ((DINOv2, folders[0]), (load_clip, folders[1])):
        with pytest.raises(ValueError, match="resize must be one of clean, .*; received bicubic"):
            load(folder, resize="bicubic")


def test_bad_images_and_captions(dinov2, clip):
    for function in (dinov2, clip, clip.images):
        with pytest.raises(ValueError, match=r"Expected uint8 images \[B, H, W, 3\]; received"):
            function(np.zeros((1, 8, 8, 3), "float32"))
    for captions in ("a bird", [1], ["a", None]):
        with pytest.raises(ValueError, match="captions must be a list of strings; received"):
            clip.texts(captions)


def test_networks_stay_in_float32_under_mixed_precision(folders, expected):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        found = DINOv2(folders[0])(expected["images"])
        texts = load_clip(folders[1]).texts(tiny_hub.CAPTIONS)
    finally:
        keras.config.set_dtype_policy(policy)
    np.testing.assert_allclose(found, expected["dinov2_features"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(texts, expected["clip_texts"], rtol=0, atol=1e-5)


def test_keras_hub_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", types.SimpleNamespace())
    with pytest.raises(ImportError, match="need the package keras-hub: pip install keras-hub"):
        DINOv2()
