"""Properties of every model: files, loading in a new process, export, `summary`, `sample`."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from kerasgan import registration, schedules
from kerasgan.dtype_policies import dtype_policy
from kerasgan.encoders import char_cnn_rnn, part_classifier, part_encoder, robust_image_encoder
from kerasgan.io import presets
from kerasgan.latents import prior
from kerasgan.layers.conv3x3 import Conv3x3
from kerasgan.losses import adversarial, penalties
from kerasgan.losses.perceptual import ClassifierDistance
from kerasgan.models import (
    conditional_gan,
    conditional_vae,
    coopnet,
    hdgan,
    mnist_gan,
    real_nvp,
    stylegan2,
    stylex,
)
from kerasgan.ops.augment import translate

ROOT = Path(__file__).resolve().parent.parent
TINY = {"capacity": 1, "max_channels": 4, "latent_dim": 3, "depth": 2}


def rate():
    return schedules.FlatThenLinear(1e-2, 10)


def conditional(**arguments):
    shape = {"width": 2, "size": 8, "classes": 3}
    networks = (
        conditional_gan.build_generator(latent_dim=4, **shape),
        conditional_gan.build_discriminator(**shape),
    )
    losses = {
        "discriminator_loss": adversarial.NoisyLabels(seed=1),
        "generator_loss": adversarial.nonsaturating_generator_loss,
        "gradient_penalty": penalties.wgan_gp_penalty,
    }
    arguments = {
        "gradient_penalty_weight": 1.0,
        "augment": translate,
        "ema_decay": 0.9,
        "feature_matching_weight": 0.0,
    } | arguments
    return conditional_gan.ConditionalGAN(*networks, classes=3, **losses | arguments)


def training_notes():
    generator = mnist_gan.build_generator(latent_dim=4, width=2)
    return mnist_gan.MnistGAN(
        generator,
        mnist_gan.build_discriminator(width=2, kernels=3, dims=2, reproduce_training_notes=True),
        reproduce_training_notes=True,
    )


def birds():
    sizes, words = (64, 128), {"embedding_dim": 5}
    generator = hdgan.build_generator(sizes, 2, latent_dim=4, condition_dim=3, **words)
    judges = {size: hdgan.build_discriminator(size, 2, text_dim=3, **words) for size in sizes}
    return hdgan.HDGAN(generator, judges, ema_decay=0.9, critic_steps=hdgan.ExtraCriticSteps(5))


def style(conditions=0):
    generator = stylegan2.Generator(8, 1, conditions=conditions, **TINY)
    widths = {key: TINY[key] for key in ("capacity", "max_channels")}
    return stylegan2.StyleGAN2(
        generator, stylegan2.build_discriminator(8, 1, conditions=conditions, **widths)
    )


def explainer(perceptual=None):
    convolve = Conv3x3(3, padding="same", activation="tanh")
    images = keras.Input((8, 8, 1))
    classifier = keras.Model(
        images, layers.Dense(2)(layers.Flatten()(convolve(images))), name="eight"
    )
    return stylex.StylEx(
        classifier, perceptual=perceptual and ClassifierDistance(classifier), **TINY
    )


def cooperative():
    descriptor = keras.Sequential(
        [keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2)], name="descriptor"
    )
    latents = keras.Input((3,))
    images = layers.Reshape((4, 4, 1))(layers.Dense(16, "tanh")(latents))
    return coopnet.CoopNet(
        keras.Model(latents, images, name="generator"), descriptor, chains=4, steps=2
    )


def variational():
    shape = {"latent_dim": 3, "classes": 3, "width": 2, "size": 8}
    return conditional_vae.ConditionalVAE(
        conditional_vae.build_encoder(**shape), conditional_vae.build_decoder(**shape), classes=3
    )


def coupling_flow():
    return real_nvp.RealNVP(real_nvp.Couplings(4, scales=2, depth=4, width=4, classes=3))


MODELS = {
    "conditional": conditional,
    "training_notes": training_notes,
    "birds": birds,
    "style": style,
    "style_classes": lambda: style(2),
    "explainer": explainer,
    "explainer_distance": lambda: explainer(True),
    "cooperative": cooperative,
    "variational": variational,
    "flow": coupling_flow,
}
ENCODERS = {
    "joint": lambda: char_cnn_rnn.JointEmbedding(
        char_cnn_rnn.build_text_encoder(width=1 / 64, dim=4),
        char_cnn_rnn.build_image_encoder(16, 2, dim=4),
    ),
    "latent_prior": lambda: prior.LatentPrior(prior.build_latent_flow(2, 3, width=4, depth=1)),
    "part_classifier": lambda: part_classifier.PartClassifier(
        (2, 3),
        part_classifier=part_classifier.build_part_classifier(1, 5, 16, 2),
        caption_classifier=part_classifier.build_caption_classifier((2, 3), 4, 4),
    ),
    "parts": lambda: part_encoder.PartEncoder(
        (0.5, 1.0), (2, 3), part_encoder.build_part_encoder(16, 2)
    ),
    "robust_encoder": lambda: robust_image_encoder.RobustImageEncoder(
        (2, 3), char_cnn_rnn.build_image_encoder(16, 2, dim=4)
    ),
}


def samples_of(model, seed=1, count=4):
    """Generates `count` images."""
    if isinstance(model, hdgan.HDGAN):
        return model.sample(embeddings=np.ones((count, 5), "float32"), seed=seed)
    return model.sample(count, seed=seed)


def compiled(model):
    model.compile(**{player: keras.optimizers.Adam(rate()) for player in model.players})
    return model


# === A new process ===

LOAD = """
import json, sys
import kerasgan
imported = sorted(module for module in sys.modules if module.startswith("kerasgan.models."))
assert not imported, imported
import keras
import numpy as np
files = json.loads(sys.argv[1])
for path in files:
    model = keras.models.load_model(path)
    expected = np.load(path + ".npz")
    for index, weights in enumerate(model.get_weights()):
        np.testing.assert_array_equal(weights, expected[f"arr_{index}"])
    if "images" in expected:
        np.testing.assert_array_equal(model.sample(4, seed=1), expected["images"])
