"""Schedules: order of the stages, skipping of finished stages, and the preset of the last one."""

import dataclasses
import json
import pathlib
import sys

import keras
import numpy as np
import pytest

from kerasgan.dtype_policies import dtype_policy
from kerasgan.io import checkpoints
from kerasgan.models.projected_text_gan import ProjectedTextGAN
from zoo import (
    birds_256,
    latent_prior,
    network_training,
    part_classifier,
    projected_birds,
    recipe,
    stages,
)

TINY = {
    "num_images": 8,
    "batch_size": 4,
    "epochs": 1,
    "processes": 0,
    "width": 1,
    "head_width": 4,
    "pixel_width": 2,
    "posterior_width": 4,
    "score_every": 0,
}


def save_epoch(folder, gan):
    """Writes checkpoints of a model after one epoch."""
    checkpoints.check_folder(folder)
    names = {"run": "gan", "dataset": "synthetic_birds", "size": gan.size}
    checkpoints.save(folder, gan, epoch=1, **names)


def test_each_stage_starts_from_the_one_before():
    for schedule in stages.SCHEDULES.values():
        found = stages.settings_of(schedule, pathlib.Path("f"), {"seed": 3})
        names = [stage.name for stage in schedule]
        assert [each.start for each in found] == ["", *(f"f/{name}" for name in names[:-1])]
        assert [each.size for each in found] == sorted(each.size for each in found)
        # A stage with the settings of the one before has other birds.
        own = {"refine_64": 4, "flying_64": 5}
        assert [each.seed for each in found] == [own.get(name, 3) for name in names]


def test_a_schedule_trains_resumes_and_writes_a_preset(tmp_path, monkeypatch):
    trained = []
    quick = projected_birds.RECIPE
    changes = {
        "score": lambda settings: None,
        "sample_grid": lambda settings: lambda model: np.zeros((8, 8, 3), "uint8"),
    }
    monkeypatch.setattr(projected_birds, "RECIPE", dataclasses.replace(quick, **changes))
    fit = ProjectedTextGAN.fit

    def eager_fit(self, *arguments, **options):  # Tracing takes longer than two steps.
        trained.append(self.size)
        self.run_eagerly = True
        return fit(self, *arguments, **options)

    monkeypatch.setattr(ProjectedTextGAN, "fit", eager_fit)
    layout = stages.Stage("layout", TINY | {"size": 64, "head_width": 0, "pixel_width": 0})
    schedule = [
        layout,
        *(stages.Stage(f"stage_{size}", TINY | {"size": size}) for size in (64, 128)),
    ]
    bfloat16 = {"dtype_policy": "mixed_bfloat16"}
    stages.run(schedule[:2], tmp_path, changes=bfloat16)
    stages.run(schedule, tmp_path, changes=bfloat16)
    assert trained == [64, 64, 128]
    settings = json.loads((tmp_path / "stage_128" / "settings.json").read_text())
    assert settings["start"] == str(tmp_path / "stage_64")
    assert settings["dtype_policy"] == "mixed_bfloat16"
    for changes in ({}, bfloat16 | {"seed": 1}):  # The folder must not return another run's scores.
        with pytest.raises(ValueError, match="holds a run with .*; use these settings"):
            stages.run(schedule, tmp_path, changes=changes)
    made = ProjectedTextGAN.from_preset(tmp_path / "preset")
    assert made.size == 128
    assert made.ema_generator.get_layer("rgb_128").dtype_policy.name == "float32"


def test_a_schedule_trains_the_part_classifier_once(tmp_path, monkeypatch):
    trained, built = [], []

    def train(settings, command):
        trained.append((settings.output_dir, settings.text_encoder))
        checkpoints.check_folder(settings.output_dir)
        keras.utils.set_random_seed(0)
        model = part_classifier.build(part_classifier.Settings(width=1), 1024)
        network_training.save(
            settings.output_dir,
            model.mismatch,
            {},
            name="part_classifier",
            dataset="synthetic_birds",
            size=128,
            epochs=1,
            letter="M",
            info={"text_encoder": settings.text_encoder},
        )

    monkeypatch.setattr(part_classifier, "run", train)

    def build(base, settings, folder, command):
        folder.mkdir()
        built.append(projected_birds.build(settings))
        return {}

    monkeypatch.setattr(recipe, "run", build)
    monkeypatch.setattr(stages.preset, "write", lambda *arguments, **options: None)
    schedule = [
        stages.Stage("one", TINY),
        stages.Stage("two", TINY | {"auxiliary_classifier": stages.CLASSIFIER}),
        stages.Stage("three", TINY | {"auxiliary_classifier": stages.CLASSIFIER}),
    ]
    stages.run(schedule, tmp_path, changes={"start": ""})
    assert trained == [(str(tmp_path / "part_classifier"), "synthetic_birds_text")]
    assert [gan.auxiliary_weight for gan in built] == [0.0, 1.0, 1.0]
    assert built[0].auxiliary_classifier is None and built[2].auxiliary_classifier is not None
    with pytest.raises(
        checkpoints.CheckpointError, match="trained with text_encoder other; it was trained with"
    ):
        part_classifier.network(tmp_path / "part_classifier", "other")


