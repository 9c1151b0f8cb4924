"""What a network makes of images: features and logits, streamed from anywhere, kept on the disk, cached by content.

A feature extractor is any function of uint8 RGB images [B, H, W, 3] that returns float features [B, F], or a pair of
them and logits [B, K]. Its attribute `protocol`, a dictionary that JSON can hold, says what it is: the network, the
checksum of its weights, how it resizes, which layer.
"""

import dataclasses
import hashlib
import json
import shutil
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import keras
import numpy as np
from keras import ops
from PIL import Image

from kerasgan.datasets.image_source import image_source
from kerasgan.images import from_uint8
from kerasgan.io import files
from kerasgan.io.arrays import array_header
from kerasgan.io.reading import read_json, reading

UNKNOWN = {"network": "a function of the caller's"}


def features_and_logits(classifier, images, batch_size=500):
    """Run a classifier in inference mode.

    Args:
        classifier: functional `keras.Model` of images into logits [B, classes].
        images: float32 array [N, H, W, C] in the range that the classifier was trained on.
        batch_size: images at once; the results do not depend on it, but for rounding.

    Returns:
        features [N, F], the input of the classifier's last layer; logits [N, classes]; both float32 numpy.
    """
    network = _with_features(classifier)
    starts = range(0, len(images), batch_size)
    batches = [network(images[start : start + batch_size], training=False) for start in starts]
    return tuple(
        np.concatenate([ops.convert_to_numpy(part) for part in parts])
        for parts in zip(*batches, strict=True)
    )


def filled(images, largest):
    """A batch [B, ...] with its last image repeated up to a power of two, or to `largest` where that is less: a network
    is compiled for few shapes so, and images of sizes of their own, which come one by one, cost no whole batch."""
    size = min(largest, 1 << (len(images) - 1).bit_length())
    return np.concatenate([images, np.repeat(images[-1:], size - len(images), axis=0)])


def _with_features(classifier):
    return keras.Model(classifier.inputs[0], [classifier.layers[-1].input, classifier.outputs[0]])


class ClassifierFeatures:
    """A feature extractor of a Keras classifier: what its last layer sees, and its logits, in inference mode.

    Args:
        network: functional `keras.Model` of images [B, H, W, 1 or 3] in [-1, 1] into logits [B, K]. One of grey images
            is shown RGB images whose channels are equal.
        info: a dictionary that says what the network is, for the protocol: `network`, `weights_sha256` ...
        resize: scale images of another size, by Pillow's antialiased bilinear filter; False refuses them.
        logits: False leaves them out, where they are no classes.

    Raises:
        ValueError: the network's last layer gives probabilities.
    """

    def __init__(self, network, info=None, resize=False, logits=True):
        last = network.layers[-1]
        if (
            isinstance(last, keras.layers.Softmax)
            or getattr(last, "activation", None) is keras.activations.softmax
        ):
            raise ValueError(
                f"a classifier must give logits; received {network.name}, which ends in a softmax"
            )
        self.network, self.shape = _with_features(network), tuple(network.input_shape[1:])
        self.resize, self.logits = resize, logits
        scaled = f"Pillow bilinear, antialiased, to {self._size()}" if resize else "none"
        about = {
            "layer": "the input of the last layer",
            "inputs": "uint8 / 127.5 - 1",
            "resize": scaled,
        }
        self.protocol = UNKNOWN | dict(info or {}) | about

    def __call__(self, images):
        height, width, channels = self.shape
        if images.shape[1:3] != (height, width) and None not in (height, width):
            if not self.resize:
                received = f"{images.shape[1]} x {images.shape[2]}"
                raise ValueError(
                    f"images must be {self._size()}, as the classifier's; received {received}"
                )
            box, bilinear = (width, height), Image.Resampling.BILINEAR
            images = np.stack(
                [np.asarray(Image.fromarray(image).resize(box, bilinear)) for image in images]
            )
        if channels == 1:
            if (images != images[..., :1]).any():
                raise ValueError(
                    "images must be grey, three equal channels, as the classifier's; received colours"
                )
            images = images[..., :1]
        features, logits = self.network(from_uint8(images), training=False)
        return (features, logits) if self.logits else features

    def _size(self):
        return f"{self.shape[0]} x {self.shape[1]}"


