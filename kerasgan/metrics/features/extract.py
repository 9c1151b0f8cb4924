"""Feature extraction: features and logits of image streams, stored on disk and cached by content.

A feature extractor is a function of uint8 RGB images `[B, H, W, 3]` that returns features `[B, F]`,
or a pair of features and logits `[B, K]`. Its attribute `protocol`, a JSON-serializable dict,
describes it: network, checksum of the weights, resize, layer.
"""

import dataclasses
import hashlib
import json
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from PIL import Image

from kerasgan import backend, distribution
from kerasgan.datasets.image_source import image_source
from kerasgan.images import from_uint8
from kerasgan.io import files
from kerasgan.io.arrays import array_header
from kerasgan.io.reading import read_json, reading, sha256

UNKNOWN = {"network": "a function of the caller"}
NAMES = ("features", "logits")  # Outputs of an extractor.
ARRAYS = ("features.npy", "logits.npy")  # Files of a cached folder, besides about.json.
RULE = "a cached folder of features must be complete; delete it if it is damaged"


def features_and_logits(
    classifier: keras.Model, images: np.ndarray, batch_size: int = 500
) -> tuple[np.ndarray, np.ndarray]:
    """Runs a classifier in inference mode.

    Args:
        classifier: Functional model from images to logits `[B, classes]`.
        images: float32 images `[N, H, W, C]` in the range of the classifier's training data.
        batch_size: Batch size. It affects the results by rounding only.

    Returns:
        Features `[N, F]` (the input of the classifier's last layer) and logits `[N, classes]`,
        float32.
    """
    network = _with_features(classifier)
    starts = range(0, len(images), batch_size)
    with backend.inference():
        batches = [network(images[start : start + batch_size], training=False) for start in starts]
    features, logits = (
        np.concatenate([ops.convert_to_numpy(part) for part in parts])
        for parts in zip(*batches, strict=True)
    )
    return features, logits


def filled(images: np.ndarray, largest: int) -> np.ndarray:
    """Pads a batch `[B, ...]` by repeating its last image.

    The new size is the next power of two, or `largest` if that is smaller. A network is then
    compiled for few shapes, and small batches of images of different sizes do not cost a full
    batch.
    """
    size = min(largest, 1 << (len(images) - 1).bit_length())
    return np.concatenate([images, np.repeat(images[-1:], size - len(images), axis=0)])


def _with_features(classifier):
    return keras.Model(classifier.inputs[0], [classifier.layers[-1].input, classifier.outputs[0]])


class ClassifierFeatures:
    """Feature extractor of a Keras classifier: input of the last layer and logits.

    Args:
        network: Functional model from images `[B, H, W, 1 or 3]` in [-1, 1] to logits `[B, K]`. A
            model of gray images accepts RGB images with equal channels.
        info: Description of the network for the protocol: `network`, `weights_sha256`, ...
        resize: If `True`, images of other sizes are resized with Pillow's antialiased bilinear
            filter. If `False`, they are rejected.
        logits: If `False`, no logits are returned, for networks whose outputs are not classes.

    Raises:
        ValueError: If the network ends in a softmax.
    """

    def __init__(
        self,
        network: keras.Model,
        info: dict | None = None,
        resize: bool = False,
        logits: bool = True,
    ):
        last = network.layers[-1]
        if (
            isinstance(last, keras.layers.Softmax)
            or getattr(last, "activation", None) is keras.activations.softmax
        ):
            raise ValueError(f"A classifier must return logits; {network.name} ends in a softmax.")
        self.network, self.shape = _with_features(network), tuple(network.input_shape[1:])
        self.resize, self.logits = resize, logits
        scaled = f"Pillow bilinear, antialiased, to {self._size()}" if resize else "none"
        about = {
            "layer": "the input of the last layer",
            "inputs": "uint8 / 127.5 - 1",
            "resize": scaled,
        }
        self.protocol = UNKNOWN | dict(info or {}) | about

    def __call__(self, images: np.ndarray) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        height, width, channels = self.shape
        if images.shape[1:3] != (height, width) and None not in (height, width):
            if not self.resize:
                received = f"{images.shape[1]} x {images.shape[2]}"
                raise ValueError(
                    f"The classifier needs images of {self._size()}; received {received}."
                )
            box, bilinear = (width, height), Image.Resampling.BILINEAR
            images = np.stack(
                [np.asarray(Image.fromarray(image).resize(box, bilinear)) for image in images]
            )
        if channels == 1:
            if (images != images[..., :1]).any():
                raise ValueError(
                    "The classifier needs gray images (equal channels); received color images."
                )
            images = images[..., :1]
        with backend.inference():
            features, logits = self.network(from_uint8(images), training=False)
        return (features, logits) if self.logits else features

    def _size(self):
        return f"{self.shape[0]} x {self.shape[1]}"