def test_a_schedule_trains_the_latent_prior_once_and_keeps_it(tmp_path, monkeypatch):
    trained, built = [], []

    def train(settings, command):
        trained.append(settings)
        checkpoints.check_folder(settings.output_dir)
        network_training.save(
            settings.output_dir,
            latent_prior.build(dataclasses.replace(settings, width=4), 64, 1024).ema_network,
            {},
            name="latent_prior",
            dataset="synthetic_birds",
            size=64,
            epochs=1,
            letter="L",
            info={"text_encoder": settings.text_encoder},
        )

    def build(base, settings, folder, command):
        gan = projected_birds.build(settings)
        save_epoch(folder / "checkpoints", gan)
        built.append(gan)
        return {}

    monkeypatch.setattr(latent_prior, "run", train)
    monkeypatch.setattr(recipe, "run", build)
    monkeypatch.setattr(stages.preset, "write", lambda *arguments, **options: None)
    drawn = TINY | {"posterior_width": 0}
    schedule = [
        stages.Stage("one", TINY),
        stages.Stage("two", drawn | {"latent_flow": stages.FLOW}),
        stages.Stage("three", drawn | {"size": 128}),
    ]
    stages.run(schedule, tmp_path)
    (settings,) = trained
    assert settings.output_dir == str(tmp_path / "latent_prior")
    assert settings.start == str(tmp_path / "one")
    has_flow = projected_birds.gans.has_latent_flow
    assert [has_flow(gan.generator) for gan in built] == [False, True, True]
    flows = [gan.generator.get_layer("latent_flow") for gan in built[1:]]
    for one, other in zip(*(flow.get_weights() for flow in flows), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["auxiliary_classifier", "latent_flow"])
def test_a_dry_run_does_not_need_networks_of_earlier_stages(name, capsys):
    stages.dry_run([stages.Stage("attributes", TINY | {name: "nowhere"})])
    assert "stage attributes:" in capsys.readouterr().out


@pytest.mark.nightly  # Two models are built, and a text encoder of full size runs.
def test_the_latent_prior_is_trained_on_what_a_posterior_infers(tmp_path, monkeypatch):
    used, maps = [], projected_birds.gans.frozen_maps
    gan = projected_birds.build(projected_birds.Settings(**TINY, mirror=True, antialias=False))
    save_epoch(tmp_path / "run" / "checkpoints", gan)
    settings = latent_prior.Settings(
        output_dir=str(tmp_path / "prior"),
        start=str(tmp_path / "run"),
        images=4,
        batch_size=8,
        epochs=2,
        width=4,
        text_encoder="synthetic_birds_text",
    )

    def recorded(encoder, antialias):
        used.append(antialias)
        return maps(encoder, antialias)

    monkeypatch.setattr("kerasgan.models.projected_text_gan.frozen_maps", recorded)
    log = latent_prior.run(settings)
    assert used and not any(used)  # The maps of the run.
    monkeypatch.undo()
    assert np.isfinite(log["flow_loss"]) and log["train_images"] == 4
    network = latent_prior.network(tmp_path / "prior", "synthetic_birds_text")
    noise, embeddings = np.ones((2, 64), "float32"), np.ones((2, 1024), "float32")
    assert network([noise, embeddings]).shape == (2, 64)
    with dtype_policy("mixed_bfloat16"):
        mixed = projected_birds.build(
            projected_birds.Settings(**TINY, mirror=True, antialias=False)
        )
    mixed.posterior.set_weights(gan.posterior.get_weights())
    save_epoch(tmp_path / "mixed" / "checkpoints", mixed)
    inferred = [
        latent_prior.posteriors(dataclasses.replace(settings, start=str(tmp_path / name)))[0]
        for name in ("run", "mixed")
    ]
    np.testing.assert_array_equal(*inferred)
    assert inferred[1].dtype == np.float32
    without = projected_birds.build(projected_birds.Settings(**TINY | {"posterior_width": 0}))
    folder = tmp_path / "without" / "checkpoints"
    save_epoch(folder, without)
    with pytest.raises(ValueError, match="start must be a run with a posterior; received"):
        latent_prior.run(dataclasses.replace(settings, start=str(folder.parent)))


@pytest.mark.parametrize(
    "words",
    [["--preset=full", "--seed=3"], ["--preset", "full", "--seed=3"], ["--seed=3", "-preset=full"]],
)
def test_a_preset_of_birds_256_names_a_schedule(words, monkeypatch, capsys):
    ran = []

    def run(*arguments):
        ran.append(arguments)
        return {"attribute_accuracy": 0.5}

    monkeypatch.setattr(stages, "run", run)
    monkeypatch.setattr(sys, "argv", ["zoo.birds_256", *words])
    birds_256.main()
    ((schedule, folder, command, changes),) = ran
    assert schedule is stages.FULL and folder == pathlib.Path("runs/birds_256_full_seed3")
    assert command.startswith("python -m zoo.birds_256 ")
    assert changes == {"seed": 3, "dtype_policy": "float32"}
    assert "attribute_accuracy" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["--preset=quick"], ["--folder=full"]])
def test_other_presets_of_birds_256_run_the_recipe(words, monkeypatch):
    ran = []
    monkeypatch.setattr(recipe, "main", ran.append)
    monkeypatch.setattr(sys, "argv", ["zoo.birds_256", *words])
    birds_256.main()
    assert ran == [birds_256.RECIPE]


def test_a_latent_flow_needs_the_run_it_was_trained_for():
    settings = projected_birds.Settings(**TINY | {"latent_flow": "prior"})
    with pytest.raises(ValueError, match="latent_flow needs the run whose latents it learned"):
        projected_birds.build(settings)
