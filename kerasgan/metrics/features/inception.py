"""The Inception network of 2015-12-05, in whose features and logits the Inception Score, FID and KID are defined.

Source: Szegedy et al., "Rethinking the Inception architecture for computer vision", arXiv 1512.00567, as TensorFlow's
graph `classify_image_graph_def.pb` has it, which Salimans et al., arXiv 1606.03498 (IS) and Heusel et al., arXiv
1706.08500 (FID) took.

*Differences from the paper*, all of them the graph's: images of any size become 299 x 299 by TensorFlow 1's bilinear
interpolation, within the network; average pools leave the padding out; the last block's pool takes maxima; 1008 logits,
for the 1000 classes and eight that are unused. The logits are without their bias, since that is what IS was published
with.

*Differences from the graph*, for speed, within rounding: batch norm is folded into the convolutions, 1 x 1 convolutions
of one input are one convolution, and average pools come after the 1 x 1 convolution that they feed, which has fewer
channels (both are linear).
"""

import hashlib
import io
import math
import os
import tarfile
import urllib.request
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from kerasgan.datasets.torch_file import LEGACY, load_torch_file
from kerasgan.io import files
from kerasgan.io.hdf5 import open_hdf5
from kerasgan.io.limits import Budget
from kerasgan.io.reading import reading
from kerasgan.metrics.features.extract import filled

NETWORK = "Inception-2015-12-05"
SIZE = 299
CLASSES = 1008
EPSILON = 1e-3  # of the graph's batch norms
GRAPH = "classify_image_graph_def.pb"
SHA256 = "6726825d"  # how the SHA-256 of the .pth files begins
# Where the weights are published: all three files hold the same numbers.
FILES = {
    f"weights-inception-2015-12-05-{SHA256}.pth": "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/",
    f"pt_inception-2015-12-05-{SHA256}.pth": "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/",
    "inception-2015-12-05.tgz": "http://download.tensorflow.org/models/image/imagenet/",
}
CONVERTED = "inception-2015-12-05.h5"

# === The network ===

# Convolutions of the stem: height, width, channels.
STEM = {
    "Conv2d_1a_3x3": (3, 3, 32),
    "Conv2d_2a_3x3": (3, 3, 32),
    "Conv2d_2b_3x3": (3, 3, 64),
    "Conv2d_3b_1x1": (1, 1, 80),
    "Conv2d_4a_3x3": (3, 3, 192),
}
STEM_PLACES = {
    "Conv2d_1a_3x3": (2, "valid"),
    "Conv2d_2b_3x3": (1, "same"),
}  # strides and padding, if not 1 and valid
FORK = [(1, 3, 384), (3, 1, 384)]  # two convolutions of one input


def _block_35(pool):
    return {
        "branch1x1": [(1, 1, 64)],
        "branch5x5": [(1, 1, 48), (5, 5, 64)],
        "branch3x3dbl": [(1, 1, 64), (3, 3, 96), (3, 3, 96)],
        "branch_pool": [(1, 1, pool)],
    }


def _block_17(n):
    return {
        "branch1x1": [(1, 1, 192)],
        "branch7x7": [(1, 1, n), (1, 7, n), (7, 1, 192)],
        "branch7x7dbl": [(1, 1, n), (7, 1, n), (1, 7, n), (7, 1, n), (1, 7, 192)],
        "branch_pool": [(1, 1, 192)],
    }


BLOCK_8 = {
    "branch1x1": [(1, 1, 320)],
    "branch3x3": [(1, 1, 384), FORK],
    "branch3x3dbl": [(1, 1, 448), (3, 3, 384), FORK],
    "branch_pool": [(1, 1, 192)],
}
# The branches of each block, and the convolutions of each branch; blocks without branch_pool halve the maps.
BLOCKS = {
    "Mixed_5b": _block_35(32),
    "Mixed_5c": _block_35(64),
    "Mixed_5d": _block_35(64),
    "Mixed_6a": {"branch3x3": [(3, 3, 384)], "branch3x3dbl": [(1, 1, 64), (3, 3, 96), (3, 3, 96)]},
    "Mixed_6b": _block_17(128),
    "Mixed_6c": _block_17(160),
    "Mixed_6d": _block_17(160),
    "Mixed_6e": _block_17(192),
    "Mixed_7a": {
        "branch3x3": [(1, 1, 192), (3, 3, 320)],
        "branch7x7x3": [(1, 1, 192), (1, 7, 192), (7, 1, 192), (3, 3, 192)],
    },
    "Mixed_7b": BLOCK_8,
    "Mixed_7c": BLOCK_8,
}