@dataclasses.dataclass
class Features:
    """What an extractor made of images.

    Attributes:
        features: float32 [N, F], an array or a `np.memmap`.
        logits: float32 [N, K], or None.
        protocol: the extractor's; scores compare features of one protocol only.
        images: a dictionary about the images: `source`, `count`, `sizes` (such as {"64 x 64": 1000}), and
            `channel_means` and `channel_deviations` of red, green and blue over all pixels, in 0 .. 255.
    """

    features: np.ndarray
    logits: np.ndarray | None = None
    protocol: dict = dataclasses.field(default_factory=lambda: dict(UNKNOWN))
    images: dict = dataclasses.field(default_factory=dict)

    def __len__(self):
        return len(self.features)


def extract(images, extractor, batch_size=32, count=None, cache=None, progress=True):
    """Run an extractor over images, in their order; memory does not grow with their number.

    Args:
        images: what `image_source` takes, or what it made.
        extractor: see above.
        batch_size: images at once.
        count: take only so many, the first.
        cache: a folder, made if need be. What is in it, of the same images and the same extractor, is not computed
            again; an interrupted run leaves nothing there. None keeps the numbers in a temporary file of no name.
        progress: show Keras' progress bar.

    Returns:
        `Features`, read from the disk as they are used.

    Raises:
        ValueError: fewer than 2 images, features that are not finite (the first such image is named) or no [B, F], a
            cache for what has no fingerprint; and what `image_source` raises.
    """
    source = image_source(images, count=count)
    if source.count == 1:
        raise ValueError(f"a score needs at least 2 images; received 1 from {source.name}")
    protocol = json.loads(
        json.dumps(getattr(extractor, "protocol", UNKNOWN))
    )  # as a cache gives it back
    if cache is None:
        return _stream(source, extractor, protocol, batch_size, progress, tempfile.TemporaryFile)
    fingerprint = source.fingerprint()
    if fingerprint is None or protocol == UNKNOWN:
        lacks = (
            f"{source.name}: no fingerprint"
            if fingerprint is None
            else "an extractor without a `protocol`"
        )
        raise ValueError(
            f"a cache needs images and an extractor that say what they are; received {lacks}"
        )
    told = json.dumps([fingerprint, protocol], sort_keys=True)
    folder = Path(cache) / hashlib.sha256(told.encode()).hexdigest()
    if not folder.is_dir():
        files.make_folder(folder.parent)
        temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name[:16]}.tmp-", dir=folder.parent))
        names = iter(("features.npy", "logits.npy"))
        try:
            made = _stream(
                source,
                extractor,
                protocol,
                batch_size,
                progress,
                lambda: open(temporary / next(names), "wb+"),
            )
            files.write_json(
                temporary / "about.json", {"protocol": protocol, "images": made.images}
            )
            del made  # some systems do not rename what is mapped
            if not folder.is_dir():  # another process may have been first
                temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    rule = "a cache of features must be whole, or be deleted"
    about = read_json(folder / "about.json", rule, shape=dict)
    with reading(folder, rule):
        about["images"]["source"] = source.name
        return Features(
            *(_mapped(folder / name) for name in ("features.npy", "logits.npy")), **about
        )


def _mapped(path):
    """An array of a file, read as it is used, or None where there is no file."""
    if not path.exists():
        return None
    with open(path, "rb") as file:
        shape, fortran, dtype = array_header(file, path.stat().st_size, path.name)
        if len(shape) != 2 or fortran or dtype != "<f4":
            raise ValueError(f"{path.name} must be float32 [N, F]")
        return np.memmap(path, dtype, "r", file.tell(), shape)


