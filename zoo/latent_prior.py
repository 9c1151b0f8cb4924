"""Trains the latent prior of `zoo.projected_birds`.

    python -m zoo.latent_prior --start=runs/birds_256_full/stage_256

The posterior of an earlier run infers the latents of synthetic birds, and a flow learns to sample
such latents for a caption (see `kerasgan.latents.prior`). A generator that continues this run with
`--latent_flow` samples its latents from it. The weights after the last epoch are kept; test data is
not used for selection.

About 10 minutes on one core (TensorFlow).
"""

import dataclasses
import json
import os
import time
from typing import Any

from zoo import cli, dry_run as dry_runs, lazy, settings as fields
from zoo.settings import Checked, setting

keras = lazy.module("keras")
np = lazy.module("numpy")
fresh_birds = lazy.module("kerasgan.datasets.fresh_birds")
dtype_policies = lazy.module("kerasgan.dtype_policies")
checkpoints = lazy.module("kerasgan.io.checkpoints")
locks = lazy.module("kerasgan.io.locks")
gans = lazy.module("kerasgan.models.projected_text_gan")
latent_prior = lazy.module("kerasgan.latents.prior")
sampling = lazy.module("kerasgan.sampling")
network_training = lazy.module("zoo.network_training")
projected_birds = lazy.module("zoo.projected_birds")
text_gan = lazy.module("zoo.text_gan")

FOLDER = "runs/latent_prior"
CROPS = 3  # Number of crops of each bird, each with another caption.
PART = 1000  # Number of birds in memory at a time.


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """Settings of the recipe."""

    output_dir: str = fields.output_dir(FOLDER)
    start: str = setting("", "Folder of a run of zoo.projected_birds that has a posterior.")
    epochs: int = fields.network_epochs(60)
    batch_size: int = fields.batch_size(256)
    seed: int = setting(
        13,
        "Seed of the birds, the initial weights, the order, the crops and the noise.",
        least=0,
        below=2**32,
    )
    images: int = fields.num_images(12000, "Number of synthetic birds to train on.")
    birds: str = setting(
        "random",
        "Birds of the training species (train), or birds with random attributes but no color "
        "combinations of test species (random).",
        group="data",
        choices=("train", "random"),
    )
    text_encoder: str = setting(
        "random_birds_text", "Text encoder of the run: a preset or checkpoint.", group="networks"
    )
    image_encoder: str = setting(
        "synthetic_birds_part_encoder",
        "Frozen image encoder of the run: a preset or checkpoint.",
        group="networks",
    )
    width: int = fields.width(256, "Units of the hidden layers of the flow.")
    learning_rate: float = fields.cosine_rate(1e-3)


def posteriors(settings: Settings) -> tuple[Any, Any]:
    """Returns means and log variances `[N, 2 * L]` of birds, and their embeddings `[N, D]`."""
    before = text_gan.last_of(settings.start)
    if getattr(before, "posterior", None) is None:
        raise ValueError(f"start must be a run with a posterior; received {settings.start}")
    if dtype_policies.is_mixed([before.posterior]):
        before = dtype_policies.in_float32(before)
    encoder = projected_birds.frozen_encoder(settings.image_encoder)
    maps = gans.frozen_maps(encoder, before.antialias)
    image = keras.Input((before.size, before.size, 3))
    reduced = keras.layers.AveragePooling2D(before.size // maps.input_shape[1])(image)
    embeddings = keras.Input((before.embedding_dim,))
    infer = keras.Model([image, embeddings], before.posterior([*maps(reduced), embeddings]))
    found: tuple[list, list] = ([], [])
    for part, count in enumerate(_parts(settings.images)):
        batches = fresh_birds.FreshBirds(
            count,
            min(50, count),
            text_gan.encoder(settings.text_encoder),
            before.size,
            lifetime=count,
            seed=(settings.seed + part) % 2**32,
            processes=0,
            mirrored=not before.mirror,
            split=settings.birds,
        )
        for epoch in range(CROPS):
            # The crops and captions of an epoch differ; the birds are those of the first one.
            batches.epoch = epoch
            for index in range(batches.num_batches):
                images, codes = batches[index]
                found[0].append(sampling.predict(infer, [images, codes], len(images)))
                found[1].append(codes)
    return tuple(map(np.concatenate, found))


def _parts(images):
    """Numbers of birds that are in memory at a time."""
    return [PART] * (images // PART) + [images % PART] * (images % PART > 1 or images < 2)


def build(settings: Settings, latent_dim: int, embedding_dim: int) -> Any:
    """Returns the `LatentPrior`."""
    network = latent_prior.build_latent_flow(latent_dim, embedding_dim, width=settings.width)
    return latent_prior.LatentPrior(network, seed=settings.seed)


def run(settings: Settings = Settings(), command: str | None = None) -> dict:
    """Trains, writes the network and its log to `output_dir`, and returns the log.

    Args:
        settings: The recipe's settings.
        command: Shell command that started the training, if it is not that of this recipe.
    """
    checkpoints.check_folder(settings.output_dir)
    keras.utils.set_random_seed(settings.seed)
    begin = time.time()
    latents, embeddings = posteriors(settings)
    model = build(settings, latents.shape[1] // 2, embeddings.shape[1])
    steps = settings.epochs * -(-len(latents) // settings.batch_size)
    model.compile(flow=network_training.adam(settings.learning_rate, steps))
    history = model.fit(
        latents, embeddings, batch_size=settings.batch_size, epochs=settings.epochs, verbose=2
    )
    numbers = {
        "flow_loss": round(history.history["flow_loss"][-1], 4),
        "train_images": settings.images,
        "parameters": model.network.count_params(),
    }
    log = network_training.log_of(settings, "zoo.latent_prior", begin, numbers, command=command)
    network_training.save(
        settings.output_dir,
        model.ema_network,
        log,
        name="latent_prior",
        dataset="synthetic_birds",
        size=latents.shape[1] // 2,
        epochs=settings.epochs,
        letter="L",
        info={"command": log["command"], "text_encoder": str(settings.text_encoder)},
    )
    return log


def network(name_or_file: str | os.PathLike = FOLDER, text_encoder: str | None = None) -> Any:
    """Returns the network from noise and embeddings to latents.

    Args:
        name_or_file: A folder, or a checkpoint `…_L_epoch_n.h5`.
        text_encoder: Text encoder of the embeddings. If it is given, the network must have been
            trained with an encoder of this name.

    Raises:
        CheckpointError: There is no such network, or it was trained with another text encoder.
    """
    expected = {"text_encoder": text_encoder} if text_encoder else None
    return network_training.load(name_or_file, "", "L", "zoo.latent_prior", expected)


def command(settings: Settings) -> None:
    """Runs the recipe and prints the log."""
    with locks.locked(settings.output_dir):
        print(json.dumps(run(settings), indent=2))


def dry_run(settings: Settings) -> None:
    """Prints settings, parameter counts and steps. It does not read the run of `--start`."""
    network = build(settings, 64, 1024).network
    steps = -(-CROPS * settings.images // settings.batch_size)
    dry_runs.show(settings, {"latent_flow": dry_runs.count(network)}, steps)


def main() -> None:
    cli.main("zoo.latent_prior", Settings, command, description=__doc__, dry_run=dry_run)


if __name__ == "__main__":
    main()