class Convolution(NamedTuple):
    name: str  # in the PyTorch files
    node: str  # in TensorFlow's graph
    shape: tuple  # of the kernel: height, width, channels in, channels out


def _numbered(name, index):
    return f"{name}_{index}" if index else name


def _plan():
    """The stem's `Convolution`s, and block -> branch -> its stages, each a list of one `Convolution` or two."""
    stem, plan, channels = [], {}, 3
    for index, (name, (height, width, out)) in enumerate(STEM.items()):
        stem.append(Convolution(name, _numbered("conv", index), (height, width, channels, out)))
        channels = out
    for index, (block, branches) in enumerate(BLOCKS.items()):
        plan[block], towers, total = {}, 0, 0
        for branch, chain in branches.items():
            place, inputs, stages = _numbered("mixed", index) + "/", channels, []
            if len(chain) > 1 or branch == "branch_pool":  # the graph's towers
                place, towers = place + _numbered("tower", towers) + "/", towers + 1
            for step, stage in enumerate(chain):
                fork = isinstance(stage, list)
                name = f"{block}.{branch}" + (f"_{step + 1}" if len(chain) > 1 else "")
                stages.append(
                    [
                        Convolution(
                            name + "ab"[side] * fork,
                            place
                            + (_numbered("mixed/conv", side) if fork else _numbered("conv", step)),
                            (height, width, inputs, out),
                        )
                        for side, (height, width, out) in enumerate(stage if fork else [stage])
                    ]
                )
                inputs = stages[-1][0].shape[-1]
            total += sum(convolution.shape[-1] for convolution in stages[-1])
            plan[block][branch] = stages
        channels = total if "branch_pool" in branches else total + channels
    return stem, plan


def _tensors():
    """name in the PyTorch files -> (name in the graph, shape in PyTorch, axes of the graph's tensor in its order)."""
    stem, plan = _plan()
    found = {}
    for conv in [
        *stem,
        *(
            conv
            for b in plan.values()
            for stages in b.values()
            for stage in stages
            for conv in stage
        ),
    ]:
        height, width, inputs, out = conv.shape
        found[conv.name + ".conv.weight"] = (
            conv.node + "/conv2d_params",
            (out, inputs, height, width),
            (3, 2, 0, 1),
        )
        for name, node in (
            ("weight", "gamma"),
            ("bias", "beta"),
            ("running_mean", "moving_mean"),
            ("running_var", "moving_variance"),
        ):
            found[f"{conv.name}.bn.{name}"] = f"{conv.node}/batchnorm/{node}", (out,), (0,)
    found["fc.weight"] = "softmax/weights", (CLASSES, 2048), (1, 0)
    return found


TENSORS = _tensors()


class Resize(keras.layers.Layer):
    """Images [B, H, W, C] of any size -> float32 [B, size, size, C], by TensorFlow 1's bilinear interpolation.

    Pixel i is taken at i * H / size, with no half-pixel centers and no antialiasing: the same bits as
    `tf.compat.v1.image.resize_bilinear`, and nobody else's resize.
    """

    def __init__(self, size=SIZE, **layer):
        super().__init__(dtype="float32", **layer)
        self.size = size

    def call(self, images):
        return self._along(1, self._along(2, ops.cast(images, "float32")))

    def _along(self, axis, images):
        length = ops.shape(images)[axis]
        # In double precision: TensorFlow's graphs multiply by 1 / size, which would change the last bits of a float32.
        place = ops.arange(self.size, dtype="float32") * ops.cast(length / self.size, "float32")
        low = ops.floor(place)
        share = ops.reshape(place - low, (-1, 1, 1) if axis == 1 else (-1, 1))
        low = ops.cast(low, "int32")
        before, after = (
            ops.take(images, i, axis=axis) for i in (low, ops.minimum(low + 1, length - 1))
        )
        return before + (after - before) * share

    def compute_output_shape(self, shape):
        return (shape[0], self.size, self.size, shape[-1])