@dataclasses.dataclass
class Features:
    """Output of a feature extractor.

    Attributes:
        features: float32 `[N, F]`, an array or `np.memmap`.
        logits: float32 `[N, K]`, or `None`.
        protocol: Protocol of the extractor. Scores compare features of equal protocols only.
        images: Description of the images: `source`, `count`, `sizes` (such as `{"64 x 64": 1000}`),
            `channel_means` and `channel_deviations` (red, green and blue over all pixels, in [0,
            255]), and `jpeg_qualities` if there are JPEG files (number of files of each quality).
    """

    features: np.ndarray
    logits: np.ndarray | None = None
    protocol: dict = dataclasses.field(default_factory=lambda: dict(UNKNOWN))
    images: dict = dataclasses.field(default_factory=dict)

    def __len__(self):
        return len(self.features)


def extract(
    images: Any,
    extractor: Callable,
    batch_size: int = 32,
    count: int | None = None,
    cache: str | os.PathLike | None = None,
    progress: bool = True,
) -> Features:
    """Runs a feature extractor on images, with constant memory.

    Args:
        images: Images in any form that `image_source` accepts, or an image source.
        extractor: Feature extractor, see the module.
        batch_size: Batch size.
        count: Number of images to use, from the first; `None` for all.
        cache: Folder of the cache. Features of the same images and extractor are read from it. An
            interrupted call leaves nothing there. `None` uses temporary files.
        progress: If `True`, shows Keras' progress bar.

    Several processes of one training or evaluation (`kerasgan.distribution`) divide the images, and
    each returns the features of all of them. The first process writes the cache, in a folder that
    all of them see. Images are never exchanged.

    Returns:
        `Features` that are read from disk when they are used.

    Raises:
        ValueError: If there are fewer than 2 images, if the extractor returns a wrong shape or
            values that are not finite, or if the images or the extractor have no fingerprint for
            the cache.
    """
    source = image_source(images, count=count)
    if source.count == 1:
        raise ValueError(f"A score needs at least 2 images; received 1 from {source.name}.")
    # The conversion makes the protocol equal to one from a cache.
    protocol = json.loads(json.dumps(getattr(extractor, "protocol", UNKNOWN)))
    if cache is None:
        return _stream(source, extractor, protocol, batch_size, progress, tempfile.TemporaryFile)
    fingerprint = source.fingerprint()
    if fingerprint is None or protocol == UNKNOWN:
        missing = (
            f"{source.name}: no fingerprint"
            if fingerprint is None
            else "an extractor without protocol"
        )
        raise ValueError(
            f"A cache needs images with a fingerprint and an extractor with a `protocol`; received "
            f"{missing}."
        )
    content = json.dumps([fingerprint, protocol], sort_keys=True)
    folder = Path(cache) / hashlib.sha256(content.encode()).hexdigest()
    cached = distribution.exchanged(np.array([float(folder.is_dir())]))[0, 0]
    if not (cached or distribution.is_chief()):
        return _stream(source, extractor, protocol, batch_size, progress, tempfile.TemporaryFile)
    if not cached:
        names = iter(ARRAYS)
        with files.new_folder(folder) as temporary:
            images = _stream(
                source,
                extractor,
                protocol,
                batch_size,
                progress,
                lambda: open(temporary / next(names), "wb+"),
            ).images  # Some systems do not rename mapped files, so the arrays are not kept.
            sums = {name: sha256(temporary / name) for name in _present(temporary)}
            about = {"protocol": protocol, "images": images, "sha256": sums}
            files.write_json(temporary / "about.json", about)
    about = read_json(folder / "about.json", RULE, shape=dict)
    with reading(folder / "about.json", RULE):
        images, count = about["images"] | {"source": source.name}, int(about["images"]["count"])
        sums = dict(about.get("sha256") or dict.fromkeys(_present(folder)))  # None: not checked.
        if ARRAYS[0] not in sums or set(sums) - set(ARRAYS):
            raise ValueError(f"it must list {' and '.join(ARRAYS)}")
        protocol = dict(about["protocol"])
    arrays = {name: _mapped(folder / name, count, sums[name]) for name in ARRAYS if name in sums}
    features, logits = arrays[ARRAYS[0]], arrays.get(ARRAYS[1])
    return Features(features, logits, protocol=protocol, images=images)


