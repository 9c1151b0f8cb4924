"""Small counterpart of the scores: the same settings at width 8, trained on synthetic birds.

The bird attribute classifier scores the samples. These scores can be compared with each
other only. `orderings` tests whether they have the order of the scores in the training notes.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import numpy as np

from benchmarks.reproduction.claims import rules
from benchmarks.reproduction.full_scale import (
    BATCH,
    folder_name,
    latents_seed,
    sample,
    trained,
)
from benchmarks.reproduction.noted_scores import RUNS, Row, rows
from kerasgan.datasets.synthetic_birds import parse_caption, synthetic_birds
from kerasgan.images import to_uint8
from kerasgan.io import checkpoints
from kerasgan.metrics.frechet import frechet_distance, statistics
from kerasgan.metrics.inception_score import inception_score
from kerasgan.metrics.ms_ssim import mean_ms_ssim
from kerasgan.metrics.protocols import bird_attributes
from kerasgan.metrics.protocols.birds import pick
from zoo import text_gan

SCORES = ("attribute_accuracy", "bird_frechet_distance")
BIRDS = 512  # Number of samples, and of real test birds.
# Last epochs of the training notes. They correspond to the last epoch of a small run.
LAST_EPOCHS = {"birds": 600, "flowers": 600, "coco": 261}
SMALL: dict[str, Any] = {
    "width": 8,
    "num_images": 1000,
    "batch_size": 16,
    "data": "synthetic_birds",
    "text_encoder": "synthetic_birds_text",
    "score_every": 0,
}
# Orderings in the training notes: the first row of each pair has the better score.
ORDERINGS = {
    "supervision at 64 and 256 pixels, not at 256 alone": ("birds-256-comb64", "birds-256-single"),
    "supervision at 128 and 256 pixels, not at 256 alone": (
        "birds-256-comb128",
        "birds-256-single",
    ),
    "no image loss, not both image losses": ("birds-256-noimg-597", "birds-256-both-405"),
    "output at 256 pixels, not at 64": ("birds-256-gl-ncric500", "birds-256-gl-ncric500-64"),
    "inference mode, not training mode": ("birds-256-gl-ncric400", "birds-256-wrong-400"),
}


def reproduce(
    row: Row, seed: int, epochs: int, runs: str | pathlib.Path = RUNS, training: bool = False
) -> dict:
    """Train and score a small counterpart of a row.

    Args:
        row: Row of noted_scores.csv.
        seed: Seed of the training and of the latents.
        epochs: Number of epochs that correspond to the 600 of the training notes.
        runs: Folder of the trainings.
        training: If `True`, batch norm runs in training mode while sampling.

    Returns:
        Dict with `SCORES` at the row's resolution, `epoch` and `protocol`.
    """
    kind = dataclasses.replace(small_recipe(), score=lambda settings: None)
    sizes = row.settings.get(
        "sizes", {"coco_64": "64", "coco_128": "64,128"}.get(row.recipe()[0], "64,128,256")
    )
    changes = (
        {"image_loss": "released", "norm": "batch", "damsm_weight": 0.0} | row.settings | SMALL
    )
    changes |= {"sizes": sizes, "seed": seed, "regenerate_fakes": True}
    # Extra discriminator steps take the same share of the run as in the training notes. The default
    # is that of the presets `training_notes` and, for COCO, `paper`.
    usual = 100 if row.dataset == "birds" else 0
    updates = epochs * SMALL["num_images"] // SMALL["batch_size"]
    changes |= {
        "critic_epochs": row.settings.get("critic_epochs", usual),
        "critic_epoch_steps": max(1, updates // 600),
    }
    epoch = max(1, round(epochs * row.epoch / LAST_EPOCHS[row.dataset]))
    folder = pathlib.Path(runs) / "small" / folder_name(row.run, seed, epochs)
    model = checkpoints.load_sampling_model(trained(kind, "small", changes, epoch, folder))[0]
    found = evaluate(model, "synthetic_birds_text", latents_seed(row, seed), training)
    return {
        "attribute_accuracy": found[f"attribute_accuracy_{row.resolution}"],
        "bird_frechet_distance": found[f"bird_frechet_distance_{row.resolution}"],
        "epoch": epoch,
        "protocol": found["protocol"],
    }


@functools.cache
def small_recipe() -> Any:
    """Return the recipe of the small runs and of the claims about HDGAN."""
    small = text_gan.SMALL | {"sizes": "64", "num_images": 2000}
    return text_gan.text_recipe("small_hdgan", "Small HDGAN on synthetic birds.", {"small": small})


def evaluate(
    model: Any, text_encoder: str, seed: int = 1, training: bool = False, count: int = BIRDS
) -> dict:
    """Score the samples of a model at each of its sizes.

    Args:
        model: An `HDGAN` trained on synthetic birds.
        text_encoder: Name of the text encoder that the model was trained with.
        seed: Seed of the latents.
        training: If `True`, batch norm runs in training mode while sampling.
        count: Number of samples.

    Returns:
        Dict with, for each size, `attribute_accuracy_<size>`, `bird_frechet_distance_<size>` and
        `bird_classifier_score_<size>` (the Inception Score formula, averaged over the attributes);
        the same names without a size for the largest one; `ms_ssim` of sample pairs at the smallest
        size; `gain_with_size` (classifier score at the largest minus at the smallest size); and
        `protocol`.
    """
    classifier, info = bird_attributes.load_bird_attribute_classifier()
    captions = pick(_real(64)[0], count)
    wanted = np.stack([*map(parse_caption, captions)])
    embeddings = text_gan.encoder(text_encoder)(captions)
    batches = [*sample(model, embeddings, model.random_latents(count, seed), training)]
    smallest, largest = min(model.sizes), max(model.sizes)
    found: dict[str, Any] = {}
    for size in model.sizes:
        images = np.concatenate([batch[size] for batch in batches])
        features, heads = bird_attributes.features_and_heads(classifier, images)
        predicted = bird_attributes.attributes_from_heads(heads)
        accuracies = bird_attributes.accuracies(predicted, wanted[: len(predicted)])
        distance = frechet_distance(statistics(features), _real(size)[1])
        found |= {
            f"attribute_accuracy_{size}": accuracies["attribute_accuracy"],
            f"bird_frechet_distance_{size}": distance,
            f"bird_classifier_score_{size}": float(
                np.mean([inception_score(head, splits=1)[0] for head in heads])
            ),
        }
        if size == smallest:
            found["ms_ssim"] = mean_ms_ssim(to_uint8(images[:200]), 100, 0, 3)
    found["gain_with_size"] = (
        found[f"bird_classifier_score_{largest}"] - found[f"bird_classifier_score_{smallest}"]
    )
    found |= {name: found[f"{name}_{largest}"] for name in (*SCORES, "bird_classifier_score")}
    about = {
        "data": "synthetic birds, not CUB: captions of the 50 test species",
        "samples": f"{len(batches) * BATCH}, latents of seed {seed}",
        "mode": f"generator in training mode, batches of {BATCH}" if training else "inference mode",
        "frechet_reference": f"{BIRDS} test birds at the same size",
    }
    return found | {"protocol": bird_attributes.protocol(info) | about}


@functools.cache
def _real(size):
    """Captions of the test birds, and feature statistics of their images."""
    birds = synthetic_birds("test", BIRDS, seed=0, size=size)
    classifier = bird_attributes.load_bird_attribute_classifier()[0]
    return birds.captions, statistics(
        bird_attributes.features_and_heads(classifier, birds.images)[0]
    )


def orderings(records: dict[str, dict]) -> dict[str, tuple[str, str]]:
    """Test the orderings of the training notes on the small runs.

    Args:
        records: Return value of `scores.read`.

    Returns:
        Ordering -> (outcome, finding), for those whose rows have both been scored.
    """
    found = {}
    for name, pair in ORDERINGS.items():
        runs = {}
        for row in pair:
            mode = "training" if rows()[row].training_mode else "inference"
            scores = records.get(row, {}).get(f"small, {mode} mode", {}).get("runs", [])
            runs[row] = [{"measures": score} for score in scores]
        if all(runs.values()):
            # Two scorings of one training are paired.
            paired = len({folder_name(rows()[row].run, 0) for row in pair}) == 1
            rule = rules.Better("bird_frechet_distance", pair[0], pair[1:], log=True, paired=paired)
            found[name] = rule.evaluate(runs, {row: f"for {row}" for row in pair})
    return found
