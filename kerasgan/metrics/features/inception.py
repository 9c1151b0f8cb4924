"""Inception network of 2015-12-05, which defines the Inception Score, FID and KID.

The reference is TensorFlow's graph `classify_image_graph_def.pb`, which the Inception Score (arXiv
1606.03498) and FID (arXiv 1706.08500) use. Features and logits equal those of torch-fidelity.

Reference:
    Szegedy et al., 2016, "Rethinking the Inception Architecture for Computer Vision",
    https://arxiv.org/abs/1512.00567

The network, and how it differs from the paper, is in `inception_network`. This module has its
weights and the extractor of features.
"""

import hashlib
import io
import math
import os
import tarfile
import urllib.request
from pathlib import Path

import keras
import numpy as np

from kerasgan.datasets.torch_file import LEGACY, load_torch_file
from kerasgan.io import files
from kerasgan.io.hdf5 import open_hdf5
from kerasgan.io.limits import Budget
from kerasgan.io.reading import reading
from kerasgan.metrics.features import resize as resizing
from kerasgan.metrics.features.extract import filled
from kerasgan.metrics.features.fingerprints import INCEPTION as NETWORK, KNOWN, network_name
from kerasgan.metrics.features.inception_network import (
    CLASSES as CLASSES,
    SIZE as SIZE,
    TENSORS as TENSORS,
    build_inception as build_inception,
)

EPSILON = 1e-3  # Epsilon of batch norm.
GRAPH = "classify_image_graph_def.pb"
SHA256 = "6726825d"  # First digits of the SHA-256 of the .pth files, which their names contain.
GITHUB = "https://github.com/"
# Published files of the weights. All three hold the same values.
FILES = {
    f"weights-inception-2015-12-05-{SHA256}.pth": GITHUB
    + "toshas/torch-fidelity/releases/download/v0.2.0/",
    f"pt_inception-2015-12-05-{SHA256}.pth": GITHUB
    + "mseitzer/pytorch-fid/releases/download/fid_weights/",
    "inception-2015-12-05.tgz": "http://download.tensorflow.org/models/image/imagenet/",
}
CONVERTED = "inception-2015-12-05.h5"


