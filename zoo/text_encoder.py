"""Train the text encoder that turns captions of drawn birds into vectors, and the image encoder that goes with it.

    python -m zoo.text_encoder

As in the paper, the image encoder first learns from labels (there, ImageNet's; here, the birds' attributes) and then
stays as it is. The text encoder first learns to tell the attributes that a caption names, and then to agree with the
images. Both see the birds of the 150 training species only; what they are worth is measured on the 50 others. The
weights after the last epoch are kept, whatever the test birds say.

About 10 minutes on 2 cores (TensorFlow). A linear map then reads 98.5 % of what captions of the 50 species say.
"""

import dataclasses
import importlib.metadata
import json
import time
from pathlib import Path

import keras
import numpy as np

from kerasgan.datasets.synthetic_birds import ATTRIBUTES, parse_caption, synthetic_birds
from kerasgan.encoders import char_cnn_rnn
from kerasgan.images import from_uint8
from kerasgan.io import checkpoints, files, locks, presets
from kerasgan.metrics.r_precision import r_precision
from zoo import recipe
from zoo.command import shell_command
from zoo.settings import Checked, setting

SIZE = 64  # of the image encoder's images
NAME = "synthetic_birds_text"


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """What a run of the recipe may change."""

    output_dir: str = setting(
        str(presets.SHIPPED / NAME), "folder of the encoders, their card and their log"
    )
    images: int = setting(4500, "birds to train on", least=1)
    image_epochs: int = setting(
        12, "epochs in which the image encoder learns the attributes", least=0
    )
    caption_epochs: int = setting(
        4, "epochs of all captions in which the text encoder learns the attributes", least=0
    )
    epochs: int = setting(10, "epochs in which it learns to agree with the images", least=1)
    batch_size: int = setting(64, "pairs a step", least=1)
    learning_rate: float = setting(
        1.5e-3, "of Adam; each lesson falls to zero along a cosine", above=0
    )
    recurrent: str = setting(
        "rnn", "the text encoder's: rnn, the paper's, or gru", choices=("rnn", "gru")
    )
    width: float = setting(0.5, "of the text encoder; 1 is the paper's", above=0)
    image_width: int = setting(16, "filters of the image encoder's first convolution", least=1)
    dim: int = setting(1024, "numbers a caption", least=1)
    match: str = setting(
        "instance",
        "what a caption is told from: other birds (instance) or other species (class)",
        choices=("instance", "class"),
    )
    seed: int = setting(0, "of the birds, weights and order", least=0, below=2**32)


def run(settings=Settings(), train=None, test=None):
    """Train, write both encoders and their log to `output_dir`, and return the log.

    `train` and `test` are `CaptionedImages` with attributes; by default birds drawn at 76 and 64 pixels.
    """
    checkpoints.check_folder(settings.output_dir)
    keras.utils.set_random_seed(settings.seed)
    backend, start = keras.backend.backend(), time.time()
    train = train or synthetic_birds(
        "train", settings.images, seed=settings.seed, size=SIZE * 76 // 64
    )
    test = test or synthetic_birds("test", seed=settings.seed, size=SIZE)
    model = char_cnn_rnn.JointEmbedding(
        char_cnn_rnn.build_text_encoder(settings.recurrent, settings.width, settings.dim),
        char_cnn_rnn.build_image_encoder(SIZE, settings.image_width, settings.dim),
    )
    pictures = Pictures(train, settings.batch_size, SIZE, seed=settings.seed)
    teach(
        model.image_encoder, pictures, None, pictures.num_batches, settings.image_epochs, settings
    )
    captions = [caption for captions in train.captions for caption in captions]
    told = dict(
        zip(ATTRIBUTES, np.stack([*map(parse_caption, captions)]).T.astype("int32"), strict=True)
    )
    steps = -(-len(captions) // settings.batch_size)
    teach(
        model.text_encoder,
        char_cnn_rnn.characters(captions),
        told,
        steps,
        settings.caption_epochs,
        settings,
    )
    model.image_encoder.trainable = False
    pairs = char_cnn_rnn.CaptionedPairs(
        train, settings.batch_size, SIZE, settings.match, settings.seed
    )
    model.compile(encoders=_adam(settings, settings.epochs * pairs.num_batches))
    model.fit(pairs, epochs=settings.epochs, verbose=2)
    model.image_encoder.trainable = True  # for whoever loads it
    model.standardise(flat(train))
    log = {
        **score(model, train, test),
        "train_images": len(train),
        "test_images": len(test),
        "parameters": {
            "text": model.text_encoder.count_params(),
            "image": model.image_encoder.count_params(),
        },
        "seconds": round(time.time() - start, 1),
        "command": shell_command("zoo.text_encoder"),
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
    info = {name: log[name] for name in ("command", "probe_accuracy", "r_precision")} | {
        "epoch": settings.epochs
    }
    presets.save(model, folder, letters=("T", "V"), card=card(folder.name, log), info=info)
    files.write_json(folder / "log.json", log)
    return log


class Pictures(char_cnn_rnn.CaptionedPairs):
    """The images of the pairs, each with its attributes: (images, {name: int32 [B]})."""

    def __getitem__(self, index):
        columns = self.data.attributes[self.chosen(index)].T.astype("int32")
        return super().__getitem__(index)[0], dict(zip(ATTRIBUTES, columns, strict=True))


def teach(network, x, y, steps, epochs, settings):
    """Trains a network so that linear maps of its vectors tell every attribute; the maps are thrown away.

    Attributes of -1 teach nothing. `steps` is the number of batches an epoch.
    """
    told = {
        name: keras.layers.Dense(len(values), name=name)(network.output)
        for name, values in ATTRIBUTES.items()
    }
    model = keras.Model(network.inputs[0], told)
    model.compile(
        _adam(settings, epochs * steps),
        {
            name: keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
            for name in told
        },
        jit_compile=keras.backend.backend() == "jax",  # TensorFlow's XLA is the slower one on a CPU
    )
    batch_size = None if y is None else settings.batch_size
    model.fit(x, y, batch_size=batch_size, epochs=epochs, shuffle=y is not None, verbose=2)


def _adam(settings, steps):
    return keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)
    )