def build_inception():
    """The network with zeros for weights, and which weights go where.

    Returns:
        A functional model of uint8 [B, H, W, 3] -> features [B, 2048], the input of the last layer, and logits
        [B, 1008], without bias; and a list of pairs of a layer and the names of those that it is made of.
    """
    stem, plan = _plan()
    made = []

    def conv(x, convolutions, strides=1, padding="same", activation="relu"):
        channels = sum(convolution.shape[-1] for convolution in convolutions)
        layer = keras.layers.Conv2D(
            channels,
            convolutions[0].shape[:2],
            strides,
            padding,
            "channels_last",
            activation=activation,
            kernel_initializer="zeros",
            dtype="float32",
        )
        made.append((layer, [convolution.name for convolution in convolutions]))
        return layer(x)

    def pool(kind, x, strides, padding):
        return kind(x, 3, strides, padding, data_format="channels_last")

    def mixed(x, branches, last):
        stages = {
            branch: [*stages] for branch, stages in branches.items()
        }  # those that are still to come
        pooled = stages.pop("branch_pool", None)
        heads = {branch: s[0][0] for branch, s in stages.items() if s[0][0].shape[:2] == (1, 1)}
        joint, start = conv(x, [*heads.values()]), 0
        parts, out = dict.fromkeys(stages, x), []
        for branch, head in heads.items():
            parts[branch] = joint[..., start : start + head.shape[-1]]
            start += head.shape[-1]
        for branch, part in parts.items():
            left = stages[branch][branch in heads :]
            for stage in left:
                halves = pooled is None and stage is left[-1]
                place = (2, "valid") if halves else (1, "same")
                results = [conv(part, [convolution], *place) for convolution in stage]
                part = results[0]
            out += results if left else [part]
        if pooled is None:
            out.append(pool(ops.max_pool, x, 2, "valid"))
        elif last:
            out.append(conv(pool(ops.max_pool, x, 1, "same"), pooled[0]))
        else:
            out.append(
                ops.relu(pool(ops.average_pool, conv(x, pooled[0], activation=None), 1, "same"))
            )
        return ops.concatenate(out, axis=-1)

    images = keras.Input((None, None, 3), dtype="uint8")
    x = (Resize()(images) - 128) / 128
    for convolution in stem:
        x = conv(x, [convolution], *STEM_PLACES.get(convolution.name, (1, "valid")))
        if convolution.name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
            x = pool(ops.max_pool, x, 2, "valid")
    for block, branches in plan.items():
        x = mixed(x, branches, last=block == "Mixed_7c")
    features = ops.mean(x, axis=(1, 2))
    layer = keras.layers.Dense(CLASSES, use_bias=False, kernel_initializer="zeros", dtype="float32")
    made.append((layer, ["fc"]))
    return keras.Model(images, [features, layer(features)]), made


# === Its weights ===


