"""Image sources (folders, files, checkpoints) and feature extractors of `zoo.evaluate`."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerasgan.datasets.digits import load_digits
from kerasgan.datasets.generated import GeneratedBlocks
from kerasgan.datasets.image_source import ImageSource, image_source
from kerasgan.images import to_uint8
from kerasgan.io import checkpoint_file, checkpoints, hub, presets
from kerasgan.io.arrays import array_names
from kerasgan.io.hdf5 import is_hdf5, open_hdf5
from kerasgan.io.keras_files import load_keras_file
from kerasgan.io.reading import reading
from kerasgan.metrics.features.extract import ClassifierFeatures
from kerasgan.metrics.protocols import bird_attributes, digits
from kerasgan.metrics.score_checks import check_inference_mode
from zoo import sample, text_gan

FEATURES = (
    "inception",
    "dinov2",
    "clip",
    "slim",
    "digit_classifier",
    "bird_attribute_classifier",
)
BLOCK = 64  # Number of images of captions that are generated at a time.

# === Feature extractors ===


def extractor(
    name: str = "inception", weights: str | None = None, resize: str | None = None
) -> Callable:
    """Returns the feature extractor of `--features`, `--inception` and `--resize`.

    Args:
        name: One of `FEATURES`, `"dinov2:PRESET"` or `"clip:PRESET"`, or the file of a Keras
            classifier, .keras or .h5, that ends in logits.
        weights: Weights of `"inception"`, see `Inception`, or the prefix of StackGAN's checkpoint
            for `"slim"`.
        resize: Mode of `kerasgan.metrics.features.resize` for Inception, DINOv2 and CLIP.
    """
    kind, _, preset = name.partition(":")
    if weights and name not in ("inception", "slim"):
        raise ValueError(f"--inception is for --features=inception and slim; received {name}")
    if name == "inception":
        from kerasgan.metrics.features.inception import Inception

        return Inception(weights, resize)
    if kind == "dinov2":
        from kerasgan.metrics.features.dinov2 import DEFAULT, DINOv2

        return DINOv2(preset or DEFAULT, resize)
    if kind == "clip":
        from kerasgan.metrics.features.clip import DEFAULT, load_clip

        return load_clip(preset or DEFAULT, resize)
    if resize:
        raise ValueError(f"--resize is for --features=inception, dinov2 and clip; received {name}")
    if name == "slim":
        from kerasgan.metrics.features.slim_inception import SlimInception

        if not weights:
            raise ValueError(
                "--features=slim needs --inception=PREFIX, a fine-tuned network; received none"
            )
        return SlimInception(weights)
    if name == "digit_classifier":
        network, info = digits.load_digit_classifier()
        about = {"network": "the digit classifier", "weights_sha256": info["sha256"]}
        return ClassifierFeatures(network, about)
    if name == "bird_attribute_classifier":
        network, info = bird_attributes.load_bird_attribute_classifier()
        about = {"network": "the bird attribute classifier", "weights_sha256": info["sha256"]}
        # The logits belong to seven attributes, so the Inception Score cannot use them.
        return ClassifierFeatures(network, about, resize=True, logits=False)
    path = pathlib.Path(name)
    if path.suffix not in (".keras", ".h5") or not path.is_file():
        raise ValueError(
            f"--features must be {', '.join(FEATURES)}, dinov2:PRESET, clip:PRESET, or the .keras "
            f"or .h5 file of a classifier; received {name}"
        )
    network = checkpoints.load_network(path)[0] if is_checkpoint(path) else load_keras_file(path)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    about = {"network": f"a classifier, {path.name}", "weights_sha256": checksum}
    with reading(path, "--features must be a classifier of images that ends in logits"):
        return ClassifierFeatures(network, about)


class NoNetwork:
    """Placeholder for an extractor if MS-SSIM, which compares pixels, is the only metric."""

    protocol = {"network": "none"}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return images.mean(axis=(1, 2))


# === Images ===


def source(
    name: str,
    count: int | None = None,
    *,
    seed: int = 1,
    text_encoder: str | None = None,
    data_dir: str = "",
    by: str | None = None,
    key: str | None = None,
    convert: bool = False,
    mixed_sizes: bool = False,
) -> ImageSource:
    """Returns images by name.

    Args:
        name: A folder, a file, `"digits"` (the 4,000 training digits), a checkpoint or a preset. A
            checkpoint generates in inference mode (checked), with labels or captions of the test
            data in turn. A CoopNet generates as in training, in blocks of `chains` images with
            their batch statistics. The protocol records this.
        count: Number of images to use. Defaults to all, or 10,000 of a checkpoint.
        seed: Seed of a checkpoint's latents.
        text_encoder: Text encoder of a checkpoint. Defaults to the one that it names.
        data_dir: Folder of the data set whose captions a checkpoint uses.
        by: `"generator"` (default) or `"descriptor"` of a CoopNet.
        key: See `image_source`.
        convert: See `image_source`.
        mixed_sizes: See `image_source`.
    """
    options: dict[str, Any] = dict(key=key, convert=convert, mixed_sizes=mixed_sizes, count=count)
    if name == "digits":
        found = image_source(to_uint8(load_digits()[0]), **options)
        return dataclasses.replace(found, name="digits, the training split")
    preset = hub.is_uri(name) or name in presets.names() or (pathlib.Path(name) / "G.h5").is_file()
    if not preset and not is_checkpoint(name):
        return image_source(name, **options)
    model = sample.load(name)
    about = sample.about(name, model)
    options["count"] = count = count or 10_000
    if by and "by" not in model.sample_options:
        raise ValueError(f"{name} samples with its generator only: --by is for CoopNet")
    batches, description = _generated(
        model, name, about, count, seed, by or "generator", text_encoder, data_dir
    )
    title = f"{name}, sha256 {about['sha256']}, {description}"
    fingerprint = f"{title}, {keras.backend.backend()}"
    found = image_source(batches, seed=seed, fingerprint=fingerprint, **options)
    return dataclasses.replace(found, name=title)


def _generated(model, name, about, count, seed, by, text_encoder, data_dir):
    """Returns the argument of `image_source` for a model's images, and their protocol."""
    latents = f"latents of seed {seed}"
    if "by" in model.sample_options:
        mode = ", ".join(f"{key} {value}" for key, value in model.sampling_protocol(by).items())
        return _blocks(model, by, count, seed), f"{mode}, {latents}"
    if model.conditioning == "captions":
        data = about.get("data") or "synthetic_birds"
        encoder = check_text_encoder(name, about, text_encoder, own=True)
        embeddings = _embeddings(data, data_dir, encoder)
        content = hashlib.sha256(np.ascontiguousarray(embeddings)).hexdigest()[:16]
        captions = f"captions of {data} by {encoder or 'embeddings of its own'}, {content}"
        batches = _captions(model, embeddings, count, seed)
        return batches, f"inference mode, {latents}, {captions}"
    check_inference_mode(
        *(to_uint8(model.sample(n=16, seed=seed, batch_size=size)) for size in (16, 5))
    )
    return model, f"inference mode, {latents}"


