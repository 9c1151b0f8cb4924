"""Scores of the training notes: rows, missing data, and both scales end to end without training."""

import dataclasses
import importlib
import json
import types

import numpy as np
import pytest

from benchmarks.reproduction import full_scale, noted_scores, scores, small_scale
from benchmarks.reproduction.claims.rules import HOLDS
from kerasgan.datasets.synthetic_birds import synthetic_birds
from kerasgan.io import checkpoints
from kerasgan.metrics.protocols import bird_attributes
from zoo import recipe, text_gan

DIM = 4


def letters(captions):
    """Text encoder that counts four letters."""
    return np.array(
        [[caption.count(letter) / 10 for letter in "aeio"] for caption in captions], "float32"
    )


def colours(images):
    """Features of images: mean and standard deviation of each channel."""
    images = images / 127.5 - 1 if images.dtype == np.uint8 else images
    return np.concatenate([images.mean(axis=(1, 2)), images.std(axis=(1, 2))], axis=1)


@pytest.fixture
def birds(monkeypatch):
    """24 birds embedded by `letters`, and trainings that save untrained networks; their epochs."""
    trainings = []

    def run(kind, settings, folder):
        trainings.append(settings.epochs)
        model, name = (
            kind.build(settings),
            checkpoints.file_name("ladder", "birds", 64, "G", settings.epochs),
        )
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        checkpoints.save_network(
            folder / "checkpoints" / name, model.generator, model=model, epoch=settings.epochs
        )

    monkeypatch.setattr(full_scale.recipe, "run", run)
    monkeypatch.setattr(
        text_gan.synthetic,
        "synthetic_birds",
        lambda split, count, size: synthetic_birds(split, min(count, 24), 0, size),
    )
    monkeypatch.setattr(text_gan, "encoder", lambda name: letters)
    monkeypatch.setattr(small_scale, "BIRDS", 32)
    monkeypatch.setattr(bird_attributes, "load_bird_attribute_classifier", lambda: (None, {}))
    heads = [np.zeros([32, values]) for values in bird_attributes.VALUES]
    monkeypatch.setattr(
        bird_attributes,
        "features_and_heads",
        lambda classifier, images: (colours(images), heads),
    )
    monkeypatch.setattr(
        small_scale, "SMALL", small_scale.SMALL | {"width": 2, "num_images": 24, "batch_size": 8}
    )
    for cached in (text_gan.load, small_scale._real):
        cached.cache_clear()
    yield trainings
    for cached in (text_gan.load, small_scale._real):
        cached.cache_clear()


def test_rows_are_settings_of_the_recipes():
    rows = noted_scores.rows()
    status = [row.status for row in rows.values()]
    assert len(rows) == 36 and [status.count(s) for s in ("valid", "withdrawn", "reference")] == [
        28,
        4,
        4,
    ]
    assert rows["birds-256-noimg-597"].checkpoint.endswith(
        "_no_img_birds_[64, 128, 256]_G_epoch_597.h5"
    )
    for row in rows.values():
        if row.status != "reference":
            name, preset = row.recipe()
            settings = recipe.settings_of(
                importlib.import_module(f"zoo.{name}").RECIPE, preset, **row.settings
            )
            assert (
                settings.data == row.dataset
                and settings.batch_size == 16
                and settings.sizes.endswith(
                    str(max(row.resolution, text_gan.sizes_of(settings)[-1]))
                )
            ), row.id
    each = {
        name: rows[name].samples_per_image
        for name in ("birds-256-eval11", "flowers-256-baldg2-580", "coco-64-195")
    }
    assert each == {"birds-256-eval11": 11, "flowers-256-baldg2-580": 10, "coco-64-195": 1}
    assert rows["flowers-256-baldg2-580-30k"].samples_per_image == 26 and rows[
        "birds-256-single"
    ].settings == {"sizes": "256"}
    with pytest.raises(ValueError, match="'birds' is not a score of noted_scores.csv"):
        noted_scores.chosen(["birds"])


def test_missing_data_are_reported_in_one_line(tmp_path, capsys, monkeypatch):
    rows = noted_scores.rows()
    bird, coco, theirs = (
        rows[name] for name in ("birds-256-single", "coco-64-195", "stackgan-birds-reported")
    )
    assert (
        noted_scores.missing(bird, None, tmp_path)
        == "the birds data: python -m zoo.prepare birds --source=FOLDER"
    )
    assert "a reference score" in noted_scores.missing(theirs, None, tmp_path)
    for row in (bird, coco):
        folder = noted_scores.prepared.prepared_folder(row.dataset, tmp_path)
        folder.mkdir(parents=True)
        (folder / "dataset_info.json").write_text("{}")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert noted_scores.missing(bird, None, tmp_path).endswith(
        "--inception=birds_valid299/model.ckpt"
    )
    assert "zoo.prepare inception" in noted_scores.missing(coco, None, tmp_path)
    assert noted_scores.missing(bird, "model.ckpt", tmp_path) is None
    scores.run(
        ["coco-64-195", "birds-256-wrong-400"],
        data_dir=str(tmp_path / "none"),
        results=tmp_path / "s.json",
    )
    out = capsys.readouterr().out
    assert "coco-64-195                      reported 8.26 ± 0.09; missing: the coco data" in out
    assert (
        "reported 3.43 ± 0.04 (withdrawn); missing: the birds data" in out
        and not (tmp_path / "s.json").exists()
    )