print("loaded", len(files))
"""


@pytest.mark.backend
def test_every_model_loads_in_a_new_process(tmp_path):
    files = []
    wanted = MODELS | ENCODERS | {"network": None}
    if (
        keras.backend.backend() == "jax"
    ):  # It compiles each operation of each new shape, which takes seconds.
        wanted = {name: wanted[name] for name in ("conditional", "variational", "network")}
    for name, make in wanted.items():
        # The file of a single network refers to our layers too.
        model = compiled(make()) if make else training_notes().discriminator
        files.append(str(tmp_path / f"{name}.keras"))
        model.save(files[-1])
        images = {"images": samples_of(model)} if name == "conditional" else {}
        np.savez(files[-1] + ".npz", *model.get_weights(), **images)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, json.dumps(files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": keras.backend.backend(), "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[-2] == f"loaded {len(files)}"


def registered():
    """Yields (module, name, is_class) of all objects registered under "kerasgan"."""
    for path in sorted((ROOT / "kerasgan").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text()).body:
            for decorator in getattr(node, "decorator_list", []):
                if "register_keras_serializable" in ast.unparse(decorator):
                    yield module, node.name, isinstance(node, ast.ClassDef)


def test_the_table_lists_all_registered_objects():
    found = list(registered())
    listed = {(module, name) for module, names in registration.CLASSES.items() for name in names}
    assert listed == {(module, name) for module, name, is_class in found if is_class}
    own = {
        ("kerasgan.models.conditional_gan", "normal_latents"),
        ("kerasgan.models.real_nvp", "normal_log_prob"),
    }
    functions = {(module, name) for module, name, is_class in found if not is_class}
    assert {module for module, _ in functions - own} == set(registration.FUNCTIONS)
    assert len({name for _, name, _ in found}) == len(found)  # Keras identifies them by name alone.


def test_a_file_imports_only_listed_modules():
    for name in ("kerasgan>card", "kerasgan.io.presets>load"):
        config = {
            "module": "kerasgan.io.presets",
            "class_name": "load",
            "config": {},
            "registered_name": name,
        }
        with pytest.raises(TypeError, match="Could not locate class"):
            keras.saving.deserialize_keras_object(config)


# === Export, summary, files of weights ===


@pytest.mark.nightly
def test_every_model_that_samples_is_exported(tmp_path):
    for name in ("conditional", "birds", "style_classes", "cooperative", "variational", "flow"):
        model = MODELS[name]()
        model.export(tmp_path / name, verbose=False)
        assert (tmp_path / name / "saved_model.pb").is_file(), name
    model = style()
    model.generator.export(tmp_path / "generator", verbose=False)
    assert (tmp_path / "generator" / "saved_model.pb").is_file()
    for make in ENCODERS.values():
        with pytest.raises(
            ValueError, match="export needs a model with a `call`; received"
        ) as raised:
            make().export(tmp_path / "none")
        assert "\n" not in str(raised.value)


@pytest.mark.backend
def test_export_errors_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="format must be one of .*; received 'no_format'"):
        conditional().export(tmp_path / "gan", format="no_format")


def test_layer_names_are_unique_and_weights_load(tmp_path):
    for name, make in MODELS.items():
        model, other = make(), make()
        names = [layer.name for layer in model.layers]
        assert len(set(names)) == len(names), (name, names)
        model.save_weights(tmp_path / "x.weights.h5")
        other.load_weights(tmp_path / "x.weights.h5")
        for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)


SAVERS = {
    "model.save": lambda model, path: model.save(path),
    "saving.save_model": lambda model, path: keras.saving.save_model(model, path),
    "models.save_model": lambda model, path: keras.models.save_model(
        model, path, include_optimizer=False
    ),
}


@pytest.fixture(scope="module")
def one_of_each():
    return [make() for make in (*MODELS.values(), lambda: style().generator)]


@pytest.mark.parametrize("saver", list(SAVERS))
@pytest.mark.parametrize("name", ["x.h5", "x.hdf5", "x.weights.h5"])
def test_hdf5_files_of_whole_models_are_refused(saver, name, one_of_each, tmp_path):
    for model in one_of_each:
        with pytest.raises(
            ValueError, match="must be saved as .keras; its weights alone"
        ) as raised:
            SAVERS[saver](model, tmp_path / name)
        assert str(tmp_path / name) in str(raised.value) and "\n" not in str(raised.value)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "save",
    [lambda model, path: model.save_weights(path), keras.saving.save_weights],
    ids=["model", "saving"],
)
def test_weights_files_hold_the_weights(save, tmp_path):
    model, other = conditional(), conditional()
    save(model, tmp_path / "x.weights.h5")
    other.load_weights(tmp_path / "x.weights.h5")
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    for name in ("x.h5", "x.hdf5", "x.keras"):
        with pytest.raises(ValueError, match=".weights.h5"):
            save(model, tmp_path / name)
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize("call", [lambda m: m.get_config(), keras.saving.serialize_keras_object])
def test_other_callers_of_get_config_are_not_affected(call):
    assert call(conditional())


# === Inference ===


def test_call_uses_the_network_that_sample_uses():
    random = np.random.default_rng(0)
    for make in (conditional, birds, style):
        model = make()
        for variable in model.generator.trainable_variables:
            variable.assign(variable + 1.0)  # The EMA copy differs, as it does after training.
        inputs = [
            random.normal(size=(2, *spec.shape[1:])).astype("float32")
            for spec in model.call_inputs()
        ]
        if make is conditional:
            inputs[1] = np.array([0, 2])
        called, expected = (
            keras.tree.flatten(each(inputs))[0] for each in (model, model.ema_generator)
        )
        expected = np.clip(keras.ops.convert_to_numpy(expected), -1, 1)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(called), expected, atol=1e-6)
    for make in (variational, coupling_flow):
        model = make()
        codes = keras.ops.convert_to_numpy(keras.random.normal((3, model.latent_dim), seed=1))
        called = keras.ops.convert_to_numpy(model([codes, np.arange(3)]))
        np.testing.assert_allclose(called, model.sample(3, seed=1), atol=1e-6)


def policies(model):
    """Names of the dtype policies of all layers that compute something."""
    others = (keras.Model, layers.InputLayer, ClassifierDistance)
    found = [x for x in model._flatten_layers() if not isinstance(x, others)]
    return [layer.dtype_policy.name for layer in found]


@pytest.mark.parametrize("name", list(MODELS))
def test_a_preset_of_a_model_in_mixed_precision_computes_in_float32(name, tmp_path):
    with dtype_policy("mixed_bfloat16"):
        model = MODELS[name]()
    if not model.sampling_networks:
        pytest.skip("it has no presets")
    presets.save(model, tmp_path / "preset", networks=model.sampling_networks, dtype="float32")
    loaded = presets.load(tmp_path / "preset")
    by_name = loaded.checkpoint_networks()
    assert {p for x in model.sampling_networks for p in policies(by_name[x])} == {"float32"}


@pytest.mark.parametrize("name", list(MODELS))
def test_a_loaded_model_has_the_dtype_policies_of_the_saved_one(name):
    """Whatever the dtype policy is when it is loaded."""
    with dtype_policy("mixed_bfloat16"):
        mixed = MODELS[name]()
    plain = MODELS[name]()
    assert "mixed_bfloat16" in policies(mixed)
    for model, other in ((mixed, "float32"), (plain, "mixed_bfloat16")):
        config = keras.saving.serialize_keras_object(model)
        with dtype_policy(other):
            loaded = keras.saving.deserialize_keras_object(config)
        assert policies(loaded) == policies(model)


# === Arguments of sample ===


def test_invalid_seeds_and_counts_are_one_line():
    for name, make in MODELS.items():
        if name in ("training_notes", "style_classes", "explainer_distance"):
            continue  # The same classes as above.
        model = make()
        same = [samples_of(model, seed, 2) for seed in (3, np.int64(3), np.uint8(3), np.array(3))]
        for other in same[1:]:
            np.testing.assert_array_equal(same[0], other)
        assert (
            np.isfinite(samples_of(model, -1, 2)).all()
            and np.isfinite(samples_of(model, None, 2)).all()
        )
        wrong = [
            ({"seed": seed}, "seed must be an integer or None")
            for seed in (True, 1.0, "1", [1], np.ones(2))
        ]
        if name != "birds":
            wrong += [
                ({"n": n}, "n must be an integer of at least 1")
                for n in (0, -1, 2.0, True, "2", [3], np.ones(2))
            ]
        for arguments, message in wrong:
            first = {"embeddings": np.ones((2, 5), "float32")} if name == "birds" else {"n": 2}
            with pytest.raises(ValueError, match=message) as raised:
                model.sample(**first | arguments)
            assert "\n" not in str(raised.value) and len(str(raised.value)) <= 300
    for labels in ([3], [-1], [], [0.5], [[1]], "1"):
        with pytest.raises(ValueError, match="labels must be"):
            conditional().sample(labels=labels)
    for embeddings in (np.ones(5), np.ones((2, 4)), np.ones((0, 5))):
        with pytest.raises(ValueError, match="embeddings must be"):
            birds().sample(embeddings=embeddings)