def read_weights(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], str | None]:
    """Reads weights from a file: .pb or .tgz of TensorFlow, .pth of PyTorch, or .h5 of `convert`.

    Args:
        path: The file.

    Returns:
        A dict of checked arrays with the names and layouts of the PyTorch files, and the SHA-256 of
        the file (of a .tgz file, of the graph in it; of an .h5 file, of the original file).

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If TensorFlow is required and not installed.
        ValueError: If the file is damaged, malicious, or of another network.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file of Inception's weights at {path}")
    content = path.read_bytes()
    if content.startswith(b"\x89HDF"):
        return _read_h5(path)
    if content.startswith((b"PK", LEGACY)):
        weights = load_torch_file(path)
    elif content.startswith((b"\x1f\x8b", b"\n")):  # gzip, or a protocol buffer.
        weights, content = _read_graph(path, content)
    else:
        raise ValueError(
            "Inception's weights must be a .pb or .tgz file of TensorFlow, a .pth file of PyTorch "
            f"or an .h5 file of kerasgan; {path} ({len(content):,} bytes) is none of them"
        )
    return _checked(weights, path), hashlib.sha256(content).hexdigest()


def _checked(weights, path):
    """Checks weights and returns them as float32 in the order of `TENSORS`.

    The bias of the logits and the batch counts are dropped.
    """
    if not isinstance(weights, dict):
        raise ValueError(
            f"{path} must hold a dictionary of tensors; it holds a {type(weights).__name__}"
        )
    missing = [name for name in TENSORS if name not in weights]
    extra = [
        name
        for name in weights
        if name not in TENSORS
        and name != "fc.bias"
        and not str(name).endswith(".num_batches_tracked")
    ]
    wrong = [
        name for name, (_, shape, _) in TENSORS.items() if np.shape(weights.get(name)) != shape
    ]
    rule = f"{path} must hold the network {NETWORK}"
    if missing:
        raise ValueError(
            f"{rule}; {len(missing)} of its {len(TENSORS)} tensors are missing, for example "
            f"{missing[0]}"
        )
    if extra:
        raise ValueError(f"{rule}; it holds {len(extra)} other tensors, for example {extra[0]}")
    if wrong:
        received, shape = list(np.shape(weights[wrong[0]])), list(TENSORS[wrong[0]][1])
        raise ValueError(f"{rule}, where {wrong[0]} is {shape}; received {received}")
    with reading(path, f"{path} must hold the network {NETWORK}"):
        weights = {name: np.asarray(weights[name], "float32") for name in TENSORS}
    for name, array in weights.items():
        if not np.isfinite(array).all() or (name.endswith("running_var") and array.min() < 0):
            raise ValueError(f"{rule}; {name} has values that no trained network has")
    return weights


def _read_graph(path, content):
    try:
        import tensorflow as tf
    except ImportError:
        raise ImportError(
            f"Reading {path} requires tensorflow; {next(iter(FILES))} holds the same weights"
        ) from None
    nodes = {node: (name, axes) for name, (node, _, axes) in TENSORS.items()}
    weights = {}
    rule = (
        "{path} must be a complete graph of TensorFlow, or a .tgz file with "
        + GRAPH
        + "; it cannot be read"
    )
    budget = Budget(len(content))
    with reading(path, rule):
        if content.startswith(b"\x1f\x8b"):
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                member = archive.getmember(GRAPH)
                budget.unpack(member.size, GRAPH)
                content = archive.extractfile(member).read()
        for node in tf.compat.v1.GraphDef.FromString(content).node:
            if node.op == "Const" and node.name in nodes:
                name, axes = nodes[node.name]
                tensor = node.attr["value"].tensor
                # TensorFlow allocates the claimed shape, with at most 8 bytes per value.
                budget.unpack(
                    8 * math.prod(side.size for side in tensor.tensor_shape.dim), node.name
                )
                array = tf.make_ndarray(tensor)
                weights[name] = array.transpose(axes) if array.ndim == len(axes) else array
    return weights, content


def _read_h5(path):
    with reading(path, "{path} must be a complete file of Inception's weights written by kerasgan"):
        with open_hdf5(path) as file:
            if file.attrs.get("network") != NETWORK:
                raise ValueError("it is another HDF5 file")
            weights = {name: file[name].read() for name in file}
            digest, origin = file.attrs["weights_sha256"], file.attrs["file_sha256"] or None
    weights = _checked(weights, path)
    if fingerprint(weights) != digest:
        raise ValueError(f"{path} is damaged: the weights do not match their checksum")
    return weights, origin


def fingerprint(weights: dict[str, np.ndarray]) -> str:
    """Returns the SHA-256 of the weights, independent of their file."""
    digest = hashlib.sha256()
    for name in TENSORS:
        digest.update(np.asarray(weights[name], "<f4").tobytes())
    return digest.hexdigest()


def random_weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Returns random weights with He initialization, for tests and timing only."""
    random = np.random.Generator(np.random.PCG64(seed))
    weights = {}
    for name, (_, shape, _) in TENSORS.items():
        array = random.random(shape, "float32") * 2 - 1
        if len(shape) == 1:  # Batch norm.
            weights[name] = array / 4 + name.endswith(("weight", "var"))
        else:
            weights[name] = array * np.float32(np.sqrt(6 / np.prod(shape[1:])))
    return weights


