"""Reproduces a score with the data, the networks and the protocol of the training notes.

The protocol is the Inception Score, mean and standard deviation over 10 splits, of several samples
of the first caption of each test image. Birds and flowers are scored by the Inception that
StackGAN's authors fine-tuned; samples are shuffled and the last incomplete batch of 64 is dropped.
COCO is scored by the Inception of 2015-12-05.
"""

import importlib
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import ops

from benchmarks.reproduction.claims import runner
from benchmarks.reproduction.noted_scores import RUNS, SAME, Row
from kerasgan.datasets.image_source import image_source
from kerasgan.images import to_uint8
from kerasgan.io import checkpoints, files
from kerasgan.metrics.features.fingerprints import INCEPTION
from zoo import evaluate, evaluation_images, recipe, text_gan

BATCH = 16  # Batch size of sampling. In training mode, samples depend on it.


def reproduce(
    row: Row,
    seed: int,
    weights: str | None,
    runs: str | pathlib.Path = RUNS,
    checkpoint: str | None = None,
    training: bool = False,
    data_dir: str | None = None,
) -> dict:
    """Train (or load a checkpoint), sample and score a row.

    Args:
        row: Row of noted_scores.csv.
        seed: Seed of the training and of the latents.
        weights: Weights of Inception.
        runs: Folder of the trainings.
        checkpoint: File of a generator, instead of a training.
        training: If `True`, batch norm runs in training mode.
        data_dir: Folder of TensorFlow Datasets.

    Returns:
        Dict with `is_mean`, `is_std` and `protocol`.
    """
    name, preset = row.recipe()
    kind = importlib.import_module(f"zoo.{name}").RECIPE
    changes = row.settings | {"seed": seed, "data_dir": data_dir or ""}
    path = checkpoint or trained(
        kind, preset, changes, row.epoch, pathlib.Path(runs) / folder_name(row.run, seed)
    )
    model = checkpoints.load_sampling_model(path)[0]
    test = text_gan.load(
        row.dataset, "val" if row.dataset == "coco" else "test", data_dir or "", 0, 0, ""
    )
    # The sampler of the training notes uses the first caption of each image.
    embeddings = np.repeat(test.embeddings[:, 0], row.samples_per_image, axis=0)
    latents = model.random_latents(len(embeddings), latents_seed(row, seed))

    def batches():
        for images in sample(model, embeddings, latents, training):
            yield to_uint8(images[row.resolution])

    fine_tuned = row.dataset != "coco"
    extractor = evaluation_images.extractor("slim" if fine_tuned else "inception", weights)
    network = getattr(extractor, "protocol", {}).get("network")
    if not fine_tuned and network != INCEPTION:
        raise ValueError(
            f"weights must be the published ones of {INCEPTION}; received {weights}, {network}"
        )
    options: dict[str, Any] = {"batch": 64, "shuffle_seed": seed} if fine_tuned else {}
    found = evaluate.evaluate(
        image_source(batches, count=len(embeddings) // BATCH * BATCH),
        None,
        extractor,
        ["is"],
        splits=10,
        **options,
    )
    mode = f"training mode, batches of {BATCH}" if training else "inference mode"
    return {
        "is_mean": found["inception_score_mean" if not fine_tuned else "classifier_score_mean"],
        "is_std": found["inception_score_std" if not fine_tuned else "classifier_score_std"],
        "protocol": found["protocol"]
        | {"mode": mode, "samples_of_an_image": row.samples_per_image, "caption": "the first"},
    }


def trained(
    kind: Any, preset: str, changes: dict, epoch: int, folder: pathlib.Path
) -> pathlib.Path:
    """Return the generator's file of a run at an epoch, after training up to it if necessary.

    Args:
        kind: The recipe.
        preset: Preset of the recipe.
        changes: Settings that differ from the preset.
        epoch: Epoch.
        folder: Folder of the run. Files of scored epochs are kept in its subfolder `kept`.

    Raises:
        ValueError: If the run has passed the epoch and did not keep its file.
    """
    kept = folder / "kept"
    found = checkpoints.latest(kept) if kept.is_dir() else None
    names = [path.name for path in kept.glob(f"*_G_epoch_{epoch}.h5")] if found else []
    if names:
        return kept / names[0]
    with runner.quiet():
        recipe.run(kind, recipe.settings_of(kind, preset, **changes, epochs=epoch), folder)
    path = checkpoints.latest(folder / "checkpoints")
    if path is None or not path.stem.endswith(f"_{epoch}"):
        newest = "none" if path is None else path.name
        raise ValueError(f"{folder} has passed epoch {epoch}; its newest checkpoint is {newest}")
    kept.mkdir(exist_ok=True)
    files.copy(path, kept / path.name)
    return kept / path.name


def folder_name(run: str, seed: int, epochs: int | None = None) -> str:
    """Return the name of a run's folder."""
    name = "".join(c if c.isalnum() else "_" for c in SAME.get(run, run)).strip("_")
    return f"{name}_seed{seed}" + (f"_of{epochs}" if epochs else "")


def latents_seed(row: Row, seed: int) -> int:
    """Return the seed of the latents. The second scoring of a checkpoint has another seed."""
    return 1 + seed + (1000 if row.id.endswith("-second") else 0)


def sample(
    model: Any, embeddings: np.ndarray, latents: np.ndarray, training: bool = False
) -> Iterator[dict[int, np.ndarray]]:
    """Generate images in batches. An incomplete last batch is left out.

    Args:
        model: An `HDGAN`.
        embeddings: Caption embeddings `[N, D]`.
        latents: Return value of `model.random_latents(N)`.
        training: If `True`, batch norm runs in training mode, as for the withdrawn scores of the
            training notes. The images then depend on their batch.

    Yields:
        Dicts from size to images `[n, size, size, 3]`.
    """
    network = model.ema_generator or model.generator
    if training:
        network.trainable = True  # Keras' batch norm ignores `training=True` of a frozen network.
    for start in range(0, len(embeddings) - BATCH + 1, BATCH):
        texts, rows = (x[start : start + BATCH] for x in (embeddings, latents))
        if training:
            inputs = [texts, *model.split_latents(rows)]
            *images, _, _ = model.frozen_moving_statistics(
                lambda inputs=inputs: network(inputs, training=True)
            )
            yield {
                size: ops.convert_to_numpy(x) for size, x in zip(model.sizes, images, strict=True)
            }
        else:
            yield model.sample(embeddings=texts, latents=rows, sizes="all")