def read_weights(path):
    """The weights in a file: TensorFlow's .pb or .tgz, PyTorch's .pth, or an .h5 that `convert` wrote.

    Returns:
        A dictionary of arrays with the names and layouts of the PyTorch files, checked; and the SHA-256 of the file (in
        an .h5, of the file that it was made from).

    Raises:
        FileNotFoundError: no such file.
        ImportError: TensorFlow's graph is only read where TensorFlow is installed.
        ValueError: the file is cut, malicious, or of another network.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Inception's weights must be in a file; there is none at {path}")
    content = path.read_bytes()
    if content.startswith(b"\x89HDF"):
        return _read_h5(path)
    if content.startswith((b"PK", LEGACY)):
        weights = load_torch_file(path)
    elif content.startswith((b"\x1f\x8b", b"\n")):  # gzip; the first field of a protocol buffer
        weights = _read_graph(path, content)
    else:
        raise ValueError(
            f"Inception's weights must be a .pb or .tgz of TensorFlow, a .pth of PyTorch or an .h5 of kerasgan; "
            f"{path} ({len(content):,} bytes) is none of them"
        )
    return _checked(weights, path), hashlib.sha256(content).hexdigest()


def _checked(weights, path):
    """`weights` as float32 in the order of `TENSORS`, without the bias of the logits and the counts of batches."""
    if not isinstance(weights, dict):
        raise ValueError(
            f"{path} must hold a dictionary of tensors; received a {type(weights).__name__}"
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
            f"{rule}; {len(missing)} of its {len(TENSORS)} tensors are missing, such as {missing[0]}"
        )
    if extra:
        raise ValueError(
            f"{rule}; it holds {len(extra)} tensors of something else, such as {extra[0]}"
        )
    if wrong:
        received, shape = list(np.shape(weights[wrong[0]])), list(TENSORS[wrong[0]][1])
        raise ValueError(f"{rule}, where {wrong[0]} is {shape}; received {received}")
    with reading(path, f"{path} must hold the network {NETWORK}"):
        weights = {name: np.asarray(weights[name], "float32") for name in TENSORS}
    for name, array in weights.items():
        if not np.isfinite(array).all() or (name.endswith("running_var") and array.min() < 0):
            raise ValueError(f"{rule}; its {name} holds numbers that no trained network has")
    return weights


def _read_graph(path, content):
    try:
        import tensorflow as tf
    except ImportError:
        raise ImportError(
            f"{path} is only read where tensorflow is installed; {next(iter(FILES))} holds the same weights"
        ) from None
    nodes = {node: (name, axes) for name, (node, _, axes) in TENSORS.items()}
    weights = {}
    rule = (
        "{path} must be a whole graph of TensorFlow, or a .tgz with "
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
                # Of 8 bytes at most; TensorFlow fills what is claimed.
                budget.unpack(
                    8 * math.prod(side.size for side in tensor.tensor_shape.dim), node.name
                )
                array = tf.make_ndarray(tensor)
                weights[name] = array.transpose(axes) if array.ndim == len(axes) else array
    return weights


def _read_h5(path):
    with reading(path, "{path} must be a whole file that kerasgan made of Inception's weights"):
        with open_hdf5(path) as file:
            if file.attrs.get("network") != NETWORK:
                raise ValueError("it is another HDF5 file")
            weights = {name: file[name].read() for name in file}
            digest, origin = file.attrs["weights_sha256"], file.attrs["file_sha256"] or None
    weights = _checked(weights, path)
    if fingerprint(weights) != digest:
        raise ValueError(f"{path} is damaged: its weights do not match their checksum")
    return weights, origin


def fingerprint(weights):
    """SHA-256 of the weights themselves, the same whatever file they are in."""
    digest = hashlib.sha256()
    for name in TENSORS:
        digest.update(np.ascontiguousarray(weights[name], "<f4"))
    return digest.hexdigest()


def random_weights(seed=0):
    """Weights of He's variances, for tests and timing: scores that are made with them mean nothing."""
    random = np.random.Generator(np.random.PCG64(seed))
    weights = {}
    for name, (_, shape, _) in TENSORS.items():
        array = random.random(shape, "float32") * 2 - 1
        if len(shape) == 1:  # of batch norm
            weights[name] = array / 4 + name.endswith(("weight", "var"))
        else:
            weights[name] = array * np.float32(np.sqrt(6 / np.prod(shape[1:])))
    return weights


