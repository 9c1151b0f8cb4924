"""Trains the robust image encoder, whose input gradients are useful to a generator (DAMSM loss).

    python -m zoo.robust_image_encoder

It learns the attributes of synthetic birds, and to match the caption embeddings of a fixed text
encoder, on images with one-step L2 adversarial perturbations (see
`kerasgan.encoders.robust_image_encoder`). It trains on birds of the 150 training species. The
weights after the last epoch are kept; test data is not used for selection.

The training takes about 6 minutes on one core (TensorFlow).
"""

import dataclasses
import json
import os
import time
from typing import Any

from zoo import (
    cli,
    dry_run as dry_runs,
    lazy,
    own_captions,
    scale,
    settings as fields,
    text_encoder,
)
from zoo.digit_classifier import SHIPPED
from zoo.settings import Checked, setting

keras = lazy.module("keras")
char_cnn_rnn = lazy.module("kerasgan.encoders.char_cnn_rnn")
robust = lazy.module("kerasgan.encoders.robust_image_encoder")
synthetic = lazy.module("kerasgan.datasets.synthetic_birds")
checkpoints = lazy.module("kerasgan.io.checkpoints")
locks = lazy.module("kerasgan.io.locks")
r_precision = lazy.module("kerasgan.metrics.r_precision")
network_training = lazy.module("zoo.network_training")
training_data = lazy.module("zoo.training_data")

NAME = "synthetic_birds_image_encoder"
FOLDER = SHIPPED / NAME
SIZE = text_encoder.SIZE


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """Settings of the recipe."""

    output_dir: str = fields.output_dir(str(FOLDER), fields.REPLACES_SHIPPED)
    data: str = fields.data(
        own_captions.BIRDS, "Data set: synthetic_birds, or a folder of images with captions."
    )
    epochs: int = fields.network_epochs(20)
    batch_size: int = fields.batch_size(64)
    seed: int = fields.seed("Seed of the birds, the initial weights, the order and the crops.")
    images: int = fields.num_images(4500, "Number of synthetic birds to train on.")
    text_encoder: str = setting(
        text_encoder.NAME,
        "Text encoder whose embeddings the image encoder learns to match: a preset or checkpoint.",
        group="networks",
    )
    width: int = fields.width(16, "Channels of the first convolution.")
    radius: float = setting(
        1.5,
        "L2 norm of the adversarial perturbations, for images in [-1, 1]. 0 disables them.",
        group="losses",
        least=0,
    )
    learning_rate: float = fields.cosine_rate(1.5e-3)
    augment: str = fields.augment()


def run(settings: Settings = Settings(), train: Any = None, test: Any = None) -> dict:
    """Trains, writes the encoder and its log to `output_dir`, and returns the log.

    Args:
        settings: The recipe's settings.
        train: `CaptionedImages`, 76 pixels. Defaults to those of `settings.data`.
        test: `CaptionedImages`. Defaults to those of `settings.data`; birds have 64 pixels.
    """
    checkpoints.check_folder(settings.output_dir)
    keras.utils.set_random_seed(settings.seed)
    begin = time.time()
    encode = char_cnn_rnn.text_encoder(settings.text_encoder)
    train, test = text_encoder.data_splits(settings, train, test)
    batches = training_data.EmbeddingBatches(
        train.embed(encode),
        settings.batch_size,
        SIZE,
        seed=settings.seed,
        flip=train.attributes is not None or not own_captions.names_sides(train),
    )
    encoder = char_cnn_rnn.build_image_encoder(SIZE, settings.width, encode.dim)
    sizes = [1]  # one attribute of unknown value
    if train.attributes is not None:
        sizes = [len(values) for values in synthetic.ATTRIBUTES.values()]
    model = robust.RobustImageEncoder(sizes, encoder, settings.radius, settings.seed)
    steps = settings.epochs * batches.num_batches
    model.compile(encoder=network_training.adam(settings.learning_rate, steps))
    model.fit(
        network_training.augmented(batches, settings.augment, settings.seed),
        epochs=settings.epochs,
        verbose=network_training.verbosity(settings.epochs),
    )
    measured = score(encoder, encode, train, test) if train.attributes is not None else {}
    numbers = {
        **measured,
        "train_images": len(train),
        "test_images": len(test),
        "parameters": encoder.count_params(),
    }
    log = network_training.log_of(settings, "zoo.robust_image_encoder", begin, numbers)
    network_training.save(
        settings.output_dir,
        encoder,
        log,
        name="robust_image_encoder",
        dataset=own_captions.name_of(settings.data),
        size=SIZE,
        epochs=settings.epochs,
        letter="R",
        info={"command": log["command"]} | measured,
    )
    return log


def score(encoder: Any, encode: Any, train: Any, test: Any) -> dict:
    """Returns the scores of the encoder, as `zoo.text_encoder.score` does.

    - `probe_accuracy`: share of the test birds' attributes that a linear map of the image
      embeddings, fitted to training birds, predicts correctly: of each attribute, and `all`.
    - `r_precision`: share of birds whose first caption ranks first among 100 of any birds; mean and
      deviation.
    """
    view = char_cnn_rnn.ImageEncoder(encoder)
    images = view(text_encoder.central(test))
    texts = encode([captions[0] for captions in test.captions[: len(images)]])
    count = min(100, len(images))
    precision = r_precision.r_precision(images, texts, candidates=count)
    return {
        "probe_accuracy": text_encoder.probe(
            view(text_encoder.central(train)),
            train.attributes[:1000],
            images,
            test.attributes[:1000],
        ),
        "r_precision": [round(x, 4) for x in precision],
    }


def network(name_or_file: str | os.PathLike = NAME) -> Any:
    """Returns the network of a robust image encoder.

    Args:
        name_or_file: `"synthetic_birds_image_encoder"` (shipped), a folder, or a checkpoint
            `…_R_epoch_n.h5`.

    Raises:
        CheckpointError: If there is no such encoder.
    """
    return network_training.load(name_or_file, NAME, "R", "zoo.robust_image_encoder")


def command(settings: Settings) -> None:
    """Runs the recipe and prints the log."""
    with locks.locked(settings.output_dir):
        print(json.dumps(run(settings), indent=2))


def dry_run(settings: Settings) -> None:
    """Prints settings, parameter counts and, for synthetic birds, steps."""
    dim = char_cnn_rnn.text_encoder(settings.text_encoder).dim
    encoder = char_cnn_rnn.build_image_encoder(SIZE, settings.width, dim)
    birds = settings.data == own_captions.BIRDS
    steps = max(settings.images // settings.batch_size, 1) if birds else None
    notes = [] if birds else [scale.missing_data(settings)]
    dry_runs.show(settings, {"image_encoder": dry_runs.count(encoder)}, steps, notes)


def main() -> None:
    cli.main("zoo.robust_image_encoder", Settings, command, description=__doc__, dry_run=dry_run)


if __name__ == "__main__":
    main()