def _present(folder):
    return [name for name in ARRAYS if (folder / name).exists()]


def _mapped(path, count, checksum):
    """Memory-mapped array of `count` rows. `checksum` is the SHA-256 of the file, if known."""
    with reading(path, RULE), open(path, "rb") as file:
        shape, fortran, dtype = array_header(file, path.stat().st_size, path.name)
        if len(shape) != 2 or shape[0] != count or fortran or dtype != "<f4":
            raise ValueError(f"it must contain float32 [{count}, F]")
        if checksum is not None and sha256(path) != checksum:
            raise ValueError("its content does not match its checksum")
        return np.memmap(path, dtype, "r", file.tell(), shape)


def warn_if_swapped(samples: dict, reference: dict) -> bool:
    """Warns if the samples look like BGR images, which costs 60 or more of FID.

    This is the case if swapping red and blue brings the channel statistics of the samples closer to
    those of the reference.

    Args:
        samples: `images` of the samples' `Features`.
        reference: `images` of the reference's `Features`. Without channel statistics, nothing is
            checked.

    Returns:
        `True` if a warning was issued.
    """
    if not (samples.get("channel_means") and reference.get("channel_means")):
        return False

    def channel_statistics(images):
        return np.array([images["channel_means"], images["channel_deviations"]])  # [2, 3]

    def distance(one, other):
        return np.sum((one - other) ** 2)

    ours, theirs = channel_statistics(samples), channel_statistics(reference)
    plain, swapped = distance(ours, theirs), distance(ours[:, ::-1], theirs)
    # The threshold of 3 squared gray levels excludes rounding.
    wrong = bool(swapped < plain / 2 and plain - swapped > 3)
    if wrong:
        warnings.warn(
            "the samples look like BGR: swapping red and blue reduces the distance of their "
            f"channel statistics to the reference from {np.sqrt(plain):.1f} to "
            f"{np.sqrt(swapped):.1f} (of 255); scores expect RGB",
            stacklevel=2,
        )
    return wrong


def warn_if_compressed(samples: dict, reference: dict, quality: int = 90) -> bool:
    """Warns if images are JPEG files of low quality, whose artifacts change scores.

    The qualities are estimated from the quantization tables. clean-fid (arXiv 2104.11222) measures
    how much FID depends on them.

    Args:
        samples: `images` of the samples' `Features`.
        reference: `images` of the reference's `Features`.
        quality: Lowest quality, from 1 to 100, without a warning.

    Returns:
        `True` if a warning was issued.
    """
    found = False
    for name, images in (("samples", samples), ("reference images", reference)):
        qualities = {int(key): count for key, count in images.get("jpeg_qualities", {}).items()}
        low = sum(count for key, count in qualities.items() if key < quality)
        if low:
            found = True
            warnings.warn(
                f"{low:,} of {images['count']:,} {name} are JPEG files of quality {min(qualities)} "
                f"to {max(key for key in qualities if key < quality)}: their artifacts change "
                f"scores. Compare lossless images, or files of quality {quality} or more.",
                stacklevel=2,
            )
    return found