def check_text_encoder(
    checkpoint: str | os.PathLike, about: dict, name: str | None, own: bool = False
) -> str:
    """Returns the name of a checkpoint's text encoder.

    Args:
        checkpoint: The checkpoint, for the error message.
        about: Its information.
        name: Name of another encoder, or `None`.
        own: If `True`, `""` (the embeddings of the data set) is allowed.
    """
    encoder = about.get("text_encoder") if name is None else name
    if encoder is None or not (encoder or own):
        raise ValueError(
            f"{checkpoint} does not name the text encoder that it was trained with: give "
            f"--text_encoder"
        )
    return encoder


def _blocks(model, by, count, seed):
    """Returns a CoopNet's images in blocks, as `model.sample` does."""

    latents = model.random_latents(count, seed)

    def generate(start, stop):
        return to_uint8(model.generate(latents[start:stop], by))

    return GeneratedBlocks(generate, count, model.chains)


def captions(
    name: str, count: int, text_encoder: str | None = None, data_dir: str = ""
) -> list[str]:
    """Returns the captions of a checkpoint's images in `source`.

    Args:
        name: A checkpoint or preset.
        count: Number of images.
        text_encoder: See `source`.
        data_dir: See `source`.

    Raises:
        ValueError: If the model generates without captions, or if the data has no texts.
    """
    model = sample.load(name)
    if model.conditioning != "captions":
        raise ValueError(f"captions are needed, and {name} generates without: give --captions")
    about = sample.about(name, model)
    data = about.get("data") or "synthetic_birds"
    encoder = check_text_encoder(name, about, text_encoder, own=True)
    texts = _loaded(data, data_dir, encoder).captions
    if texts is None:
        raise ValueError(f"{data} has embeddings without texts: give --captions")
    rows = _used_captions(np.arange(count), len(texts), min(map(len, texts)))
    return [texts[image][caption] for image, caption in zip(*rows, strict=True)]


def _loaded(data, data_dir, encoder):
    """Returns captioned images that are not used for training."""
    split = "val" if data.startswith("coco") else "test"
    return text_gan.load(data, split, data_dir, 1000, 64, encoder, in_memory=False)


def _embeddings(data, data_dir, encoder):
    return _loaded(data, data_dir, encoder).embeddings


def _used_captions(rows, images, captions):
    """Returns image and number of the caption of each row.

    All captions of an image are used once before one is used again.
    """
    turn, image = np.divmod(rows, images)
    return image, (image + turn) % captions


def _captions(model, embeddings, count, seed):
    """Returns a model's largest images for embeddings `[N, C, D]`."""
    few = embeddings[:6, 0], model.random_latents(min(6, len(embeddings)), seed)
    smallest = min(model.sizes)
    images = [
        model.sample(embeddings=few[0], latents=few[1], batch_size=size, sizes="all")[smallest]
        for size in (6, 4)
    ]
    check_inference_mode(*map(to_uint8, images))

    latents = model.random_latents(count, seed)

    def generate(start, stop):
        rows = np.arange(start, stop)
        chosen = embeddings[_used_captions(rows, *embeddings.shape[:2])]
        return to_uint8(model.sample(embeddings=chosen, latents=latents[rows]))

    return GeneratedBlocks(generate, count, BLOCK)


def is_checkpoint(path: str | os.PathLike) -> bool:
    """Returns whether a file is a checkpoint of this package, not a file of images."""
    path = pathlib.Path(path)
    if path.suffix != ".h5" or not path.is_file() or not is_hdf5(path):
        return False
    try:
        with open_hdf5(path) as file:
            return str(file.attrs.get("format")) == checkpoint_file.FORMAT
    except Exception:  # A damaged file. The reader reports the damage.
        return False


def is_statistics(path: str | os.PathLike | None) -> bool:
    """Returns whether a file holds the statistics of features."""
    if path is None or pathlib.Path(path).suffix != ".npz" or not pathlib.Path(path).is_file():
        return False
    return {"mu", "sigma"} <= array_names(path)