def flat(data):
    """The captions of the first 1,000 images in one list."""
    return [caption for captions in data.captions[:1000] for caption in captions]


def middle(data):
    """The first 1,000 images, cut to the image encoder's size around their middle: float32 [N, 64, 64, 3]."""
    edge = (data.images[0].shape[0] - SIZE) // 2
    cut = slice(edge, edge + SIZE)
    return from_uint8(np.stack([data.images[i][cut, cut] for i in range(min(1000, len(data)))]))


def score(model, train, test):
    """What the encoders are worth on the test birds (1,000 at most); all numbers are shares in [0, 1].

    probe_accuracy: of the attributes that a caption tells, those that a linear map of its vector, fitted to training
        captions, gives right: for each attribute, and `all`.
    image_probe_accuracy: the same of the image encoder's vectors, from the middle of the training images.
    r_precision: of images whose own caption (their first) comes first among 100 of any birds, mean and deviation.
    r_precision_averaged: the same for the mean vector of all captions of an image.
    """
    encode, view = (
        char_cnn_rnn.TextEncoder(model.text_encoder),
        char_cnn_rnn.ImageEncoder(model.image_encoder),
    )
    seen, unseen = flat(train), flat(test)
    seen_vectors, vectors = encode(seen), encode(unseen)
    accuracy = probe(
        seen_vectors,
        np.stack([*map(parse_caption, seen)]),
        vectors,
        np.stack([*map(parse_caption, unseen)]),
    )
    pictures, shown = (view(middle(data)) for data in (train, test))  # [N, D]
    vectors = vectors.reshape(len(shown), -1, encode.dim)  # [N, captions, D]
    some = min(100, len(shown))
    return {
        "probe_accuracy": accuracy,
        "image_probe_accuracy": probe(
            pictures, train.attributes[:1000], shown, test.attributes[:1000]
        ),
        "r_precision": [round(x, 4) for x in r_precision(shown, vectors[:, 0], candidates=some)],
        "r_precision_averaged": [
            round(x, 4) for x in r_precision(shown, vectors.mean(axis=1), candidates=some)
        ],
    }


def probe(train, train_said, test, test_said, penalty=1e-3):
    """Accuracy of ridge regression onto the values of each attribute, on the captions that tell it (>= 0).

    `train` and `test` are vectors [N, D], `train_said` and `test_said` int [N, attributes].
    """
    train, test = (
        np.concatenate([x, np.ones((len(x), 1))], axis=1).astype("float64") for x in (train, test)
    )
    right = {}
    for column, (name, values) in enumerate(ATTRIBUTES.items()):
        told, asked_for = train_said[:, column] >= 0, test_said[:, column] >= 0
        x, y = train[told], np.eye(len(values))[train_said[told, column]]
        gram = x.T @ x / len(x) + penalty * np.eye(x.shape[1])
        guess = (test[asked_for] @ np.linalg.solve(gram, x.T @ y / len(x))).argmax(axis=1)
        right[name] = guess == test_said[asked_for, column]
    every = np.concatenate(list(right.values()))
    return {name: round(float(np.mean(hits)), 4) for name, hits in (right | {"all": every}).items()}


def card(name, log):
    """The text of `card.md`."""
    mean, deviation = log["r_precision"]
    together, spread = log["r_precision_averaged"]
    return f"""# {name}

The char-CNN-RNN text encoder for captions of drawn birds (`T.h5`) and the image encoder that learnt with it (`V.h5`).

- Made by: `{log["command"]}`, {log["backend"]}, Keras {log["versions"]["keras"]}, {log["seconds"]:.0f} seconds
- Learnt from: {log["train_images"]:,} birds of the 150 training species, drawn by this package
- Text in: up to 201 characters, lower-cased; out: {log["settings"]["dim"]} numbers, over all captions of mean 0 and
  variance 1
- Images in: {SIZE} pixels, [-1, 1]
- Weights: half precision on disk, Apache-2.0

## On the {log["test_images"]:,} birds of the 50 species it has not seen

- Attributes that a linear map reads from a caption's vector: {log["probe_accuracy"]["all"]:.2%} right, at least
  {min(log["probe_accuracy"].values()):.2%} of each
- R-precision of the drawn pictures (1 of 100, by cosine, others any birds): {mean:.1%} ± {deviation:.1%} by the first
  caption, {together:.1%} ± {spread:.1%} by the mean of all. One caption tells a part of the attributes only, so that
  others may be as true.
"""


def shell(arguments):
    settings = Settings(**recipe.given_flags(Settings))
    with locks.locked(settings.output_dir):
        print(json.dumps(run(settings), indent=2))


if __name__ == "__main__":
    recipe.define_flags(Settings)
    recipe.start(shell)
