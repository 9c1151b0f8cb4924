"""Fine-tune an Inception on the classes of a data set, for Inception Scores on it as StackGAN's authors took them.

    python -m zoo.inception --dataset=birds --weights=inception-2015-12-05.pth
    python -m zoo.inception --dataset=synthetic_birds --size=107 --width=0.25
    python -m zoo.evaluate --features=slim --inception=runs/inception_birds/inception_birds_299_C_epoch_30.h5 ...

Their own fine-tuned networks, of 50 classes of birds and 20 of flowers, can no longer be downloaded by everyone. This
makes another one in the same way: it learns the classes of the *test* split, the evaluation classes, from their real
images, as theirs did, for generated images are asked for those classes. (Nothing of it may reach the generator.)
What it gives is an Inception Score by this network, whose protocol says what it was trained on. It is never put beside
a published score, nor beside one by another such network: two fine-tunings score the same images differently.

Differences from the authors' fine-tuning, of which only the result and its graph are known:
- it starts from the Inception of 2015-12-05, `--weights`, whose last block takes maxima where this one takes means, or
  from nothing, as log, card and protocol then say; theirs, from a training of 2016;
- Adam along a cosine and the weights after the last epoch; there, moving averages of the weights;
- no logit for a background that no image shows, and no auxiliary classifier;
- a tenth of the images is held out, to say how well the others were learnt.
"""

import csv
import dataclasses
import hashlib
import json
import pathlib
import time

import keras
import numpy as np
from PIL import Image

from kerasgan import callbacks
from kerasgan.datasets.folder import class_files
from kerasgan.datasets.lazy_images import LazyImages, open_rgb
from kerasgan.datasets.prepared import load_prepared
from kerasgan.datasets.synthetic_birds import synthetic_birds
from kerasgan.images import from_uint8
from kerasgan.io import checkpoints, files, locks
from kerasgan.metrics.features import slim_inception
from kerasgan.metrics.features.inception import read_weights
from kerasgan.metrics.features.slim_inception import SlimInception, build_slim_inception
from zoo import recipe
from zoo.command import shell_command
from zoo.settings import Checked, setting


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """What a run of the recipe may change."""

    dataset: str = setting(
        "synthetic_birds",
        "synthetic_birds, a folder of class folders, or the name of a prepared data set",
    )
    split: str = setting("test", "of the data set: the classes that generated images are asked for")
    weights: str = setting(
        "", "file of the Inception of 2015-12-05 to start from; none starts from nothing"
    )
    output_dir: str = setting(
        "", "folder of the network, its card and its log; runs/inception_<dataset> by default"
    )
    data_dir: str = setting(
        "", "of prepared data sets; $TFDS_DATA_DIR or ~/tensorflow_datasets by default"
    )
    images: int = setting(1000, "birds to draw, where they are drawn", least=1)
    held_out: float = setting(
        0.1,
        "share of each class's images that only the accuracy in the log is taken from",
        above=0,
        below=1,
    )
    epochs: int = setting(30, "epochs in all; the weights after the last are kept", least=1)
    batch_size: int = setting(32, "images a step", least=2)
    learning_rate: float = setting(
        0.0,
        "of Adam; falls to zero along a cosine. 0 is 1e-4 from weights, 2e-3 from none",
        least=0,
    )
    size: int = setting(299, "side of the images that it sees; 299 from weights", least=75)
    width: float = setting(
        1.0, "of all convolutions; 1 from weights; 0.25 is a sixteenth of the work", above=0
    )
    smallest: float = setting(
        0.7, "least share of an image's side that a crop shows", above=0, most=1
    )
    dropout: float = setting(
        0.2, "share of the features left out in training, as in inception/slim", least=0, below=1
    )
    label_smoothing: float = setting(0.1, "as in inception/slim", least=0, below=1)
    seed: int = setting(
        0, "of the weights, order, crops and the part held out", least=0, below=2**32
    )


