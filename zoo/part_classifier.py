"""Trains the part classifier, the auxiliary classifier of `zoo.projected_birds`.

    python -m zoo.part_classifier

One network predicts the attributes of synthetic birds from images, another one predicts which
attributes a caption names (see `kerasgan.encoders.part_classifier`). The training birds have random
attributes, without the color combinations of the test species. The evaluation classifier
(`zoo.bird_attribute_classifier`) has another network and other training birds. The weights after
the last epoch are kept; test data is not used for selection.

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
char_cnn_rnn = lazy.module("kerasgan.encoders.char_cnn_rnn")
part_classifier = lazy.module("kerasgan.encoders.part_classifier")
synthetic = lazy.module("kerasgan.datasets.synthetic_birds")
checkpoints = lazy.module("kerasgan.io.checkpoints")
locks = lazy.module("kerasgan.io.locks")
network_training = lazy.module("zoo.network_training")
training_data = lazy.module("zoo.training_data")

FOLDER = "runs/part_classifier"
SIZE = 128
CAPTIONS = 3  # Number of captions per bird.
PARTS = ("head", "wing", "body", "bill")  # Parts with an attention map.
# The bill, whose shape is learned more slowly than the rest, has weight 2.
LABEL_WEIGHTS = (1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """Settings of the recipe."""

    output_dir: str = fields.output_dir(FOLDER)
    epochs: int = fields.network_epochs(3)
    batch_size: int = fields.batch_size(32)
    seed: int = setting(
        11,
        "Seed of the birds, the initial weights, the order, the crops and the noise.",
        least=0,
        below=2**32,
    )
    images: int = fields.num_images(8000, "Number of synthetic birds to train on.")
    text_encoder: str = setting(
        "synthetic_birds_text",
        "Text encoder of the caption classifier: a preset or checkpoint.",
        group="networks",
    )
    width: int = fields.width(16, "Channels of the feature map at half the image size.")
    radius: float = setting(
        1.0,
        "Maximum L2 norm of the adversarial perturbations, for images in [-1, 1]. 0 disables them.",
        group="losses",
        least=0,
    )
    noise: float = setting(
        0.3,
        "Largest standard deviation of the noise, for images in [-1, 1].",
        group="losses",
        least=0,
    )
    learning_rate: float = fields.cosine_rate(3e-3)


def label_sizes() -> list[int]:
    """Returns the number of values of each attribute."""
    return [len(values) for values in synthetic.ATTRIBUTES.values()]


def build(settings: Settings, embedding_dim: int) -> Any:
    """Returns the `PartClassifier`."""
    sizes = label_sizes()
    return part_classifier.PartClassifier(
        sizes,
        LABEL_WEIGHTS,
        part_classifier.build_part_classifier(len(PARTS), sum(sizes), SIZE, settings.width),
        part_classifier.build_caption_classifier(sizes, embedding_dim),
        radius=settings.radius,
        noise=settings.noise,
        seed=settings.seed,
    )


def run(settings: Settings = Settings(), command: str | None = None) -> dict:
    """Trains, writes the network and its log to `output_dir`, and returns the log.

    Args:
        settings: The recipe's settings.
        command: Shell command that started the training, if it is not that of this recipe.
    """
    checkpoints.check_folder(settings.output_dir)
    keras.utils.set_random_seed(settings.seed)
    begin = time.time()
    encode = char_cnn_rnn.text_encoder(settings.text_encoder)
    model = build(settings, encode.dim)
    images, parts, attributes = synthetic.part_maps(
        "random", settings.images, settings.seed, SIZE * 19 // 16
    )
    known = synthetic.synthetic_birds("random", settings.images, settings.seed, size=None)
    known.captions = [captions[:CAPTIONS] for captions in known.captions]
    named = [[synthetic.parse_caption(x) for x in captions] for captions in known.captions]
    batches = training_data.PartClassifierBatches(
        (images, parts, attributes),
        [synthetic.PARTS.index(name) for name in PARTS],
        known.embed(encode).embeddings,
        np.array(named),
        settings.batch_size,
        SIZE,
        settings.seed,
    )
    steps = settings.epochs * batches.num_batches
    model.compile(classifier=network_training.adam(settings.learning_rate, steps))
    model.fit(batches, epochs=settings.epochs, verbose=2)
    numbers = {
        "test_accuracy": {str(size): accuracies(model, size) for size in (64, 128)},
        "caption_accuracy": caption_accuracy(model, encode),
        "train_images": settings.images,
        "parameters": model.mismatch.count_params(),
    }
    log = network_training.log_of(settings, "zoo.part_classifier", begin, numbers, command=command)
    network_training.save(
        settings.output_dir,
        model.mismatch,
        log,
        name="part_classifier",
        dataset="synthetic_birds",
        size=SIZE,
        epochs=settings.epochs,
        letter="M",
        info={name: log[name] for name in ("command", "test_accuracy", "caption_accuracy")}
        | {"text_encoder": str(settings.text_encoder)},
    )
    return log


def accuracies(model: Any, size: int, count: int = 500) -> dict:
    """Returns the accuracy of each attribute and their mean, on test birds of `size` pixels."""
    birds = synthetic.synthetic_birds("test", count, size=SIZE * 19 // 16)
    edge = (birds.images.shape[1] - SIZE) // 2
    central = birds.images[:, edge : edge + SIZE, edge : edge + SIZE]
    images = training_data.reduced(central, size)
    logits = model.part_classifier.predict(images, batch_size=50, verbose=0)[0]
    heads = np.split(logits, np.cumsum(label_sizes())[:-1], axis=1)
    right = np.stack([head.argmax(axis=1) for head in heads], axis=1) == birds.attributes
    names, means = [*synthetic.ATTRIBUTES, "all"], [*right.mean(axis=0), right.mean()]
    return {name: round(float(mean), 4) for name, mean in zip(names, means, strict=True)}


def caption_accuracy(model: Any, encode: Any, count: int = 500) -> float:
    """Returns the accuracy of the caption classifier on test captions, including "not named"."""
    birds = synthetic.synthetic_birds("test", count, size=None)
    captions = [each[0] for each in birds.captions]
    named = np.stack([synthetic.parse_caption(caption) for caption in captions])
    sizes = np.array(label_sizes())
    logits = model.caption_classifier.predict(encode(captions), verbose=0)
    heads = np.split(logits, np.cumsum(sizes + 1)[:-1], axis=1)
    found = np.stack([head.argmax(axis=1) for head in heads], axis=1)
    return round(float((found == np.where(named < 0, sizes, named)).mean()), 4)


def network(name_or_file: str | os.PathLike = FOLDER, text_encoder: str | None = None) -> Any:
    """Returns the network from images and embeddings to values `[N]` and features `[N, F]`.

    Args:
        name_or_file: A folder, or a checkpoint `…_M_epoch_n.h5`.
        text_encoder: Text encoder of the embeddings. If it is given, the network must have been
            trained with an encoder of this name.

    Raises:
        CheckpointError: There is no such network, or it was trained with another text encoder.
    """
    expected = {"text_encoder": text_encoder} if text_encoder else None
    return network_training.load(name_or_file, "", "M", "zoo.part_classifier", expected)


def command(settings: Settings) -> None:
    """Runs the recipe and prints the log."""
    with locks.locked(settings.output_dir):
        print(json.dumps(run(settings), indent=2))


def dry_run(settings: Settings) -> None:
    """Prints settings, parameter counts and steps."""
    dim = char_cnn_rnn.text_encoder(settings.text_encoder).dim
    network = build(settings, dim).mismatch
    steps = max(settings.images // settings.batch_size, 1)
    dry_runs.show(settings, {"part_classifier": dry_runs.count(network)}, steps)


def main() -> None:
    cli.main("zoo.part_classifier", Settings, command, description=__doc__, dry_run=dry_run)


if __name__ == "__main__":
    main()
