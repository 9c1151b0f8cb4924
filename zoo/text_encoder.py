"""Trains the text encoder of captions of synthetic birds, and the image encoder that belongs to it.

    python -m zoo.text_encoder
    python -m zoo.text_encoder --data=FOLDER     your images with captions

The image encoder first learns from labels and is then fixed, as in the paper. (The paper uses the
labels of ImageNet, this recipe the attributes of the birds.) The text encoder first learns to
predict the attributes that a caption names, then to match the embeddings of the images. Both train
on birds of the 150 training species; they are evaluated on the 50 others. The weights after the
last epoch are kept; test data is not used for selection.

Your own images have no attributes, so both encoders learn from image-caption pairs alone, for a
number of epochs that follows from the number of images. The encoders are written to
runs/text_encoder_<name of the folder>.

The training takes about 10 minutes on 2 cores (TensorFlow). A linear map of the text embeddings
then predicts 98.5 % of the attributes that captions of the 50 other species name.
"""

import dataclasses
import json
import pathlib
import sys
import time
from typing import Any

from zoo import cli, dry_run as dry_runs, lazy, own_captions, settings as fields
from zoo.digit_classifier import SHIPPED
from zoo.settings import Checked, setting

keras = lazy.module("keras")
np = lazy.module("numpy")
synthetic = lazy.module("kerasgan.datasets.synthetic_birds")
captioned = lazy.module("kerasgan.datasets.captioned")
char_cnn_rnn = lazy.module("kerasgan.encoders.char_cnn_rnn")
images = lazy.module("kerasgan.images")
checkpoints = lazy.module("kerasgan.io.checkpoints")
files = lazy.module("kerasgan.io.files")
locks = lazy.module("kerasgan.io.locks")
presets = lazy.module("kerasgan.io.presets")
r_precision = lazy.module("kerasgan.metrics.r_precision")
network_training = lazy.module("zoo.network_training")
training_data = lazy.module("zoo.training_data")

SIZE = 64  # Side of the image encoder's images.
NAME = "synthetic_birds_text"
EVALUATED = 1000  # Maximum number of images.


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """Settings of the recipe."""

    output_dir: str = fields.output_dir(
        str(SHIPPED / NAME),
        "Folder of the encoders, their card and their log. The default replaces the shipped "
        "encoders.",
    )
    data: str = fields.data(
        own_captions.BIRDS, "Data set: synthetic_birds, or a folder of images with captions."
    )
    epochs: int = setting(10, "Number of epochs that train on image-caption pairs.", least=1)
    image_epochs: int = setting(
        12,
        "Number of epochs, before those of --epochs, in which the image encoder learns the "
        "attributes.",
        least=0,
    )
    caption_epochs: int = setting(
        4,
        "Number of epochs, before those of --epochs, in which the text encoder learns the "
        "attributes.",
        least=0,
    )
    batch_size: int = fields.batch_size(64, "Number of image-caption pairs per training step.")
    seed: int = fields.seed("Seed of the birds, the initial weights and the order of the images.")
    images: int = fields.num_images(4500, "Number of synthetic birds to train on.")
    birds: str = setting(
        "train",
        "Synthetic birds of the training species, or birds with random attributes (no colors of "
        "test species).",
        group="data",
        choices=("train", "random"),
    )
    augment: str = fields.augment()
    recurrent: str = setting(
        "rnn",
        "Recurrent layer of the text encoder. The paper uses rnn.",
        group="networks",
        choices=("rnn", "gru"),
    )
    width: float = setting(
        0.5, "Width of the text encoder, relative to the paper's.", group="networks", above=0
    )
    image_width: int = fields.width(16, "Channels of the image encoder's first convolution.")
    dim: int = fields.latent_dim(1024, "Dimension of the embeddings.")
    match: str = setting(
        "instance",
        "Negatives of a caption: other birds (instance) or other species (class).",
        group="losses",
        choices=("instance", "class"),
    )
    learning_rate: float = fields.learning_rate(
        1.5e-3, "Initial learning rate of Adam, which falls to 0 along a cosine in each phase."
    )