def home():
    """The folder where weights are looked for and downloaded to: $KERAS_HOME/kerasgan, or ~/.keras/kerasgan."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "kerasgan"


def find_weights(timeout=8):
    """The file of the weights in `home()`, downloaded if there is none.

    Args:
        timeout: seconds that the network has to answer.

    Raises:
        FileNotFoundError: there is none and no way to download it: what to get, where, and where to put it.
        ValueError: what was downloaded is another file; it is deleted.
    """
    folder = home()
    for name in (CONVERTED, *FILES, GRAPH):
        if (folder / name).is_file():
            return folder / name
    name, place = next(iter(FILES.items()))
    try:
        urllib.request.urlopen(
            place + name, timeout=timeout
        ).close()  # Keras' download would wait much longer
        files.make_folder(folder)
        path = Path(
            keras.utils.get_file(
                name, place + name, cache_dir=str(folder.parent), cache_subdir=folder.name
            )
        )
    except Exception as error:  # Keras raises plain Exceptions
        raise FileNotFoundError(
            f"IS, FID and KID need the weights of {NETWORK} (91 MiB), and they cannot be downloaded "
            f"({' '.join(str(error).split())}): get one of {', '.join(place + name for name, place in FILES.items())}, "
            f"and name it (weights= in Python, --inception= or --weights= in a shell) or put it into {folder}"
        ) from None
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if not found.startswith(SHA256):
        path.unlink()
        raise ValueError(
            f"the SHA-256 of {name} must begin with {SHA256}; received {found} from {place}"
        )
    return path


def convert(weights=None, path=None):
    """Write the weights to an .h5 of our own, which every backend reads without TensorFlow and torch.

    Args:
        weights: as `Inception` takes them.
        path: where to; None is where `Inception()` finds it.

    Returns:
        The path, and the SHA-256 of the file that was read.
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
    """Extractor of the features of FID and KID and the logits of IS.

    Args:
        weights: a file that `read_weights` reads; a dictionary such as `random_weights()`; None finds or downloads the
            published ones, see `find_weights`.

    Attributes:
        protocol: dictionary that JSON can hold: network, SHA-256 of the weights (whatever file they came in), resize,
            features and logits.
        file_sha256: of the file; None for a dictionary.
    """

    def __init__(self, weights=None):
        arrays, self.file_sha256 = _arrays(weights)
        self._weights = weights
        self.network, made = build_inception()
        for layer, names in made:
            layer.set_weights(
                [arrays["fc.weight"].T] if names == ["fc"] else _folded(arrays, names)
            )
        self.network.jit_compile = (
            keras.backend.backend() == "jax"
        )  # TensorFlow's XLA is the slower one on a CPU
        self._batch = 0
        self.protocol = {
            "network": NETWORK,
            "weights_sha256": fingerprint(arrays),
            "resize": f"tf1 bilinear, {SIZE}",
            "features": "pool_3, 2048",
            "logits": f"{CLASSES}, without bias",
        }

    def __call__(self, images):
        """Features and logits of a batch of images.

        Args:
            images: uint8 [B, H, W, 3], RGB, of any size. A batch is filled up to a power of two or the largest so far,
                so that the network is compiled for few shapes; memory grows with B.

        Returns:
            float32 numpy arrays [B, 2048] and [B, 1008].
        """
        images = np.asarray(images)
        if images.dtype != "uint8" or images.ndim != 4 or images.shape[-1] != 3 or not images.size:
            raise ValueError(
                f"images must be uint8 [B, H, W, 3]; received {images.dtype} {list(images.shape)}"
            )
        count = len(images)
        self._batch = max(self._batch, count)
        features, logits = self.network.predict_on_batch(filled(images, self._batch))
        return features[:count], logits[:count]

    def save(self, path):
        """Write the weights to an .h5, see `convert`."""
        convert(self._weights, path)


def _arrays(weights):
    """What `Inception` takes -> the arrays, and the SHA-256 of their file, if they are of one."""
    if isinstance(weights, dict):
        return _checked(weights, "weights"), None
    return read_weights(weights or find_weights())


def _folded(weights, names):
    """Kernel [H, W, in, out] and bias of the convolutions `names` side by side, with their batch norms in them."""
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