@pytest.mark.nightly
def test_small_runs_continue_from_row_to_row(birds, tmp_path, capsys):
    arguments = {
        "scale": "small",
        "epochs": 2,
        "runs": tmp_path / "runs",
        "results": tmp_path / "scores.json",
    }
    scores.run(["coco-64-261", "coco-64-195"], **arguments)
    out = capsys.readouterr().out
    assert birds == [1, 2] and "small, inference mode: attribute_accuracy 0." in out
    records = json.loads(arguments["results"].read_text())
    runs = [
        records[name]["small, inference mode"]["runs"] for name in ("coco-64-195", "coco-64-261")
    ]
    assert [[run["epoch"] for run in found] for found in runs] == [[1], [2]]
    assert runs[0][0]["command"] == "python -m benchmarks scores coco-64-195 --scale=small"
    assert runs[0][0]["protocol"]["mode"] == "inference mode" and "commit" in runs[0][0]

    before = arguments["results"].read_text()
    scores.run(["coco-64-261", "coco-64-195"], **arguments)  # Nothing is trained or scored again.
    assert birds == [1, 2] and arguments["results"].read_text() == before
    # Training mode, on the kept checkpoint.
    scores.run(["coco-64-195"], mode="training", **arguments)
    assert birds == [1, 2]
    (wrong,) = json.loads(arguments["results"].read_text())["coco-64-195"]["small, training mode"][
        "runs"
    ]
    assert "training mode, batches of 16" in wrong["protocol"]["mode"] and wrong[
        "command"
    ].endswith("--mode=training")
    assert wrong["bird_frechet_distance"] != runs[0][0]["bird_frechet_distance"]

    arguments["results"].write_text("{")
    with pytest.raises(ValueError, match=r"scores.json is broken .*; repair or delete it"):
        scores.run(["coco-64-195"], **arguments)


def test_a_score_with_the_full_protocol(tmp_path, monkeypatch, capsys):
    """Eight images, an extractor of the brightness, and a model that generates plain colors."""

    class Model:
        sizes, ema_generator, generator = (64,), None, None

        def random_latents(self, n, seed):
            return np.random.default_rng(seed).uniform(-1, 1, [n, 2]).astype("float32")

        def sample(self, embeddings, latents, sizes):
            return {64: np.tile(latents[:, 1:, None, None], (1, 64, 64, 3))}

    def extractor(images):
        bright = images.mean(axis=(1, 2, 3), keepdims=False)[:, None] / 25.0
        return bright, np.concatenate([bright, 5 - bright], axis=1)

    extractor.protocol = {"network": "brightness"}
    data = types.SimpleNamespace(embeddings=np.zeros([8, 10, DIM], "float32"))
    monkeypatch.setattr(full_scale.evaluation_images, "extractor", lambda name, weights: extractor)
    monkeypatch.setattr(full_scale.text_gan, "load", lambda *arguments: data)
    monkeypatch.setattr(full_scale.checkpoints, "load_sampling_model", lambda path: (Model(), {}))
    monkeypatch.setattr(scores, "missing", lambda *arguments: None)
    arguments = {"weights": "model.ckpt", "checkpoint": "G.h5", "results": tmp_path / "scores.json"}
    scores.run(["birds-256-gl-ncric500-64"], **arguments)
    out = capsys.readouterr().out
    assert "reported 3.46 ± 0.04; full, inference mode: is_mean 1." in out and "over splits" in out
    (run,) = json.loads(arguments["results"].read_text())["birds-256-gl-ncric500-64"][
        "full, inference mode"
    ]["runs"]
    assert (
        run["protocol"]["is"]["count"] == 64 and run["protocol"]["is"]["remainder_dropped_of"] == 64
    )  # 80 samples.
    assert (
        1 < run["is_mean"] < 2
        and run["is_std"] > 0
        and run["protocol"]["samples_of_an_image"] == 10
    )
    assert run["checkpoint"] == "G.h5"  # The training of the row is still missing.
    scores.run(["birds-256-gl-ncric500-64"], **arguments)
    kept = json.loads(arguments["results"].read_text())["birds-256-gl-ncric500-64"][
        "full, inference mode"
    ]["runs"]
    assert kept == [run]  # Scored once.
    assert (
        len(
            {
                full_scale.latents_seed(noted_scores.rows()[f"birds-256-gl-ncric500{x}"], 0)
                for x in ("", "-second")
            }
        )
        == 2
    )
    with pytest.raises(ValueError, match="A checkpoint requires one row; received all rows."):
        scores.run(checkpoint="G.h5")


def test_orderings_of_the_small_runs():
    def runs(*distances):
        return {"runs": [{"bird_frechet_distance": value} for value in distances]}

    records = {
        "birds-256-comb64": {"small, inference mode": runs(10, 11)},
        "birds-256-single": {"small, inference mode": runs(30, 31)},
        "birds-256-wrong-400": {"small, training mode": runs(30, 31)},
    }
    (found,) = small_scale.orderings(records).items()
    assert found[0] == "supervision at 64 and 256 pixels, not at 256 alone" and found[1][0] == HOLDS
    row = dataclasses.replace(noted_scores.rows()["birds-256-single"], mean=1.0, deviation=0.5)
    assert row.reported() == "1.00 ± 0.50"
    assert scores.summary([{"is_mean": 4.0, "is_std": 0.1}, {"is_mean": 4.2, "is_std": 0.1}]) == (
        "is_mean 4.1 ± 0.1 over splits ± 0.14 over 2 seeds"
    )
