"""`sample(latents=...)` of every model of the zoo, and the named inputs of `generate_from`."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.sampling import check_latents
from tests.marks import slow_on_jax
from tests.models.test_text_to_image import hierarchical, projected
from tests.test_whole_models import (
    conditional,
    cooperative,
    coupling_flow,
    explainer,
    style,
    training_notes,
    variational,
)


def style_classes():
    return style(2)


LABELS = [conditional, training_notes, style_classes, explainer, variational, coupling_flow]
UNCONDITIONAL = [style, cooperative]
CAPTIONS = [hierarchical, projected]
N = 4


def arguments_of(model, n=N):
    """Arguments of `sample` other than latents and seed."""
    if model.conditioning == "labels":
        return {"labels": np.arange(n) % model.classes}
    if model.conditioning == "captions":
        random = np.random.default_rng(5)
        return {"embeddings": random.normal(size=(n, model.embedding_dim)).astype("float32")}
    return {"n": n}


@slow_on_jax
@pytest.mark.backend
@pytest.mark.parametrize("make", LABELS + UNCONDITIONAL + CAPTIONS)
def test_latents_of_a_seed_give_the_images_of_the_seed(make):
    model = make()
    for seed in (0, 7):
        latents = model.random_latents(N, seed)
        assert latents.shape == (N, model.latent_dim) and latents.dtype == np.float32
        np.testing.assert_array_equal(latents, model.random_latents(N, seed))
        images = model.sample(**arguments_of(model), seed=seed)
        again = model.sample(**arguments_of(model), seed=seed, latents=latents)
        np.testing.assert_array_equal(again, images)
    other = model.sample(**arguments_of(model), seed=0, latents=latents)
    assert not np.array_equal(other, model.sample(**arguments_of(model), seed=0))


@pytest.mark.backend
@pytest.mark.parametrize("make", LABELS + UNCONDITIONAL + CAPTIONS)
def test_generate_from_is_the_function_that_samples(make):
    model = make()
    latents, arguments = model.random_latents(N, 3), arguments_of(model)
    inputs = {"latents": latents, **{k: v for k, v in arguments.items() if k != "n"}}
    options = {"statistics": "running"} if make is cooperative else {}
    if "noise" in model.sampling_inputs():
        options["noise"] = np.random.default_rng(1).random((N, 8, 8, 1), "float32")
        inputs["noise"] = options["noise"]
    if "labels" in inputs:
        inputs["labels"] = inputs["labels"].astype("int32")
    assert set(inputs) == set(model.sampling_inputs())
    for name, spec in model.sampling_inputs().items():
        assert spec.shape == (None, *inputs[name].shape[1:]) and spec.dtype == inputs[name].dtype
    made = model.generate_from({name: ops.convert_to_tensor(x) for name, x in inputs.items()})
    expected = model.sample(**arguments, latents=latents, **options)
    # The flow rounds to 256 levels, so a rounding error may move a value by one level.
    atol = 2 / 255 if make is coupling_flow else 1e-5
    np.testing.assert_allclose(ops.convert_to_numpy(made), expected, atol=atol)


@pytest.mark.parametrize("make", LABELS + UNCONDITIONAL)
def test_latents_alone_are_enough(make):
    model = make()
    latents = model.random_latents(3, 1)
    images = model.sample(latents=latents, seed=1)
    np.testing.assert_array_equal(images, model.sample(3, latents=latents, seed=1))
    assert len(images) == 3


@pytest.mark.parametrize("make", [conditional, style, cooperative, projected])
def test_wrong_latents_give_one_line(make):
    model = make()
    dim, given = model.latent_dim, arguments_of(model)
    for latents, rule in [
        (np.zeros((N, dim + 1)), rf"latents must be \[{N}, {dim}\]; received \[{N}, {dim + 1}\]"),
        (np.zeros((N + 1, dim)), rf"latents must be \[{N}, {dim}\]; received \[{N + 1}, {dim}\]"),
        (np.zeros(dim), rf"latents must be \[{N}, {dim}\]; received \[{dim}\]"),
        (np.full((N, dim), np.nan), "latents must be finite; received values that are not"),
        ("z", rf"latents must be numbers \[N, {dim}\]; received a str"),
    ]:
        with pytest.raises(ValueError, match=rule) as raised:
            model.sample(**given, latents=latents)
        assert "\n" not in str(raised.value)


def test_check_latents_accepts_lists_and_other_dtypes():
    for latents in ([[1, 2]], np.ones((1, 2), "float64"), np.ones((1, 2), "int64")):
        assert check_latents(latents, 2).dtype == np.float32
    with pytest.raises(ValueError, match=r"latents must be \[N, 2\]; received \[0, 2\]"):
        check_latents(np.zeros((0, 2)), 2)


def test_temperature_scales_given_latents():
    model = coupling_flow()
    latents = model.random_latents(3, 2)
    np.testing.assert_array_equal(
        model.sample(3, latents=latents, temperature=0.5), model.sample(3, latents=0.5 * latents)
    )


# === Styles of StyleGAN2 ===


@pytest.mark.backend
@pytest.mark.parametrize("make", [style, style_classes, explainer])
def test_styles_and_truncation(make):
    model = make()
    latents = model.random_latents(N, 5)
    for psi in (1.0, 0.5):
        expected = model.sample(latents=latents, seed=9, truncation=psi)
        w = model.map_latents(latents, psi)
        assert w.shape == (N, model.latent_dim)
        np.testing.assert_allclose(model.sample(w=w, seed=9), expected, atol=1e-5)
        per_block = np.repeat(w[:, None], model.generator.blocks, axis=1)
        np.testing.assert_allclose(model.sample(w=per_block, seed=9), expected, atol=1e-5)
    center = model.sample(latents=latents[:1], seed=9, truncation=0.0)
    np.testing.assert_allclose(model.sample(w=model.mean_style()[None], seed=9), center, atol=1e-5)
    noise = np.random.default_rng(2).random((1, 8, 8, 1), "float32")
    same = model.sample(w=np.repeat(w[:1], 2, axis=0), labels=[0, 0], noise=noise)
    np.testing.assert_allclose(same[0], same[1], atol=1e-6)
    inputs = {
        "w": w,
        "noise": np.repeat(noise, N, axis=0),
        "truncation": np.full(N, 0.3, "float32"),
    }
    if model.conditions:
        inputs["labels"] = (np.arange(N) % 2).astype("int32")
    made = model.generate_from({name: ops.convert_to_tensor(x) for name, x in inputs.items()})
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(made), model.sample(w=w, noise=noise, truncation=0.3), atol=1e-5
    )


def test_wrong_styles_give_one_line():
    model = style()
    w = np.zeros((2, 3), "float32")
    for arguments, rule in [
        ({"w": w, "latents": w}, "sample takes latents or w, one of them; received both"),
        ({"w": w[:, :2]}, r"w must be finite numbers \[N, 3\] or \[N, 2, 3\]; received \[2, 2\]"),
        ({"w": w, "n": 3}, r"w must have one row per image \(3\); received 2"),
        ({"w": w, "noise": np.zeros((3, 8, 8, 1))}, r"noise must be \[2, 8, 8, 1\] or"),
    ]:
        with pytest.raises(ValueError, match=rule):
            model.sample(**arguments)
