"""Export of what a model samples with: formats, names, metadata, comparison with Keras."""

import json

import keras
import numpy as np
import pytest

from kerasgan.backend import artifacts
from kerasgan.dtype_policies import dtype_policy, in_float32, is_mixed
from kerasgan.io.export import FORMATS, check_format
from kerasgan.io.export_folder import compare, export_model
from kerasgan.ops.conv3x3 import conv3x3, direct_convolutions, winograd_is_faster
from tests.models.test_text_to_image import projected, small_text_encoder
from tests.test_whole_models import conditional, cooperative, coupling_flow, explainer, style

RUNTIMES = {"onnx": "onnxruntime", "litert": "ai_edge_litert"}
BACKEND = keras.backend.backend()


def supported(format):
    """Skips a test whose format needs another backend or a runtime that is not installed."""
    if BACKEND not in FORMATS[format][2]:
        pytest.skip(f"{format} is not exported on {BACKEND}")
    pytest.importorskip(RUNTIMES.get(format, "keras"), exc_type=ImportError)


def quiet(line):
    """Receives the lines of `export_model`."""


def distinct_ema(make):
    """A model whose EMA generator differs from its generator, as after training."""
    model = make()
    if getattr(model, "ema_generator", None) is not None:
        for variable in model.generator.trainable_variables:
            variable.assign(variable + 1.0)
    return model


@pytest.mark.backend
@pytest.mark.parametrize("make", [conditional, style, projected])
def test_a_model_in_mixed_precision_is_exported_in_float32(make, tmp_path):
    format = {"tensorflow": "onnx", "jax": "saved_model", "torch": "onnx"}[BACKEND]
    supported(format)
    with dtype_policy("mixed_bfloat16"):
        model = distinct_ema(make)
    before = {name: net.get_weights() for name, net in model.checkpoint_networks().items()}
    found = export_model(model, tmp_path / "out", format, functions=["generator"], report=quiet)
    assert found["generator"] < 1e-5  # bfloat16 has errors of 1e-2.
    # The exported function is that of the model's own weights.
    copy = in_float32(model)
    assert is_mixed([model]) and not is_mixed([copy])
    for name, values in before.items():
        for own, copied in zip(values, copy.checkpoint_networks()[name].get_weights(), strict=True):
            np.testing.assert_array_equal(own, copied)


@pytest.mark.backend
@pytest.mark.parametrize("format", list(FORMATS))
def test_a_generator_is_exported_and_verified(format, tmp_path):
    supported(format)
    model = distinct_ema(conditional)
    lines = []
    found = export_model(model, tmp_path / "out", format, report=lines.append, licence="MIT")
    assert list(found) == ["generator"] and found["generator"] < 1e-5
    assert len(lines) == 1 and "largest difference from Keras" in lines[0]
    about = json.loads((tmp_path / "out" / "metadata.json").read_text())
    entry = about["functions"]["generator"]
    assert about["licence"] == "MIT" and about["images"]["range"] == [-1, 1]
    assert about["classes"] == 3 and entry["bytes"] > 0
    assert {name: x["shape"] for name, x in entry["inputs"].items()} == {
        "latents": [None, 4],
        "labels": [None],
    }
    assert entry["outputs"]["images"]["shape"] == [None, 8, 8, 1]
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "`latents`" in readme and "[-1, 1], gray" in readme
    # The exported file is the function that samples, also at a batch size of its own.
    run = artifacts.load(tmp_path / "out" / entry["file"], format, list(entry["inputs"]))
    latents, labels = model.random_latents(5, 1), np.array([0, 1, 2, 0, 1], "int32")
    images = run({"latents": latents, "labels": labels})["images"]
    np.testing.assert_allclose(images, model.sample(labels=labels, latents=latents), atol=1e-5)


def test_parts_of_stylex_explain_without_keras(tmp_path):
    supported("onnx")
    model = explainer()
    export_model(model, tmp_path / "out", "onnx", report=quiet)
    about = json.loads((tmp_path / "out" / "metadata.json").read_text())["functions"]
    assert list(about) == ["generator", "classifier", "encoder", "styles", "synthesis"]
    assert sum(about["styles"]["style_sizes"]) == about["styles"]["outputs"]["styles"]["shape"][1]

    def run(name, **inputs):
        path = tmp_path / "out" / about[name]["file"]
        return artifacts.load(path, "onnx", list(about[name]["inputs"]))(inputs)

    images = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 1)).astype("float32")
    conditions = run("classifier", images=images)["conditions"]
    styles = run("styles", w=run("encoder", images=images)["w"], conditions=conditions)
    made = run("synthesis", noise=np.repeat(model.noise, 2, axis=0), **styles)["images"]
    np.testing.assert_allclose(made, model.reconstruct(images), atol=1e-5)