def warn_if_swapped(samples, reference):
    """Warns where red and blue, swapped, bring the samples' colours nearer to the reference's: BGR costs 60 of FID.

    Args:
        samples, reference: the `images` of `Features`: means and deviations of the channels. Without them, silent.

    Returns:
        whether it warned.
    """
    if not (samples.get("channel_means") and reference.get("channel_means")):
        return False

    def colours(images):
        return np.array([images["channel_means"], images["channel_deviations"]])  # [2, 3]

    def distance(one, other):
        return np.sum((one - other) ** 2)

    ours, theirs = colours(samples), colours(reference)
    plain, swapped = distance(ours, theirs), distance(ours[:, ::-1], theirs)
    wrong = bool(
        swapped < plain / 2 and plain - swapped > 3
    )  # in squares of 1/255: more than rounding
    if wrong:
        warnings.warn(
            "the samples look like BGR: with red and blue swapped their colours come nearer to the reference's "
            f"(distance {np.sqrt(swapped):.1f}, not {np.sqrt(plain):.1f}, of 255); scores are of RGB",
            stacklevel=2,
        )
    return wrong


def _stream(source, extractor, protocol, batch_size, progress, open_file):
    outputs, sizes, levels = [], Counter(), np.zeros((3, 256), "int64")
    bar = keras.utils.Progbar(source.count, unit_name="image") if progress else None
    done = 0
    try:
        for batch in source.batches(batch_size):
            made = extractor(batch)
            made = [
                ops.convert_to_numpy(part)
                for part in (made if isinstance(made, (tuple, list)) else [made])
            ]
            outputs = outputs or [_Rows(open_file()) for _ in made]
            for name, part, rows in zip(
                ("features", "logits")[: len(made)], made, outputs, strict=True
            ):
                if part.ndim != 2 or len(part) != len(batch):
                    raise ValueError(
                        f"an extractor must give {name} [B, …] of {len(batch)} images; received {list(part.shape)}"
                    )
                broken = np.flatnonzero(~np.isfinite(part).all(axis=1))
                if len(broken):
                    raise ValueError(
                        f"{name} must be finite; those of image {done + broken[0]} of {source.name} are not"
                    )
                rows.append(part)
            sizes[f"{batch.shape[1]} x {batch.shape[2]}"] += len(batch)
            levels += [
                np.bincount(batch[..., channel].ravel(), minlength=256) for channel in range(3)
            ]
            done += len(batch)
            if bar:
                bar.update(done)
        if bar and source.count is None:
            bar.update(done, finalize=True)
        if done < 2:
            raise ValueError(f"a score needs at least 2 images; received {done} from {source.name}")
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


def _about(source, count, sizes, levels):
    values, total = np.arange(256), levels[0].sum()
    means = levels @ values / total  # [3]
    deviations = np.sqrt((levels @ values**2 / total - means**2).clip(0))
    return {
        "source": source.name,
        "count": count,
        "sizes": dict(sizes),
        "channel_means": [round(float(x), 3) for x in means],
        "channel_deviations": [round(float(x), 3) for x in deviations],
    }


class _Rows:
    """A .npy file of float32 [N, F] that grows by rows: numpy's header leaves room for N, which is known at the end."""

    def __init__(self, file):
        self.file, self.count, self.width = file, 0, None

    def append(self, rows):
        if self.width is None:
            self.width = rows.shape[1]
            self._header()
        elif rows.shape[1] != self.width:
            raise ValueError(
                f"an extractor must give {self.width} features, as before; received {rows.shape[1]}"
            )
        self.file.write(np.ascontiguousarray(rows, "<f4").tobytes())
        self.count += len(rows)

    def finish(self):
        """The rows, read from the file as they are used."""
        self.file.seek(0)
        self._header()
        offset = self.file.tell()
        self.file.flush()
        return np.memmap(self.file, "<f4", "r", offset, (self.count, self.width))

    def _header(self):
        about = {"descr": "<f4", "fortran_order": False, "shape": (self.count, self.width)}
        np.lib.format.write_array_header_1_0(self.file, about)