def pictures(settings):
    """Images of a data set, a sequence of uint8 [H, W, 3], and their classes, int32 [N]."""
    if settings.dataset == "synthetic_birds":
        data = synthetic_birds(settings.split, settings.images, size=settings.size * 19 // 16)
    elif pathlib.Path(settings.dataset).is_dir():
        return class_folders(settings.dataset)
    else:
        data = load_prepared(
            settings.dataset, settings.split, settings.data_dir or None, in_memory=False
        )
    return data.images, data.classes


def class_folders(path):
    """The images of a folder that has one sub-folder a class, read when asked for, and their classes."""
    files, classes, _ = class_files(path)
    return LazyImages(files, lambda file: np.asarray(open_rgb(file))), classes


def parts(labels, share, seed):
    """Places of the images to train on, and of those held out: about `share` of each class, at least one."""
    random, held = np.random.default_rng(seed), np.zeros(len(labels), bool)
    for label in np.unique(labels):
        places = random.permutation(np.flatnonzero(labels == label))
        if len(places) < 2:
            raise ValueError(f"each class needs two images, one to hold out; class {label} has one")
        held[places[: min(max(1, round(share * len(places))), len(places) - 1)]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


class Crops(keras.utils.PyDataset):
    """Crops of images, mirrored by chance of (seed, epoch, index) alone: [B, size, size, 3], and one-hot [B, K].

    Args:
        images: sequence of uint8 [H, W, 3].
        labels: int [N], from 0 without gaps.
        places: which of the images to serve.
        settings: of the recipe.
    """

    def __init__(self, images, labels, places, settings):
        super().__init__()
        if not 2 <= settings.batch_size <= len(places):
            rule = f"batch_size must be between 2 and the {len(places)} images to train on"
            raise ValueError(f"{rule}; received {settings.batch_size}")
        self.images, self.labels, self.places, self.settings = images, labels, places, settings
        self.one_hot = np.eye(labels.max() + 1, dtype="float32")
        self.epoch, self._within_epoch = 0, False

    @property
    def num_batches(self):
        return len(self.places) // self.settings.batch_size

    def __len__(self):
        return self.num_batches

    def __getitem__(self, index):
        count, seed = self.settings.batch_size, self.settings.seed
        order = np.random.default_rng((seed, self.epoch)).permutation(self.places)
        chosen, random = (
            order[index * count : (index + 1) * count],
            np.random.default_rng((seed, self.epoch, index)),
        )
        crops = np.stack([self._crop(self.images[int(place)], random) for place in chosen])
        return from_uint8(crops), self.one_hot[self.labels[chosen]]

    def _crop(self, image, random):
        side = np.array(image.shape[1::-1])  # width, height
        shown = side * random.uniform(self.settings.smallest, 1)
        corner = random.uniform(0, 1, 2) * (side - shown)
        image, size = Image.fromarray(image), (self.settings.size,) * 2
        crop = np.asarray(
            image.resize(size, Image.Resampling.BILINEAR, (*corner, *(corner + shown)))
        )
        return crop[:, ::-1] if random.random() < 0.5 else crop

    def on_epoch_begin(self):
        self._within_epoch = True

    def on_epoch_end(self):  # Keras also calls it before the first epoch
        self.epoch += self._within_epoch
        self._within_epoch = False


def run(settings=Settings(), images=None, classes=None):
    """Train, write the network, its card and its log to `output_dir`, and return the log. Killed, it goes on.

    `images` and `classes` take the place of the data set's: uint8 [N, H, W, 3], and int [N].
    """
    name = pathlib.Path(settings.dataset).resolve().name
    folder = pathlib.Path(settings.output_dir or recipe.RUNS / f"inception_{name}")
    path = folder / checkpoints.file_name("inception", name, settings.size, "C", settings.epochs)
    if settings.weights and (settings.size, settings.width) != (299, 1):
        raise ValueError(
            f"weights are of size 299 and width 1; received {settings.size} and {settings.width}"
        )
    weights = read_weights(settings.weights)[0] if settings.weights else None
    checkpoints.check_folder(folder)
    locks.acquire(folder)  # the end of the process gives it back too
    keras.utils.set_random_seed(settings.seed)
    start = time.time()
    images, classes = (images, classes) if images is not None else pictures(settings)
    kinds, labels = np.unique(classes, return_inverse=True)
    if len(kinds) < 2:
        raise ValueError(f"a classifier needs two classes; {settings.dataset} has {len(kinds)}")
    train, test = parts(labels, settings.held_out, settings.seed)
    batches = Crops(images, labels, train, settings)
    network = build_slim_inception(len(kinds), settings.size, settings.width, batch_norm=True)
    if weights:
        take(network, weights)
    model = with_dropout(network, settings.dropout)
    rate = settings.learning_rate or (1e-4 if settings.weights else 2e-3)
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(rate, settings.epochs * batches.num_batches)
        ),
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=settings.label_smoothing
        ),
        metrics=["accuracy"],
        jit_compile=keras.backend.backend() == "jax",  # TensorFlow's XLA is the slower one on a CPU
    )
    # Killed, the same command goes on after the last whole epoch; other settings in the same folder begin anew.
    chosen = {
        key: value for key, value in dataclasses.asdict(settings).items() if key != "output_dir"
    }

    def begin(epoch, logs):  # what an epoch sees depends on the seed and on it alone
        batches.epoch = epoch
        if settings.dropout:
            model.layers[-2].seed_generator.state.assign(np.array([settings.seed, epoch], "uint32"))

    kept = folder / f"backup_{hashlib.sha256(json.dumps(chosen).encode()).hexdigest()[:8]}"
    used = [
        keras.callbacks.BackupAndRestore(kept),
        keras.callbacks.LambdaCallback(on_epoch_begin=begin),
        callbacks.CSVLog(folder / "log.csv"),
    ]
    model.fit(batches, epochs=settings.epochs, shuffle=False, verbose=2, callbacks=used)
    with open(folder / "log.csv", newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    network = slim_inception.folded(network, settings.width)
    split = (
        "" if pathlib.Path(settings.dataset).is_dir() else f", split {settings.split}"
    )  # a folder has none
    log = {
        "started_from": start_of(settings),
        "fine_tuned_on": f"{len(train):,} images of {len(kinds)} classes of {name}{split}",
        "losses": [round(loss, 4) for loss in losses],
        "parameters": network.count_params(),
        "command": shell_command("zoo.inception"),
        "settings": chosen,
        "versions": recipe.versions(),
    }
    about = {"checkpoint": path.name} | {key: log[key] for key in ("started_from", "fine_tuned_on")}
    about["compares_with"] = "scores by this very file; never with published ones"
    info = {
        "protocol": slim_inception.protocol(network, about),
        "command": log["command"],
        "seed": settings.seed,
    }
    checkpoints.save_network(path, network, epoch=settings.epochs, letter="C", info=info)
    log["held_out_accuracy"] = round(accuracy(SlimInception(path), images, labels, test), 4)
    log |= {"held_out_images": len(test), "seconds": round(time.time() - start, 1)}
    files.write_json(folder / "log.json", log)
    files.write_atomically(folder / "card.md", card(path.name, log))
    locks.release(folder)
    return log


def start_of(settings):
    """Where the weights began, in words."""
    name = pathlib.Path(settings.weights).name
    return (
        f"the Inception of 2015-12-05 in {name}"
        if name
        else "random weights: it has seen these images only"
    )


def take(network, weights):
    """Gives all but the logits of a network with batch norm the weights that `inception.read_weights` reads."""
    names = [name.removesuffix(".conv.weight") for name in weights if name.endswith(".conv.weight")]
    for scope, name in zip(
        slim_inception.scopes(), names, strict=True
    ):  # both stem first, then branch by branch
        network.get_layer(scope).set_weights([weights[f"{name}.conv.weight"].transpose(2, 3, 1, 0)])
        norm = [
            weights[f"{name}.bn.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var")
        ]
        network.get_layer(slim_inception.norm_of(scope)).set_weights(norm)


def with_dropout(network, rate):
    """Images into logits, through the layers of a network of features and logits and, between them, a dropout."""
    features = keras.layers.Dropout(rate)(network.outputs[0])
    return keras.Model(network.inputs[0], network.get_layer("logits")(features))


def accuracy(extractor, images, labels, places):
    """Share of the images in `places` to whose class the extractor gives the largest logit."""
    # One by one, since a folder's images are of many shapes.
    found = [extractor(images[int(place)][None])[1].argmax() for place in places]
    return float(np.mean(found == labels[places]))


def card(name, log):
    """The text of `card.md`."""
    return f"""# {name}

An Inception for Inception Scores of images of the classes that it learnt, made as StackGAN's authors made theirs.

- Made by: `{log["command"]}`, {log["versions"]["backend"]}, Keras {log["versions"]["keras"]}, {log["seconds"]:.0f} s
- Started from: {log["started_from"]}
- Learnt from: {log["fine_tuned_on"]}: the evaluation classes, as StackGAN's authors did
- Of {log["held_out_images"]:,} other images of these classes, {log["held_out_accuracy"]:.1%} are right
- Its scores compare with each other. They are never put beside published ones, which are by other weights.
- Use: `python -m zoo.evaluate --features=slim --inception={name} --metrics=is --samples=...`
"""


def shell(arguments):
    print(json.dumps(run(Settings(**recipe.given_flags(Settings))), indent=2))


if __name__ == "__main__":
    recipe.define_flags(Settings)
    recipe.start(shell)
