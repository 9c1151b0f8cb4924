"""Trains the bird attribute classifier, the evaluation classifier of synthetic birds.

    python -m zoo.bird_attribute_classifier

It trains on birds with random attributes, except for the color combinations of the 50 test species.
(If it is trained on the 150 training species alone, it learns which bill goes with which colors,
and classifies half of the bills of other species wrongly.) The images are degraded anew in each
epoch. They are downscaled and upscaled, because it classifies images of 64 pixels as well as of
256. They get noise and varied light, because it classifies generated images. The weights after the
last epoch are kept; test data is not used for selection.
"""

import dataclasses
import json
import time
from typing import Any

from zoo import cli, dry_run as dry_runs, lazy, settings as fields
from zoo.digit_classifier import SHIPPED
from zoo.settings import Checked, setting

keras = lazy.module("keras")
np = lazy.module("numpy")
captioned = lazy.module("kerasgan.datasets.captioned")
synthetic = lazy.module("kerasgan.datasets.synthetic_birds")
checkpoints = lazy.module("kerasgan.io.checkpoints")
locks = lazy.module("kerasgan.io.locks")
protocol = lazy.module("kerasgan.metrics.protocols.bird_attributes")
networks = lazy.module("kerasgan.models.classifier")
network_training = lazy.module("zoo.network_training")
training_data = lazy.module("zoo.training_data")

SIZE = 128  # Side of the classifier's images.
TEST_SIZES = (64, 128, 256)


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """Settings of the recipe."""

    output_dir: str = fields.output_dir(
        str(SHIPPED / "bird_attribute_classifier"), fields.REPLACES_SHIPPED
    )
    epochs: int = fields.network_epochs(9)
    batch_size: int = fields.batch_size(50)
    seed: int = fields.seed(
        "Seed of the birds, the initial weights, the order and the degradation."
    )
    images: int = fields.num_images(8000, "Number of synthetic birds to train on.")
    smallest: int = setting(
        60, "Minimum side in pixels to which images are downscaled.", group="data", least=1
    )
    noise: float = setting(
        0.1,
        "Largest standard deviation of the noise, for images in [-1, 1].",
        group="data",
        least=0,
    )
    light: float = setting(
        0.06, "Largest relative change of contrast and of each color.", group="data", least=0
    )
    augment: str = fields.augment()
    width: int = fields.width(16, "Channels of the first convolution.")
    features: int = fields.width(
        128, "Number of features, whose statistics are compared by the Fréchet distance."
    )
    learning_rate: float = fields.cosine_rate(2e-3)


def any_birds(count: int, seed: int, size: int) -> Any:
    """Returns birds with random attributes, without the color combinations of the test species."""
    random = np.random.default_rng(seed)
    unseen = synthetic.attributes.unseen_colors()
    attributes = random.integers(0, protocol.VALUES, (2 * count, len(protocol.VALUES)), "int8")
    allowed = [tuple(each) not in unseen for each in attributes[:, :3].tolist()]
    attributes = attributes[allowed][:count]
    images = np.stack(
        [synthetic.draw_bird(each, (seed, index), size) for index, each in enumerate(attributes)]
    )
    classes = np.arange(count, dtype="int32")
    names = [f"{index:06d}" for index in classes]
    return captioned.CaptionedImages(images, classes, [[]] * count, names, attributes=attributes)


def heads(logits: Any) -> list:
    """Returns the logits of each attribute."""
    return keras.ops.split(logits, np.cumsum(protocol.VALUES)[:-1].tolist(), axis=-1)


def attribute_loss(attributes: Any, logits: Any) -> Any:
    """Returns the cross entropy `[B]`, averaged over attributes.

    Args:
        attributes: Indices of the true values, int `[B, 7]`.
        logits: Logits of all values, `[B, 36]`.
    """
    ops = keras.ops
    attributes = ops.cast(attributes, "int32")  # Keras converts targets to floats.
    losses = [
        ops.sparse_categorical_crossentropy(attributes[:, i], head, from_logits=True)
        for i, head in enumerate(heads(logits))
    ]
    return sum(losses) / len(losses)


def accuracy(attributes: Any, logits: Any) -> Any:
    """Returns the share of correct attributes, `[B]`."""
    ops = keras.ops
    found = ops.stack([ops.argmax(head, axis=-1) for head in heads(logits)], axis=1)
    right = ops.equal(ops.cast(attributes, found.dtype), found)
    return ops.mean(ops.cast(right, "float32"), axis=1)


def run(settings: Settings = Settings(), train: Any = None, test: Any = None) -> dict:
    """Trains, writes the classifier and its log to `output_dir`, and returns the log.

    Args:
        settings: The recipe's settings.
        train: `CaptionedImages` with attributes. Defaults to birds of 152 pixels with random
            attributes.
        test: `CaptionedImages` with attributes. Defaults to 1,000 birds of the test species, of 304
            pixels.
    """
    checkpoints.check_folder(settings.output_dir)
    keras.utils.set_random_seed(settings.seed)
    begin = time.time()
    train = train or any_birds(settings.images, settings.seed, SIZE * 19 // 16)
    test = test or synthetic.synthetic_birds("test", seed=settings.seed)
    batches = training_data.DegradedBirds(settings, train, SIZE)
    classifier = networks.build_deep_classifier(
        SIZE, 3, sum(protocol.VALUES), settings.width, settings.features
    )
    network_training.fit(
        classifier,
        batches,
        attribute_loss,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        metrics=[accuracy],
        augment=settings.augment,
        seed=settings.seed,
    )
    numbers = {
        "test_accuracy": {str(size): accuracies(classifier, test, size) for size in TEST_SIZES},
        "test_birds": len(test),
        "train_birds": len(train),
        "parameters": classifier.count_params(),
    }
    log = network_training.log_of(
        settings, "zoo.bird_attribute_classifier", begin, numbers, ["Pillow"]
    )
    right = {size: shares["all"] for size, shares in log["test_accuracy"].items()}
    network_training.save(
        settings.output_dir,
        classifier,
        log,
        name="bird_attribute_classifier",
        dataset="synthetic_birds",
        size=SIZE,
        epochs=settings.epochs,
        info={"test_accuracy": right, "command": log["command"], "seed": settings.seed},
    )
    return log


def accuracies(classifier: Any, birds: Any, size: int) -> dict:
    """Returns the accuracy of each attribute and their mean, on images downscaled to `size`.

    The images are the central 256 of 304 pixels, or the same share of other sizes.
    """
    side = birds.images.shape[1]
    edge = side * 3 // 38
    central = birds.images[:, edge : side - edge, edge : side - edge]
    found = protocol.predict_attributes(classifier, protocol.resized(central, size))[1]
    right = found == birds.attributes
    names, means = [*synthetic.ATTRIBUTES, "all"], [*right.mean(axis=0), right.mean()]
    return {name: round(float(mean), 4) for name, mean in zip(names, means, strict=True)}


def command(settings: Settings) -> None:
    """Runs the recipe and prints the log."""
    with locks.locked(settings.output_dir):
        print(json.dumps(run(settings), indent=2))


def dry_run(settings: Settings) -> None:
    """Prints settings, parameter counts and steps."""
    values = sum(protocol.VALUES)
    network = networks.build_deep_classifier(SIZE, 3, values, settings.width, settings.features)
    steps = max(settings.images // settings.batch_size, 1)
    dry_runs.show(settings, {"classifier": dry_runs.count(network)}, steps)


def main() -> None:
    cli.main(
        "zoo.bird_attribute_classifier", Settings, command, description=__doc__, dry_run=dry_run
    )


if __name__ == "__main__":
    main()