def test_text_encoder_and_unknown_characters(tmp_path):
    supported("onnx")
    encode = small_text_encoder()
    model = projected(text_encoder=encode)
    found = export_model(model, tmp_path / "out", "onnx", report=quiet)
    # ONNX's one-hot counts negative indices, such as padding, from the end.
    assert list(found) == ["generator", "text_encoder"] and max(found.values()) < 1e-5
    about = json.loads((tmp_path / "out" / "metadata.json").read_text())["functions"]
    facts = about["text_encoder"]
    assert facts["vocabulary"] == ["a", "bird", "red"]
    characters = np.full((1, 201), -1, "int32")
    characters[0, :10] = [facts["alphabet"][c] for c in "a red bird"]
    run = artifacts.load(tmp_path / "out" / "text_encoder.onnx", "onnx", ["characters"])
    embeddings = run({"characters": characters})["embeddings"]
    np.testing.assert_allclose(embeddings, encode(["a red bird"]), atol=1e-5)


@pytest.mark.parametrize("make", [style, lambda: style(2), cooperative, coupling_flow])
def test_other_generators_are_exported(make, tmp_path):
    supported("onnx")
    found = export_model(distinct_ema(make), tmp_path / "out", "onnx", report=quiet)
    # The flow rounds to 256 levels, where a rounding error moves a value by one level.
    assert found["generator"] < (2.1 / 255 if make is coupling_flow else 1e-5)


def test_half_precision_is_exact_for_weights_of_presets(tmp_path):
    supported("onnx")
    model = conditional()
    model.export(tmp_path / "whole.onnx", "onnx")
    model.export(tmp_path / "rounded.onnx", "onnx", half=True)
    function, sizes = model.export_functions()["generator"], {}
    rounded = compare(function, tmp_path / "rounded.onnx", "onnx", 3)
    for variable in model.ema_generator.weights:
        variable.assign(np.asarray(variable).astype("float16").astype("float32"))
    model.export(tmp_path / "exact.onnx", "onnx", half=True)
    exact = compare(function, tmp_path / "exact.onnx", "onnx", 3)
    assert exact < 1e-5 < rounded < 1e-2
    sizes = [(tmp_path / f"{name}.onnx").stat().st_size for name in ("exact", "whole")]
    assert sizes[0] < sizes[1]


@pytest.mark.backend
def test_wrong_arguments_give_one_line(tmp_path):
    format = next(name for name, entry in FORMATS.items() if BACKEND in entry[2])
    other = next((name for name, entry in FORMATS.items() if BACKEND not in entry[2]), None)
    model = conditional()
    (tmp_path / "old").mkdir()
    for call, rule in [
        (lambda: export_model(model, tmp_path / "old", format), "the folder of an export must be"),
        (lambda: export_model(model, tmp_path / "x", "zip"), "format must be one of saved_model,"),
        (
            lambda: export_model(model, tmp_path / "x", format, functions=["encoder"]),
            "functions must be among generator; received 'encoder'",
        ),
        (lambda: model.export(tmp_path / "x", format, function="y"), "function must be one of gen"),
        (lambda: check_format(other or "zip"), "format"),
    ]:
        with pytest.raises(ValueError, match=rule) as raised:
            call()
        assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_an_export_that_differs_from_keras_is_noticed(tmp_path):
    supported("onnx")
    model = conditional()
    model.export(tmp_path / "g.onnx", "onnx")
    for variable in model.ema_generator.weights:
        variable.assign(variable + 0.5)
    assert compare(model.export_functions()["generator"], tmp_path / "g.onnx", "onnx", 3) > 1e-3


@pytest.mark.backend
def test_direct_convolutions_equal_the_others():
    random = np.random.default_rng(0)
    x = keras.ops.convert_to_tensor(random.normal(size=(1, 16, 16, 128)).astype("float32"))
    kernel = keras.ops.convert_to_tensor(random.normal(size=(3, 3, 128, 128)).astype("float32"))
    with direct_convolutions():
        assert not winograd_is_faster(x, kernel)
        direct = keras.ops.convert_to_numpy(conv3x3(x, kernel))
    assert winograd_is_faster(x, kernel) == (BACKEND == "tensorflow")
    other = keras.ops.convert_to_numpy(conv3x3(x, kernel))
    np.testing.assert_allclose(direct, other, atol=1e-3 * np.std(other))
