"""Fine-tunes an Inception network on a data set, for StackGAN's kind of Inception Score.

    python -m zoo.inception --dataset=birds --weights=inception-2015-12-05.pth
    python -m zoo.inception --dataset=synthetic_birds --size=107 --width=0.25

`zoo.evaluate --features=slim --inception=FILE` then uses the file that it writes.

StackGAN's authors published networks that were fine-tuned on 50 classes of birds and on 20 of
flowers. They are no longer available to everyone. This recipe makes another one in the same way: it
learns the classes of the *test* split from their real images, because images are generated for
these classes. (Do not train a generator on these images.) Its Inception Scores are not comparable
with published ones, nor with those of another such network: two fine-tuned networks give the same
images different scores. The protocol of a score names the data that the network was trained on.

Differences from the authors' fine-tuning, of which only the result and its graph are known:

- It starts from the Inception of 2015-12-05 (`--weights`), whose last block uses max pooling where
  this network uses average pooling, or from random weights. Log, card and protocol record which.
  The authors started from a network of 2016.
- It uses Adam with a cosine decay and keeps the weights after the last epoch. The authors kept
  moving averages of the weights.
- It has no logit for the background, which no image shows, and no auxiliary classifier.
- A tenth of the images is held out to measure the accuracy.
"""

import dataclasses
import hashlib
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

from zoo import cli, dry_run as dry_runs, lazy, recipe, settings as fields
from zoo.command import shell_command
from zoo.settings import Checked, setting

keras = lazy.module("keras")
np = lazy.module("numpy")
callbacks = lazy.module("kerasgan.callbacks")
log_files = lazy.module("kerasgan.callbacks.logging")
folders = lazy.module("kerasgan.datasets.folder")
lazy_images = lazy.module("kerasgan.datasets.lazy_images")
prepared = lazy.module("kerasgan.datasets.prepared")
synthetic = lazy.module("kerasgan.datasets.synthetic_birds")
checkpoints = lazy.module("kerasgan.io.checkpoints")
files = lazy.module("kerasgan.io.files")
locks = lazy.module("kerasgan.io.locks")
fingerprints = lazy.module("kerasgan.metrics.features.fingerprints")
inception = lazy.module("kerasgan.metrics.features.inception")
slim_inception = lazy.module("kerasgan.metrics.features.slim_inception")
network_training = lazy.module("zoo.network_training")
own_captions = lazy.module("zoo.own_captions")
training_data = lazy.module("zoo.training_data")


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """Settings of the recipe."""

    output_dir: str = fields.output_dir(
        "", "Folder of the network, its card and its log. Default: runs/inception_<dataset>."
    )
    epochs: int = fields.network_epochs(30)
    batch_size: int = fields.batch_size(32, least=2)
    seed: int = fields.seed("Seed of the weights, the order, the crops and the held-out part.")
    dataset: str = setting(
        "synthetic_birds",
        "Data set: synthetic_birds, a folder of class folders, or the name of one that "
        "zoo.prepare made.",
        group="data",
    )
    split: str = setting(
        "test", "Split of the data set. Images are generated for the classes of test.", group="data"
    )
    data_dir: str = fields.data_dir()
    images: int = fields.num_images(1000)
    held_out: float = setting(
        0.1,
        "Share of each class's images that is held out to measure the accuracy.",
        group="data",
        above=0,
        below=1,
    )
    smallest: float = setting(
        0.7,
        "Minimum side of the random crops, as a fraction of the image.",
        group="data",
        above=0,
        most=1,
    )
    augment: str = fields.augment()
    weights: str = setting(
        "",
        "File of the Inception of 2015-12-05 to start from. By default the weights are random.",
        group="networks",
    )
    size: int = setting(
        299, "Side of the input images in pixels. --weights needs 299.", group="networks", least=75
    )
    width: float = setting(
        1.0,
        "Factor of the channels of all convolutions. 0.25 needs 1/16 of the computation. Must be 1 "
        "with --weights.",
        group="networks",
        above=0,
    )
    dropout: float = setting(
        0.2,
        "Dropout rate before the logits. The default is that of inception/slim.",
        group="losses",
        least=0,
        below=1,
    )
    label_smoothing: float = setting(
        0.1,
        "Label smoothing. The default is that of inception/slim.",
        group="losses",
        least=0,
        below=1,
    )
    learning_rate: float = fields.learning_rate(
        0.0,
        "Initial learning rate of Adam, which falls to 0 along a cosine. 0: 1e-4 with "
        "--weights, else 2e-3.",
        zero=True,
    )


# === Data ===


