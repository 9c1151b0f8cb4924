"""Trains the part encoder, the frozen encoder of the discriminators of `zoo.projected_birds`.

    python -m zoo.part_encoder

It learns to mark the parts of synthetic birds, to remove noise and to name attributes (see
`kerasgan.encoders.part_encoder`), on birds of the 150 training species. The weights after the last
epoch are kept; test data is not used for selection. Real data sets such as CUB label the positions
of parts, too.

About 5 minutes on one core (TensorFlow).
"""

import dataclasses
import json
import os
import time
from typing import Any

from zoo import cli, dry_run as dry_runs, lazy, settings as fields
from zoo.digit_classifier import SHIPPED
from zoo.settings import Checked

keras = lazy.module("keras")
np = lazy.module("numpy")
part_encoder = lazy.module("kerasgan.encoders.part_encoder")
synthetic = lazy.module("kerasgan.datasets.synthetic_birds")
checkpoints = lazy.module("kerasgan.io.checkpoints")
locks = lazy.module("kerasgan.io.locks")
network_training = lazy.module("zoo.network_training")
training_data = lazy.module("zoo.training_data")

NAME = "synthetic_birds_part_encoder"
FOLDER = SHIPPED / NAME
SIZE = 64
# Weights of background, branch, leg, water, tail, body, head, bill, eye and wing.
PART_WEIGHTS = (0.5, 2.0, 2.0, 0.5, 2.0, 1.5, 2.0, 4.0, 4.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """Settings of the recipe."""

    output_dir: str = fields.output_dir(str(FOLDER), fields.REPLACES_SHIPPED)
    epochs: int = fields.network_epochs(20)
    batch_size: int = fields.batch_size(64)
    seed: int = fields.seed("Seed of the birds, the initial weights, the order and the crops.")
    images: int = fields.num_images(6144, "Number of synthetic birds to train on.")
    width: int = fields.width(16, "Channels of the feature map at half the image size.")
    learning_rate: float = fields.cosine_rate(2e-3)


def run(settings: Settings = Settings()) -> dict:
    """Trains, writes the encoder and its log to `output_dir`, and returns the log."""
    checkpoints.check_folder(settings.output_dir)
    keras.utils.set_random_seed(settings.seed)
    begin = time.time()
    sizes = [len(values) for values in synthetic.ATTRIBUTES.values()]
    model = part_encoder.PartEncoder(
        PART_WEIGHTS,
        sizes,
        part_encoder.build_part_encoder(SIZE, settings.width),
        seed=settings.seed,
    )
    birds = synthetic.part_maps("train", settings.images, settings.seed, SIZE * 19 // 16)
    batches = training_data.PartBatches(*birds, settings.batch_size, SIZE, settings.seed)
    steps = settings.epochs * batches.num_batches
    model.compile(encoder=network_training.adam(settings.learning_rate, steps))
    model.fit(batches, epochs=settings.epochs, verbose=2)
    test = synthetic.part_maps("test", 500, settings.seed, SIZE)
    numbers = {
        "part_overlap": overlaps(model, *test[:2]),
        "train_images": settings.images,
        "test_images": len(test[0]),
        "parameters": model.encoder.count_params(),
    }
    log = network_training.log_of(settings, "zoo.part_encoder", begin, numbers)
    network_training.save(
        settings.output_dir,
        model.encoder,
        log,
        name="part_encoder",
        dataset="synthetic_birds",
        size=SIZE,
        epochs=settings.epochs,
        letter="P",
        info={name: log[name] for name in ("command", "part_overlap")},
    )
    return log


def overlaps(model: Any, images: Any, parts: Any) -> dict:
    """Returns the intersection over union of predicted and true pixels of each part."""
    floats = (images[i : i + 50] / 127.5 - 1.0 for i in range(0, len(images), 50))
    found = [model.predict_parts(x.astype("float32"))[0] for x in floats]
    found = np.concatenate([keras.ops.convert_to_numpy(x).argmax(-1) for x in found])
    pairs = [(found == k, parts == k) for k in range(len(PART_WEIGHTS))]
    return {
        name: round(float((a & b).sum() / max((a | b).sum(), 1)), 4)
        for name, (a, b) in zip(synthetic.PARTS, pairs, strict=True)
    }


def network(name_or_file: str | os.PathLike = NAME) -> Any:
    """Returns the network of a part encoder.

    Args:
        name_or_file: `"synthetic_birds_part_encoder"` (shipped), a folder, or a checkpoint
            `…_P_epoch_n.h5`.

    Raises:
        CheckpointError: There is no such encoder.
    """
    return network_training.load(name_or_file, NAME, "P", "zoo.part_encoder")


def command(settings: Settings) -> None:
    """Runs the recipe and prints the log."""
    with locks.locked(settings.output_dir):
        print(json.dumps(run(settings), indent=2))


def dry_run(settings: Settings) -> None:
    """Prints settings, parameter counts and steps."""
    encoder = part_encoder.build_part_encoder(SIZE, settings.width)
    steps = max(settings.images // settings.batch_size, 1)
    dry_runs.show(settings, {"part_encoder": dry_runs.count(encoder)}, steps)


def main() -> None:
    cli.main("zoo.part_encoder", Settings, command, description=__doc__, dry_run=dry_run)


if __name__ == "__main__":
    main()
