"""Train the guide, the image encoder whose gradients teach a generator what captions of drawn birds mean (DAMSM).

    python -m zoo.robust_image_encoder

It learns the birds' attributes, and to agree with the captions' vectors of a text encoder that stays as it is, from
pictures that are moved against it (see `kerasgan.encoders.robust_image_encoder`). It sees the birds of the 150 training species only, and
the weights after the last epoch are kept.

About 6 minutes on one core (TensorFlow).
"""

import dataclasses
import importlib.metadata
import json
import time
from pathlib import Path

import keras
import numpy as np

from kerasgan.datasets.synthetic_birds import ATTRIBUTES, synthetic_birds
from kerasgan.encoders import char_cnn_rnn
from kerasgan.encoders.robust_image_encoder import RobustImageEncoder
from kerasgan.io import checkpoints, files, locks, presets
from kerasgan.metrics.r_precision import r_precision
from zoo import recipe
from zoo.command import shell_command
from zoo.settings import Checked, setting
from zoo.text_encoder import NAME, SIZE, middle, probe

GUIDE = "synthetic_birds_image_encoder"
FOLDER = presets.SHIPPED / GUIDE


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """What a run of the recipe may change."""

    output_dir: str = setting(str(FOLDER), "folder of the guide and its log")
    text_encoder: str = setting(
        NAME, "a preset or checkpoint, with whose vectors it learns to agree"
    )
    images: int = setting(4500, "birds to train on", least=1)
    epochs: int = setting(20, "epochs in all; the weights after the last are kept", least=1)
    batch_size: int = setting(64, "pictures a step", least=1)
    learning_rate: float = setting(1.5e-3, "of Adam; falls to zero along a cosine", above=0)
    radius: float = setting(
        1.5,
        "how far a picture is moved against the network, in units of [-1, 1]; 0 is not at all",
        least=0,
    )
    width: int = setting(16, "filters of the first convolution", least=1)
    seed: int = setting(0, "of the birds, weights, order and moves", least=0, below=2**32)


class Lessons(char_cnn_rnn.CaptionedPairs):
    """Feeds `RobustImageEncoder.fit`: the pictures of the pairs, their attributes, and of each the vector of a caption."""

    def __getitem__(self, index):
        chosen, random = (
            self.batch_indices(index),
            np.random.default_rng((self.seed, self.epoch, index, 1)),
        )
        captions = random.integers(self.data.embeddings.shape[1], size=len(chosen))
        attributes = self.data.attributes[chosen].astype("int32")
        return super().__getitem__(index)[0], attributes, self.data.embeddings[chosen, captions]


def run(settings=Settings(), train=None, test=None):
    """Train, write the guide and its log to `output_dir`, and return the log.

    `train` and `test` are `CaptionedImages` with attributes; by default birds drawn at 76 and 64 pixels.
    """
    checkpoints.check_folder(settings.output_dir)
    keras.utils.set_random_seed(settings.seed)
    backend, start = keras.backend.backend(), time.time()
    encode = char_cnn_rnn.text_encoder(settings.text_encoder)
    train = train or synthetic_birds(
        "train", settings.images, seed=settings.seed, size=SIZE * 76 // 64
    )
    test = test or synthetic_birds("test", seed=settings.seed, size=SIZE)
    lessons = Lessons(train.embed(encode), settings.batch_size, SIZE, seed=settings.seed)
    encoder = char_cnn_rnn.build_image_encoder(SIZE, settings.width, encode.dim)
    guide = RobustImageEncoder(
        [*map(len, ATTRIBUTES.values())], encoder, settings.radius, settings.seed
    )
    steps = settings.epochs * lessons.num_batches
    guide.compile(
        encoder=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)
        )
    )
    guide.fit(lessons, epochs=settings.epochs, verbose=2)
    log = {
        **score(encoder, encode, train, test),
        "train_images": len(train),
        "test_images": len(test),
        "parameters": encoder.count_params(),
        "seconds": round(time.time() - start, 1),
        "command": shell_command("zoo.robust_image_encoder", without=("output_dir",)),
        "settings": {
            name: value
            for name, value in dataclasses.asdict(settings).items()
            if name != "output_dir"
        },
        "backend": backend,
        "versions": {
            package: importlib.metadata.version(package) for package in ("keras", backend, "numpy")
        },
    }
    folder = Path(settings.output_dir)
    name = checkpoints.file_name(
        "robust_image_encoder", "synthetic_birds", SIZE, "R", settings.epochs
    )
    info = {name: log[name] for name in ("command", "probe_accuracy", "r_precision")}
    checkpoints.save_network(
        folder / name, encoder, epoch=settings.epochs, letter="R", info=info, dtype="float16"
    )
    files.write_json(folder / "log.json", log)
    return log


def score(encoder, encode, train, test):
    """As `text_encoder.score`'s numbers of the same name, of the guide.

    probe_accuracy: share of the test birds' attributes that a linear map of its vectors, fitted to training birds,
        gives right: of each attribute, and `all`.
    r_precision: of birds whose first caption comes first among 100 of any birds, mean and deviation.
    """
    view = char_cnn_rnn.ImageEncoder(encoder)
    shown = view(middle(test))
    texts = encode([captions[0] for captions in test.captions[: len(shown)]])
    return {
        "probe_accuracy": probe(
            view(middle(train)), train.attributes[:1000], shown, test.attributes[:1000]
        ),
        "r_precision": [
            round(x, 4) for x in r_precision(shown, texts, candidates=min(100, len(shown)))
        ],
    }


def network(name_or_file=GUIDE):
    """A guide's network: of the name of the shipped one, of a folder, or of a checkpoint file `…_R_epoch_n.h5`."""
    path = FOLDER if name_or_file == GUIDE else Path(name_or_file)
    path = path if path.suffix == ".h5" else checkpoints.latest(path, letter="R")
    if path is None:
        raise checkpoints.CheckpointError(
            f"no guide in {name_or_file}; train one: python -m zoo.robust_image_encoder"
        )
    guide, info = checkpoints.load_network(path)
    if info["letter"] != "R":
        raise checkpoints.CheckpointError(
            f"{path} must hold the network R; it holds {info['letter']}"
        )
    return guide


def shell(arguments):
    settings = Settings(**recipe.given_flags(Settings))
    with locks.locked(settings.output_dir):
        print(json.dumps(run(settings), indent=2))


if __name__ == "__main__":
    recipe.define_flags(Settings)
    recipe.start(shell)