def load(settings: Settings) -> tuple[Sequence, Any]:
    """Returns a sequence of images, uint8 `[H, W, 3]`, and their classes, int32 `[N]`."""
    if settings.dataset == "synthetic_birds":
        size = settings.size * 19 // 16
        data = synthetic.synthetic_birds(settings.split, settings.images, size=size)
    elif pathlib.Path(settings.dataset).is_dir():
        return class_folders(settings.dataset)
    else:
        data = prepared.load_prepared(
            settings.dataset, settings.split, settings.data_dir or None, in_memory=False
        )
    return data.images, data.classes


def class_folders(path: str) -> tuple[Sequence, Any]:
    """Returns the images of a folder of class folders, read on demand, and their classes."""
    found, classes, _ = folders.class_files(path)
    images = lazy_images.LazyImages(found, lambda file: np.asarray(lazy_images.open_rgb(file)))
    return images, classes


def split_indices(labels: Any, share: float, seed: int) -> tuple[Any, Any]:
    """Returns the indices of training and held-out images, a `share` of each class, at least 1."""
    random, held = np.random.default_rng(seed), np.zeros(len(labels), bool)
    for label in np.unique(labels):
        places = random.permutation(np.flatnonzero(labels == label))
        if len(places) < 2:
            raise ValueError(f"each class needs two images, one to hold out; class {label} has one")
        held[places[: min(max(1, round(share * len(places))), len(places) - 1)]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


# === Training ===


def run(settings: Settings = Settings(), images: Any = None, classes: Any = None) -> dict:
    """Trains, writes the network, its card and its log to `output_dir`, and returns the log.

    The same command resumes an interrupted training after its last complete epoch.

    Args:
        settings: The recipe's settings.
        images: uint8 images `[N, H, W, 3]`, instead of the data set's.
        classes: Their classes, int `[N]`.
    """
    if settings.weights and (settings.size, settings.width) != (299, 1):
        raise ValueError(
            f"--weights need size 299 and width 1; received {settings.size} and {settings.width}"
        )
    folder = output_folder(settings)
    checkpoints.check_folder(folder)
    with locks.locked(folder):
        return _run(settings, folder, images, classes)


def output_folder(settings: Settings) -> pathlib.Path:
    """Returns the output folder."""
    name = own_captions.name_of(settings.dataset)
    return pathlib.Path(settings.output_dir or recipe.RUNS / f"inception_{name}")


def _run(settings, folder, images, classes):
    weights, digest = inception.read_weights(settings.weights) if settings.weights else (None, None)
    keras.utils.set_random_seed(settings.seed)
    begin = time.time()
    images, classes = (images, classes) if images is not None else load(settings)
    kinds, labels = np.unique(classes, return_inverse=True)
    if len(kinds) < 2:
        raise ValueError(f"a classifier needs two classes; {settings.dataset} has {len(kinds)}")
    train, test = split_indices(labels, settings.held_out, settings.seed)
    network = slim_inception.build_slim_inception(
        len(kinds), settings.size, settings.width, batch_norm=True
    )
    if weights:
        set_weights(network, weights)
    _fit(settings, folder, network, training_data.Crops(images, labels, train, settings))
    network = slim_inception.folded(network, settings.width)
    log = _log(settings, folder, len(train), len(kinds)) | {
        "parameters": network.count_params(),
        "started_from": start_of(settings, weights, digest),
    }
    path = _save(settings, folder, network, log)
    extractor = slim_inception.SlimInception(path)
    log["held_out_accuracy"] = round(accuracy(extractor, images, labels, test), 4)
    log |= {"held_out_images": len(test), "seconds": round(time.time() - begin, 1)}
    files.write_json(folder / "log.json", log)
    files.write_atomically(folder / "card.md", card(path.name, log))
    return log


def _fit(settings, folder, network, batches):
    model = with_dropout(network, settings.dropout)

    def begin(epoch, logs):  # The batches of an epoch depend only on the seed and the epoch.
        batches.epoch = epoch
        if settings.dropout:
            state = np.array([settings.seed, epoch], "uint32")
            model.layers[-2].seed_generator.state.assign(state)

    # A training with other settings in the same folder starts anew.
    own = json.dumps(network_training.own_settings(settings))
    backup = folder / f"backup_{hashlib.sha256(own.encode()).hexdigest()[:8]}"
    network_training.fit(
        model,
        batches,
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=settings.label_smoothing
        ),
        epochs=settings.epochs,
        learning_rate=settings.learning_rate or (1e-4 if settings.weights else 2e-3),
        augment=settings.augment,
        seed=settings.seed,
        callbacks=[
            keras.callbacks.BackupAndRestore(backup),
            keras.callbacks.LambdaCallback(on_epoch_begin=begin),
            callbacks.CSVLog(folder / "log.csv"),
        ],
    )