def chosen(given: dict) -> Settings:
    """Returns settings. For own images, those that are not given follow from their number."""
    settings = Settings(**given)
    if settings.data == own_captions.BIRDS:
        return settings
    train = own_captions.splits(settings.data, SIZE * 76 // 64, settings.seed)["train"]
    folder = {"output_dir": f"runs/text_encoder_{own_captions.name_of(settings.data)}"}
    made = Settings(**{**folder, **settings_of(len(train)), **given})
    steps = made.epochs * (len(train) // made.batch_size)
    print(
        f"chosen for {len(train):,} training images: batch_size {made.batch_size}, epochs "
        f"{made.epochs} ({steps:,} steps), dim {made.dim}, width {made.width}",
        file=sys.stderr,
    )
    return made


def settings_of(images: int, least_steps: int = 600) -> dict:
    """Returns settings for own images.

    Args:
        images: Number of training images.
        least_steps: Training steps for 50 images or fewer.
    """
    batch = own_captions.batch_size(images, 64)
    steps = own_captions.steps(images, least_steps, 4000)
    return {
        "batch_size": batch,
        "epochs": own_captions.passes(images, batch, steps, least=1)[0],
        "image_epochs": 0,
        "caption_epochs": 0,
        "match": "class",  # Images that share a caption are no negatives of each other.
        "width": 0.25 if images < 1000 else 0.5,
        "dim": 256,
    }


def data_splits(
    settings: Any, train: Any = None, test: Any = None, birds: str = "train"
) -> tuple[Any, Any]:
    """Returns images for training (76 pixels) and testing, unless they are given."""
    if settings.data == own_captions.BIRDS:
        return bird_splits(settings, train, test, birds)
    if train is None or test is None:
        found = own_captions.splits(settings.data, SIZE * 76 // 64, settings.seed)
        train, test = train or found["train"], test or found["test"]
    return train, test


def bird_splits(
    settings: Any, train: Any = None, test: Any = None, birds: str = "train"
) -> tuple[Any, Any]:
    """Returns birds for training (76 pixels) and testing (64 pixels), unless they are given."""
    seed, source = settings.seed, SIZE * 76 // 64
    train = train or synthetic.synthetic_birds(birds, settings.images, seed=seed, size=source)
    return train, test or synthetic.synthetic_birds("test", seed=seed, size=SIZE)


def run(settings: Settings = Settings(), train: Any = None, test: Any = None) -> dict:
    """Trains, writes both encoders and their log to `output_dir`, and returns the log.

    Args:
        settings: The recipe's settings.
        train: `CaptionedImages`, 76 pixels. Defaults to those of `settings.data`.
        test: `CaptionedImages`. Defaults to those of `settings.data`. Synthetic birds have 64
            pixels.
    """
    checkpoints.check_folder(settings.output_dir)
    keras.utils.set_random_seed(settings.seed)
    begin = time.time()
    train, test = data_splits(settings, train, test, settings.birds)
    model = char_cnn_rnn.JointEmbedding(
        char_cnn_rnn.build_text_encoder(settings.recurrent, settings.width, settings.dim),
        char_cnn_rnn.build_image_encoder(SIZE, settings.image_width, settings.dim),
    )
    if train.attributes is not None:
        _train_on_attributes(model, train, settings)
        model.image_encoder.trainable = False
    else:
        train = dataclasses.replace(train, classes=captioned.caption_classes(train.captions))
    pairs = char_cnn_rnn.CaptionedPairs(
        train,
        settings.batch_size,
        SIZE,
        settings.match,
        settings.seed,
        flip=train.attributes is not None or not own_captions.names_sides(train),
    )
    steps = settings.epochs * pairs.num_batches
    model.compile(encoders=network_training.adam(settings.learning_rate, steps))
    model.fit(pairs, epochs=settings.epochs, verbose=network_training.verbosity(settings.epochs))
    model.image_encoder.trainable = True  # Readers of the file need it.
    model.standardize(all_captions(train))
    measure = score if train.attributes is not None else score_own
    numbers = {
        **measure(model, train, test),
        "train_images": len(train),
        "test_images": len(test),
        "parameters": {
            "text": model.text_encoder.count_params(),
            "image": model.image_encoder.count_params(),
        },
    }
    log = network_training.log_of(settings, "zoo.text_encoder", begin, numbers)
    folder = pathlib.Path(settings.output_dir)
    names = ("command", "probe_accuracy", "r_precision", "r_precision_chance")
    info = {name: log[name] for name in names if name in log} | {"epoch": settings.epochs}
    text = (card if train.attributes is not None else own_card)(folder.name, log)
    networks = ("text_encoder", "image_encoder")
    presets.save(model, folder, networks=networks, card=text, info=info)
    captions = [caption for captions in train.captions for caption in captions]
    char_cnn_rnn.save_vocabulary(folder, captions)
    files.write_json(folder / "log.json", log)
    return log


def _train_on_attributes(model, train, settings):
    """Trains both encoders to predict attributes: the images', and those that the captions name."""
    batches = training_data.AttributeBatches(train, settings.batch_size, SIZE, seed=settings.seed)
    fit_attributes(
        model.image_encoder, batches, None, batches.num_batches, settings.image_epochs, settings
    )
    captions = [caption for captions in train.captions for caption in captions]
    named = np.stack([*map(synthetic.parse_caption, captions)]).T.astype("int32")
    fit_attributes(
        model.text_encoder,
        char_cnn_rnn.characters(captions),
        dict(zip(synthetic.ATTRIBUTES, named, strict=True)),
        -(-len(captions) // settings.batch_size),
        settings.caption_epochs,
        settings,
    )


def fit_attributes(
    network: Any, x: Any, y: Any, steps: int, epochs: int, settings: Settings
) -> None:
    """Trains a network together with linear maps from its embeddings to every attribute.

    The linear maps are discarded afterwards.

    Args:
        network: The encoder.
        x: Batches of inputs and attributes, or an array of inputs.
        y: Attributes, if `x` is an array: a dictionary of int32 `[N]`. -1 is ignored.
        steps: Number of batches per epoch.
        epochs: Number of epochs.
        settings: The recipe's settings.
    """
    heads = {
        name: keras.layers.Dense(len(values), name=name)(network.output)
        for name, values in synthetic.ATTRIBUTES.items()
    }
    losses = {
        name: keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
        for name in heads
    }
    network_training.fit(
        keras.Model(network.inputs[0], heads),
        x,
        losses,
        targets=y,
        batch_size=None if y is None else settings.batch_size,
        steps=steps,
        epochs=epochs,
        learning_rate=settings.learning_rate,
        metrics=(),
        augment=settings.augment if y is None else "none",
        seed=settings.seed,
    )


def all_captions(data: Any) -> list[str]:
    """Returns the captions of the first 1,000 images in one list."""
    return [caption for captions in data.captions[:EVALUATED] for caption in captions]


def central(data: Any) -> Any:
    """Returns the central 64 pixels of the first 1,000 images, float32 `[N, 64, 64, 3]`."""
    edge, count = (data.images[0].shape[0] - SIZE) // 2, min(EVALUATED, len(data))
    cut = slice(edge, edge + SIZE)
    return images.from_uint8(np.stack([data.images[i][cut, cut] for i in range(count)]))


def score(model: Any, train: Any, test: Any) -> dict:
    """Returns scores of the encoders on at most 1,000 test birds. All are shares in [0, 1].

    - `probe_accuracy`: share of the attributes named by a caption that a linear map of its
      embedding, fitted to training captions, predicts correctly: of each attribute, and `all`.
    - `image_probe_accuracy`: the same for image embeddings of the center of the images.
    - `r_precision`: share of images whose first caption ranks first among 100 of any birds; mean
      and deviation.
    - `r_precision_averaged`: the same for the mean embedding of all captions of an image.
    """
    encode = char_cnn_rnn.TextEncoder(model.text_encoder)
    view = char_cnn_rnn.ImageEncoder(model.image_encoder)
    train_texts, test_texts = all_captions(train), all_captions(test)
    embeddings, parse = encode(test_texts), synthetic.parse_caption
    accuracy = probe(
        encode(train_texts),
        np.stack([*map(parse, train_texts)]),
        embeddings,
        np.stack([*map(parse, test_texts)]),
    )
    train_images, test_images = view(central(train)), view(central(test))  # [N, D]
    embeddings = embeddings.reshape(len(test_images), -1, encode.dim)  # [N, captions, D]
    count = min(100, len(test_images))

    def precision(texts):
        found = r_precision.r_precision(test_images, texts, candidates=count)
        return [round(x, 4) for x in found]

    return {
        "probe_accuracy": accuracy,
        "image_probe_accuracy": probe(
            train_images, train.attributes[:EVALUATED], test_images, test.attributes[:EVALUATED]
        ),
        "r_precision": precision(embeddings[:, 0]),
        "r_precision_averaged": precision(embeddings.mean(axis=1)),
    }


def score_own(model: Any, train: Any, test: Any) -> dict:
    """Returns R-precision on at most 1,000 test images without attributes.

    - `r_precision`: share of test images whose first caption ranks first of all different captions
      of test images (at most 100).
    - `r_precision_chance`: the expected share of a random order.
    """
    encode = char_cnn_rnn.TextEncoder(model.text_encoder)
    view = char_cnn_rnn.ImageEncoder(model.image_encoder)
    first = [captions[0] for captions in test.captions[:EVALUATED]]
    texts = list(dict.fromkeys(first))[:100]
    if len(texts) < 2:
        return {}  # One caption cannot be confused with another.
    known = np.array([caption in texts for caption in first])
    own = np.array([texts.index(caption) for caption in first if caption in texts])
    found = r_precision.caption_precision(view(central(test)[known]), encode(texts), own)
    return {"r_precision": round(found, 4), "r_precision_chance": round(1 / len(texts), 4)}


def probe(
    train: Any, train_values: Any, test: Any, test_values: Any, penalty: float = 1e-3
) -> dict:
    """Returns the accuracy of ridge regression from embeddings to the values of each attribute.

    Args:
        train: Embeddings `[N, D]` to fit.
        train_values: Attributes `[N, A]` of these, int. Negative ones are left out.
        test: Embeddings `[M, D]` to predict.
        test_values: Attributes `[M, A]` of these, int. Negative ones are left out.
        penalty: Weight of the squared coefficients.
    """
    train, test = (
        np.concatenate([x, np.ones((len(x), 1))], axis=1).astype("float64") for x in (train, test)
    )
    right = {}
    for column, (name, values) in enumerate(synthetic.ATTRIBUTES.items()):
        known, tested = train_values[:, column] >= 0, test_values[:, column] >= 0
        x, y = train[known], np.eye(len(values))[train_values[known, column]]
        gram = x.T @ x / len(x) + penalty * np.eye(x.shape[1])
        guess = (test[tested] @ np.linalg.solve(gram, x.T @ y / len(x))).argmax(axis=1)
        right[name] = guess == test_values[tested, column]
    right["all"] = np.concatenate(list(right.values()))
    return {name: round(float(np.mean(hits)), 4) for name, hits in right.items()}


def card(name: str, log: dict) -> str:
    """Returns the text of `card.md`."""
    mean, deviation = log["r_precision"]
    mean_all, deviation_all = log["r_precision_averaged"]
    return f"""# {name}

Char-CNN-RNN text encoder for captions of synthetic birds (`T.h5`), and the image encoder trained
with it (`V.h5`).

- Command: `{log["command"]}`, {log["seconds"]:.0f} seconds
- Versions: {log["backend"]}, Keras {log["versions"]["keras"]}
- Training data: {log["train_images"]:,} synthetic birds of the 150 training species
- Text input: up to 201 characters, lower-cased
- Output: {log["settings"]["dim"]} numbers, with mean 0 and variance 1 over all captions
- Image input: {SIZE} pixels, [-1, 1]
- Weights: half precision, Apache-2.0

## Scores on {log["test_images"]:,} birds of the 50 test species

- Attributes that a linear map reads from a caption's embedding:
  {log["probe_accuracy"]["all"]:.2%} right, at least
  {min(log["probe_accuracy"].values()):.2%} of each attribute
- R-precision of the images (1 of 100 captions of any birds, cosine similarity):
  {mean:.1%} ± {deviation:.1%} with the first caption,
  {mean_all:.1%} ± {deviation_all:.1%} with the mean of all. One caption names only some
  attributes, so captions of other birds may be equally true.
"""


def own_card(name: str, log: dict) -> str:
    """Returns the text of `card.md` of encoders of own images."""
    precision = "Not measured: the test images have one caption."
    if "r_precision" in log:
        precision = (
            f"{log['r_precision']:.1%}, by chance {log['r_precision_chance']:.1%}: share of images "
            "whose caption ranks first of all different captions of test images."
        )
    return f"""# {name}

Char-CNN-RNN text encoder of own captions (`T.h5`), and the image encoder trained with it (`V.h5`).

- Command: `{log["command"]}`, {log["seconds"]:.0f} seconds
- Versions: {log["backend"]}, Keras {log["versions"]["keras"]}
- Training data: {log["train_images"]:,} images of {log["settings"]["data"]}
- Text input: up to 201 characters, lower-cased
- Output: {log["settings"]["dim"]} numbers, with mean 0 and variance 1 over all captions
- Image input: {SIZE} pixels, [-1, 1]
- R-precision on {log["test_images"]:,} test images: {precision}
"""


def command(settings: Settings) -> None:
    """Runs the recipe and prints the log."""
    with locks.locked(settings.output_dir):
        print(json.dumps(run(settings), indent=2))


def dry_run(settings: Settings) -> None:
    """Prints settings, parameter counts and, for synthetic birds, steps."""
    encoders = {
        "text_encoder": char_cnn_rnn.build_text_encoder(
            settings.recurrent, settings.width, settings.dim
        ),
        "image_encoder": char_cnn_rnn.build_image_encoder(SIZE, settings.image_width, settings.dim),
    }
    birds = settings.data == own_captions.BIRDS
    steps = max(settings.images // settings.batch_size, 1) if birds else None
    counts = {name: dry_runs.count(network) for name, network in encoders.items()}
    dry_runs.show(settings, counts, steps)


def main() -> None:
    cli.main(
        "zoo.text_encoder", Settings, command, description=__doc__, make=chosen, dry_run=dry_run
    )


if __name__ == "__main__":
    main()