def home() -> Path:
    """Returns the folder of downloaded weights: $KERAS_HOME/kerasgan, or ~/.keras/kerasgan."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "kerasgan"


def find_weights(timeout: float = 8) -> Path:
    """Returns the file of the weights in `home()`, after a download if necessary.

    Args:
        timeout: Seconds to wait for the server.

    Raises:
        FileNotFoundError: If the file is missing and cannot be downloaded. The message lists the
            sources and the folder.
        ValueError: If the checksum of the download is wrong. The file is deleted.
    """
    folder = home()
    for name in (CONVERTED, *FILES, GRAPH):
        if (folder / name).is_file():
            return folder / name
    name, place = next(iter(FILES.items()))
    try:
        # Keras' download has no short timeout.
        urllib.request.urlopen(place + name, timeout=timeout).close()
        files.make_folder(folder)
        path = Path(
            keras.utils.get_file(
                name, place + name, cache_dir=str(folder.parent), cache_subdir=folder.name
            )
        )
    except Exception as error:  # Keras raises plain Exceptions
        raise FileNotFoundError(
            f"IS, FID and KID need the weights of {NETWORK} (91 MiB), which cannot be downloaded "
            f"({' '.join(str(error).split())}). Get one of "
            f"{', '.join(place + name for name, place in FILES.items())}, and pass it (weights= in "
            f"Python, --inception= or --weights= in a shell) or put it into {folder}. Features "
            "without them: --features=digit_classifier, the .keras file of a classifier, or "
            "dinov2 from a folder"
        ) from None
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if KNOWN.get(found) != NETWORK:
        path.unlink()
        raise ValueError(
            f"The SHA-256 of {name} must be that of the published file, {SHA256}...; received "
            f"{found} from {place}"
        )
    return path


def convert(
    weights: dict | str | os.PathLike | None = None, path: str | os.PathLike | None = None
) -> tuple[Path, str | None]:
    """Writes the weights to an .h5 file, which all backends read without TensorFlow and torch.

    Args:
        weights: See `Inception`.
        path: The new file. Defaults to the place where `Inception()` finds it.

    Returns:
        The path of the new file, and the SHA-256 of the original file.
    """
    weights, digest = _arrays(weights)
    path = Path(path) if path else home() / CONVERTED
    files.make_folder(path.parent)

    def fill(file):
        file.attrs.update(
            network=NETWORK, weights_sha256=fingerprint(weights), file_sha256=digest or ""
        )
        for name, array in weights.items():
            file[name] = array

    files.write_hdf5(path, fill)
    return path, digest


class Inception:
    """Feature extractor for FID, KID (features) and the Inception Score (logits).

    Args:
        weights: File for `read_weights`, or a dict such as `random_weights()`. `None` finds or
            downloads the published weights, see `find_weights`.
        resize: Mode of `kerasgan.metrics.features.resize`. `None` is `"legacy_tensorflow"`, that
            of the published FID and of torch-fidelity. `"legacy_pytorch"` is pytorch-fid's, with
            its range of the inputs.

    Attributes:
        protocol: JSON-serializable dict: network, SHA-256 of the weights (independent of their
            file), resize, features and logits. The network of unknown weights is `"unknown weights
            ..."`, see `kerasgan.metrics.features.fingerprints`.
        file_sha256: SHA-256 of the file, or `None` for a dict.
    """

    def __init__(self, weights: dict | str | os.PathLike | None = None, resize: str | None = None):
        self._resize = resize or resizing.TENSORFLOW
        resizing.check_mode(self._resize)
        arrays, self.file_sha256 = _arrays(weights)
        self._weights = weights
        self.network, made = build_inception()
        for layer, names in made:
            layer.set_weights(
                [arrays["fc.weight"].T] if names == ["fc"] else _folded(arrays, names)
            )
        # On CPUs, TensorFlow is slower with XLA.
        self.network.jit_compile = keras.backend.backend() == "jax"
        self._batch = 0
        digest = fingerprint(arrays)
        self.protocol = {
            "network": network_name("Inception", digest, self.file_sha256),
            "weights_sha256": digest,
            "resize": resizing.TEXTS[self._resize].format(SIZE),
            "features": "pool_3, 2048",
            "logits": f"{CLASSES}, without bias",
        }
        if self._resize == resizing.PYTORCH:
            self.protocol["inputs"] = "RGB / 127.5 - 1"

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes features and logits of a batch.

        Args:
            images: RGB images of any size, uint8 `[B, H, W, 3]`. Batches are padded to a power of
                two or the largest batch so far, so that the network is compiled for few shapes.
                Memory grows with B.

        Returns:
            Features `[B, 2048]` and logits `[B, 1008]`, float32.
        """
        images = np.asarray(images)
        resizing.check_images(images)
        if self._resize != resizing.TENSORFLOW:  # The network resizes like TensorFlow 1.
            images = resizing.resize(images, SIZE, self._resize)
        if self._resize == resizing.PYTORCH:  # The network computes x / 128 - 1.
            images = images * np.float32(128 / 127.5)
        count = len(images)
        self._batch = max(self._batch, count)
        features, logits = self.network.predict_on_batch(filled(images, self._batch))
        return features[:count], logits[:count]

    def save(self, path: str | os.PathLike) -> None:
        """Writes the weights to an .h5 file, see `convert`."""
        convert(self._weights, path)


def _arrays(weights):
    """Arrays of the weights, and the SHA-256 of their file or `None`."""
    if isinstance(weights, dict):
        return _checked(weights, "weights"), None
    return read_weights(weights or find_weights())


def _folded(weights, names):
    """Kernel `[H, W, in, out]` and bias of concatenated convolutions with folded batch norm."""
    kernels, biases = [], []
    for name in names:
        gamma, beta, mean, variance = (
            weights[f"{name}.bn.{part}"].astype("float64")
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + EPSILON)
        kernels.append(weights[f"{name}.conv.weight"].transpose(2, 3, 1, 0) * scale)
        biases.append(beta - mean * scale)
    return [np.concatenate(kernels, axis=-1), np.concatenate(biases)]