def _stream(source, extractor, protocol, batch_size, progress, open_file):
    outputs, sizes, levels = [], Counter(), np.zeros((3, 256), "int64")
    bar = keras.utils.Progbar(source.count, unit_name="image") if progress else None
    done = 0
    try:
        for shape, made in _outputs_of_all(_outputs(source, extractor, batch_size, levels)):
            outputs = outputs or [_Rows(open_file()) for _ in made]
            for name, part, rows in zip(NAMES, made, outputs, strict=False):
                broken = np.flatnonzero(~np.isfinite(part).all(axis=1))
                if len(broken):
                    raise ValueError(
                        f"The {name} of image {done + broken[0]} of {source.name} are not finite."
                    )
                rows.append(part)
            sizes[f"{shape[0]} x {shape[1]}"] += len(made[0])
            done += len(made[0])
            if bar:
                bar.update(done)
        levels = distribution.exchanged(levels).sum(axis=0)
        if bar and source.count is None:
            bar.update(done, finalize=True)
        if done < 2:
            raise ValueError(
                f"A score needs at least 2 images; received {done} from {source.name}."
            )
        arrays = [rows.finish() for rows in outputs]
    finally:
        for rows in outputs:
            rows.file.close()
    return Features(
        *arrays,
        *[None][len(arrays) - 1 :],
        protocol=protocol,
        images=_about(source, done, sizes, levels),
    )


def _outputs(source, extractor, batch_size, levels):
    """Yields (height and width, outputs) of the images of this process. Adds to `levels`."""
    for block in source.share(*distribution.processes(), batch_size):
        parts = []
        for start in range(0, len(block), batch_size):
            batch = block[start : start + batch_size]
            made = extractor(batch)
            made = made if isinstance(made, (tuple, list)) else [made]
            parts.append([ops.convert_to_numpy(part) for part in made])
            for name, part in zip(NAMES, parts[-1], strict=False):
                if part.ndim != 2 or len(part) != len(batch):
                    raise ValueError(
                        f"The extractor must return {name} [B, ...] for {len(batch)} images; "
                        f"received {list(part.shape)}."
                    )
            levels += [
                np.bincount(batch[..., channel].ravel(), minlength=256) for channel in range(3)
            ]
        yield block.shape[1:3], [np.concatenate(part) for part in zip(*parts, strict=True)]


def _outputs_of_all(own):
    """Yields what the iterators of all processes yield, in turns. One process exchanges nothing."""
    index, count = distribution.processes()
    if count == 1:
        yield from own
        return
    while True:
        shape, made = next(own, ((0, 0), []))
        widths = [part.shape[1] for part in made] + [0] * (len(NAMES) - len(made))
        about = [len(made[0]) if made else 0, *shape, *widths]
        about = distribution.exchanged(np.array(about, "float64")).astype(int)
        if not about.any():
            return
        width, ends = about[:, 3:].max(axis=0), about[:, 0].cumsum()
        rows = np.zeros((ends[-1], width.sum()))
        if made:
            rows[ends[index] - len(made[0]) : ends[index]] = np.concatenate(made, axis=1)
        rows = distribution.summed(rows).astype("float32")
        for (length, height, side, *_), end in zip(about, ends, strict=True):
            if length:
                parts = np.split(rows[end - length : end], width.cumsum()[:-1], axis=1)
                yield (height, side), [part for part in parts if part.shape[1]]


def _about(source, count, sizes, levels):
    qualities = {str(key): number for key, number in sorted(source.jpeg_qualities.items())}
    values, total = np.arange(256), levels[0].sum()
    means = levels @ values / total  # [3]
    deviations = np.sqrt((levels @ values**2 / total - means**2).clip(0))
    return {
        "source": source.name,
        "count": count,
        "sizes": dict(sizes),
        "channel_means": [round(float(x), 3) for x in means],
        "channel_deviations": [round(float(x), 3) for x in deviations],
        **({"jpeg_qualities": qualities} if qualities else {}),
    }


class _Rows:
    """A .npy file of float32 `[N, F]` that grows by rows.

    NumPy's header leaves room for N, which is written at the end.
    """

    def __init__(self, file):
        self.file, self.count, self.width = file, 0, None

    def append(self, rows):
        if self.width is None:
            self.width = rows.shape[1]
            self._header()
        elif rows.shape[1] != self.width:
            raise ValueError(
                f"The extractor must return {self.width} features, as before; received "
                f"{rows.shape[1]}."
            )
        self.file.write(np.ascontiguousarray(rows, "<f4").tobytes())
        self.count += len(rows)

    def finish(self):
        """Returns the rows as a memory-mapped array."""
        self.file.seek(0)
        self._header()
        offset = self.file.tell()
        self.file.flush()
        return np.memmap(self.file, "<f4", "r", offset, (self.count, self.width))

    def _header(self):
        about = {"descr": "<f4", "fortran_order": False, "shape": (self.count, self.width)}
        np.lib.format.write_array_header_1_0(self.file, about)