def _log(settings, folder, count, classes):
    rows = log_files.read_log(folder / "log.csv", settings.epochs) or []  # [] if it is damaged.
    losses = [float(row["loss"]) for row in rows if row.get("loss")]
    # A folder has no splits.
    split = "" if pathlib.Path(settings.dataset).is_dir() else f", split {settings.split}"
    name = own_captions.name_of(settings.dataset)
    data = f"{count:,} images of {classes} classes of {name}{split}"
    return {
        "fine_tuned_on": data,
        "losses": [round(loss, 4) for loss in losses],
        "command": shell_command("zoo.inception"),
        "settings": network_training.own_settings(settings),
        "versions": recipe.versions(),
    }


def _save(settings, folder, network, log):
    name = own_captions.name_of(settings.dataset)  # A folder may have a name that files may not.
    path = folder / checkpoints.file_name("inception", name, settings.size, "C", settings.epochs)
    about = {
        "checkpoint": path.name,
        "started_from": log["started_from"],
        "fine_tuned_on": log["fine_tuned_on"],
        "compares_with": "scores by this very file; never with published ones",
    }
    info = {
        "protocol": slim_inception.protocol(network, about),
        "command": log["command"],
        "seed": settings.seed,
    }
    checkpoints.save_network(path, network, epoch=settings.epochs, letter="C", info=info)
    return path


def start_of(settings: Settings, weights: dict | None, digest: str | None) -> str:
    """Returns the origin of the initial weights, in words.

    Args:
        settings: The recipe's settings.
        weights: Weights of the file that they name, or `None`.
        digest: SHA-256 of that file.
    """
    if weights is None:
        return "random weights"
    network = fingerprints.network_name("Inception", inception.fingerprint(weights), digest)
    return f"{network} in {pathlib.Path(settings.weights).name}"


def set_weights(network: Any, weights: dict) -> None:
    """Sets all weights but the logits' to those that `inception.read_weights` returns.

    Args:
        network: Network with batch normalization.
        weights: Dictionary of arrays.
    """
    names = [name.removesuffix(".conv.weight") for name in weights if name.endswith(".conv.weight")]
    # Both lists hold the stem first, then the branches.
    for scope, name in zip(slim_inception.scopes(), names, strict=True):
        network.get_layer(scope).set_weights([weights[f"{name}.conv.weight"].transpose(2, 3, 1, 0)])
        parts = ("weight", "bias", "running_mean", "running_var")
        norm = [weights[f"{name}.bn.{part}"] for part in parts]
        network.get_layer(slim_inception.norm_of(scope)).set_weights(norm)


def with_dropout(network: Any, rate: float) -> Any:
    """Returns a model from images to logits with dropout between features and logits."""
    features = keras.layers.Dropout(rate)(network.outputs[0])
    return keras.Model(network.inputs[0], network.get_layer("logits")(features))


def accuracy(extractor: Any, images: Sequence, labels: Any, places: Any) -> float:
    """Returns the share of the images at `places` that are classified correctly."""
    # One image at a time, because the images of a folder have different shapes.
    found = [extractor(images[int(place)][None])[1].argmax() for place in places]
    return float(np.mean(found == labels[places]))


def card(name: str, log: dict) -> str:
    """Returns the text of `card.md`."""
    versions = log["versions"]
    return f"""# {name}

Inception network for Inception Scores, fine-tuned on a data set as StackGAN's authors did.

- Command: `{log["command"]}`, {log["seconds"]:.0f} s
- Versions: {versions["backend"]}, Keras {versions["keras"]}
- Started from: {log["started_from"]}
- Trained on: {log["fine_tuned_on"]}
- Accuracy on {log["held_out_images"]:,} held-out images: {log["held_out_accuracy"]:.1%}
- Scores with this network are comparable with each other, never with published ones.
- Use: `python -m zoo.evaluate --features=slim --inception={name} --metrics=is --samples=...`
"""


def command(settings: Settings) -> None:
    """Runs the recipe and prints the log."""
    print(json.dumps(run(settings), indent=2))


def dry_run(settings: Settings) -> None:
    """Prints settings, the parameter count of the convolutions, steps and missing data."""
    count, missing = None, None
    if settings.dataset == "synthetic_birds":
        count = settings.images
    elif pathlib.Path(settings.dataset).is_dir():
        count = folders.count_folder(settings.dataset)
    else:
        count = prepared.count_prepared(settings.dataset, settings.split, settings.data_dir or None)
        if count is None:
            missing = f"missing: the data set {settings.dataset}: python -m zoo.prepare"
    if settings.weights and not pathlib.Path(settings.weights).expanduser().is_file():
        missing = f"missing: the file {settings.weights} of --weights"
    network = slim_inception.build_slim_inception(2, settings.size, settings.width, batch_norm=True)
    steps = count and max(round(count * (1 - settings.held_out)) // settings.batch_size, 1)
    parameters = {"network of 2 classes": dry_runs.count(network)}
    dry_runs.show(settings, parameters, steps, [missing])


def main() -> None:
    cli.main("zoo.inception", Settings, command, description=__doc__, dry_run=dry_run)


if __name__ == "__main__":
    main()
