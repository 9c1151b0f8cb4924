"""Perceptual distances between images, computed from features of a trained network.

`LPIPS` is version 0.1 of the paper's metric, equation 1: features of AlexNet or VGG16, normalized
at each pixel, and their squared differences with weights fitted to human similarity ratings. All
its weights come from the user's files. `ClassifierDistance` does the same without weights, with the
features of any Keras classifier, where these files are not available. It ignores differences that
the classifier ignores, and its values are not LPIPS.

Differences from the authors' code (the package lpips 0.1.4):

- Images with a side under 32 pixels are enlarged to 32, the smallest size for which AlexNet has
  features. The package fails for sides under 31.
- The gradient at a pixel whose features are all 0 is 0 instead of NaN.

Reference:
    Zhang, Isola, Efros, Shechtman and Wang, 2018, "The Unreasonable Effectiveness of Deep Features
    as a Perceptual Metric", https://arxiv.org/abs/1801.03924
"""

import hashlib
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kerasgan.datasets.torch_file import load_torch_file
from kerasgan.io.arrays import load_npz
from kerasgan.io.limits import check_stored
from kerasgan.io.pickle_values import make_array
from kerasgan.io.reading import parse_json, reading
from kerasgan.types import Shape, Tensor

Weights = str | Path | dict[str, np.ndarray]

# The five stages whose outputs are the features: size of the max pooling before the stage (stride
# 2; 0 is none), kernel size and channels of its convolutions, and their indices in torchvision's
# `features`.
NETWORKS: dict[str, list[tuple[int, int, int, list[int]]]] = {
    "alex": [
        (0, 11, 64, [0]),
        (3, 5, 192, [3]),
        (3, 3, 384, [6]),
        (0, 3, 256, [8]),
        (0, 3, 256, [10]),
    ],
    "vgg": [
        (0, 3, 64, [0, 2]),
        (2, 3, 128, [5, 7]),
        (2, 3, 256, [10, 12, 14]),
        (2, 3, 512, [17, 19, 21]),
        (2, 3, 512, [24, 26, 28]),
    ],
}
# Names of the tensors in the files of torchvision and lpips, and their prefixes in this module.
NAMES = {
    r"(?:features|net\.slice\d)\.(\d+\.(?:weight|bias))": "features.",
    r"(?:lin|lins\.)(\d)\.model\.\d\.weight": "lin",
}
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # Per channel, for RGB in [-1, 1].
SMALLEST = 32  # Smallest side of an image in pixels.
# First digits of the SHA-256 of the linear weights of version 0.1.
PUBLISHED = {"alex": "718a8b40", "vgg": "9153a204"}


def unit(features: Tensor, epsilon: float) -> Tensor:
    """Divides the features `[N, H, W, C]` of each pixel by the root of (their sum of squares +
    `epsilon`).
    """
    features = ops.cast(features, "float32")
    return features * ops.rsqrt(ops.sum(ops.square(features), axis=-1, keepdims=True) + epsilon)


def _check_pair(x: Tensor, y: Tensor) -> None:
    ranks = {len(x.shape), len(y.shape)}
    if ranks != {4} or any(
        a != b and None not in (a, b) for a, b in zip(x.shape, y.shape, strict=False)
    ):
        raise ValueError(
            f"x and y must be images [N, H, W, C] of equal shape; received {list(x.shape)} and "
            f"{list(y.shape)}"
        )


# === LPIPS ===


@keras.saving.register_keras_serializable("kerasgan")
class LPIPS:
    """Learned perceptual image patch similarity (LPIPS), a distance between two batches of images.

    `lpips(x, y)` takes images `[N, H, W, 3 or 1]`, float in [-1, 1], and returns distances `[N]`.
    Equal images have the distance 0.

    The configuration contains the paths of the weights, not the weights. An object that is loaded
    on a machine without these files can be saved again; calling it raises `FileNotFoundError`.

    Args:
        backbone_weights: File with torchvision's ImageNet weights of the network: `.pth` (read
            without PyTorch), `.npz` or `.safetensors`; or a dict of arrays with the same names. The
            weights of `keras.applications.VGG16` are different ones.
        linear_weights: File or dict with the linear weights, `weights/v0.1/<net>.pth` of the
            package lpips. `None` uses the backbone's file if it contains a whole `lpips.LPIPS`, and
            otherwise the installed package lpips.
        net: `"alex"` or `"vgg"`.

    Attributes:
        protocol: JSON-serializable dict with the version (`"LPIPS 0.1"` only with the published
            linear weights), the network, and the SHA-256 of the weights of the backbone and of the
            linear weights.

    Raises:
        FileNotFoundError: If a file does not exist, or no linear weights are found.
        ValueError: If a file is damaged or belongs to another network.
    """

    def __init__(
        self,
        backbone_weights: Weights,
        linear_weights: Weights | None = None,
        net: str = "alex",
    ):
        if net not in NETWORKS:
            raise ValueError(f"net must be one of {', '.join(NETWORKS)}; received {net!r}")
        self.net, self._sources = net, (backbone_weights, linear_weights)
        self._missing: str | None = None  # Message about a missing file.
        backbone_shapes, linear_shapes = _shapes(net)
        arrays = _read(backbone_weights)
        if linear_weights is None and "lin0" not in arrays:
            linear_weights = _of_package(net)
        backbone = _checked("backbone_weights", f"torchvision's {net}", backbone_shapes, arrays)
        arrays = arrays if linear_weights is None else _read(linear_weights)
        linear = _checked("linear_weights", f"LPIPS' for {net}", linear_shapes, arrays)
        self._linear = [ops.convert_to_tensor(array.reshape(-1)) for array in linear.values()]
        self._backbone = _build(net, backbone)
        hashes = {"backbone_sha256": _fingerprint(backbone), "linear_sha256": _fingerprint(linear)}
        known = hashes["linear_sha256"].startswith(PUBLISHED[net])
        self.protocol = {
            "distance": f"LPIPS {'0.1' if known else 'of other linear weights'}",
            "net": net,
        } | hashes

    def get_config(self) -> dict[str, Any]:
        if any(isinstance(source, dict) for source in self._sources):
            raise ValueError(
                "LPIPS saves the paths of its weights, so they must be files; received arrays"
            )
        paths = [None if source is None else str(source) for source in self._sources]
        return {"backbone_weights": paths[0], "linear_weights": paths[1], "net": self.net}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LPIPS":
        try:
            return cls(**config)
        except FileNotFoundError as error:
            incomplete = cls.__new__(cls)
            incomplete.net = config["net"]
            incomplete._sources = config["backbone_weights"], config["linear_weights"]
            incomplete._missing = str(error)
            return incomplete

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        _check_pair(x, y)
        pairs = zip(self.features(x), self.features(y), self._linear, strict=True)
        return sum(
            ops.mean(ops.sum(ops.square(a - b) * weights, axis=-1), axis=(1, 2))
            for a, b, weights in pairs
        )

    def features(self, images: Tensor) -> list[Tensor]:
        """Computes five normalized feature maps of images.

        Args:
            images: Images `[N, H, W, 3 or 1]`, float in [-1, 1].

        Returns:
            List of five maps `[N, H', W', C]`. The features of each pixel have the L2 norm 1.
        """
        if self._missing:
            raise FileNotFoundError(self._missing)
        if images.shape[-1] not in (1, 3):
            raise ValueError(f"images must have 1 or 3 channels; received {list(images.shape)}")
        images = ops.cast(images, "float32")
        if images.shape[-1] == 1:
            images = ops.repeat(images, 3, axis=-1)
        sides = tuple(max(side, SMALLEST) for side in images.shape[1:3])
        if sides != tuple(images.shape[1:3]):
            images = ops.image.resize(images, sides, "bilinear", data_format="channels_last")
        images = (images - ops.convert_to_tensor(SHIFT)) / ops.convert_to_tensor(SCALE)
        return [unit(maps, 1e-20) for maps in self._backbone(images, training=False)]


def _shapes(net: str) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Returns the names and shapes, in PyTorch's layout, of a network's tensors and of the linear
    weights.
    """
    backbone: dict[str, Shape] = {}
    linear: dict[str, Shape] = {}
    before = 3
    for stage, (_, kernel, channels, numbers) in enumerate(NETWORKS[net]):
        for number in numbers:
            backbone |= {f"features.{number}.weight": (channels, before, kernel, kernel)}
            backbone |= {f"features.{number}.bias": (channels,)}
            before = channels
        linear[f"lin{stage}"] = (1, channels, 1, 1)
    return backbone, linear


def _build(net: str, weights: dict[str, np.ndarray]) -> keras.Model:
    """Builds the frozen network from scaled images `[N, H, W, 3]` to the last map of each stage."""
    images = x = keras.Input((None, None, 3), dtype="float32")
    made: dict[int, keras.Layer] = {}
    maps = []
    place: dict[str, Any] = {"data_format": "channels_last", "dtype": "float32"}
    for pooling, kernel, channels, numbers in NETWORKS[net]:
        if pooling:
            x = layers.MaxPooling2D(pooling, 2, **place)(x)
        for number in numbers:
            strided = kernel == 11
            if strided:
                # Padding "same" is not symmetric here.
                x = layers.ZeroPadding2D(2, **place)(x)
            strides, padding = (4, "valid") if strided else (1, "same")
            made[number] = layers.Conv2D(
                channels,
                kernel,
                strides,
                padding,
                activation="relu",
                kernel_initializer="zeros",
                **place,
            )
            x = made[number](x)
        maps.append(x)
    for number, layer in made.items():
        weight, bias = (weights[f"features.{number}.{part}"] for part in ("weight", "bias"))
        layer.set_weights([weight.transpose(2, 3, 1, 0), bias])
    network = keras.Model(images, maps, name=net)
    network.trainable = False
    return network


def _of_package(net: str) -> Path:
    """Returns the path of the linear weights in the installed package lpips."""
    package = importlib.util.find_spec("lpips")
    if package is None or not package.submodule_search_locations:
        raise FileNotFoundError(
            "LPIPS needs linear weights in addition to the backbone's: pass linear_weights= (the "
            f"file weights/v0.1/{net}.pth of the package lpips), or install the package: pip "
            "install --no-deps lpips"
        )
    return Path(package.submodule_search_locations[0]) / "weights" / "v0.1" / f"{net}.pth"


def _read(source: Weights) -> dict[str, np.ndarray]:
    """Reads the arrays that LPIPS uses from a file or dict, under the names of this module."""
    arrays = source if isinstance(source, dict) else read_arrays(source)
    if not isinstance(arrays, dict):
        raise ValueError(
            f"{source} must hold a dictionary of tensors; received a {type(arrays).__name__}"
        )
    found = {}
    for name, array in arrays.items():
        for pattern, prefix in NAMES.items():
            match = re.fullmatch(pattern, str(name))
            if match:
                found[prefix + match[1]] = array
    return found


def read_arrays(path: str | Path) -> Any:
    """Reads named arrays from a file.

    Args:
        path: `.npz` or `.safetensors` file. Any other suffix is read as a file of `torch.save`.

    Returns:
        Dict from name to array.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is truncated, malicious or of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file with weights of LPIPS")
    readers = {".npz": load_npz, ".safetensors": _read_safetensors}
    if path.suffix not in readers:
        return load_torch_file(path)
    with reading(path, f"the weights of LPIPS must be a complete {path.suffix} file"):
        return readers[path.suffix](path)


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads a safetensors file (https://github.com/huggingface/safetensors).

    The first eight bytes are the length of a JSON header. The header and the bytes of the tensors
    follow.
    """
    content = path.read_bytes()
    start, arrays, left = 8 + int.from_bytes(content[:8], "little"), {}, len(content)
    for name, tensor in parse_json(content[8:start]).items():
        if name != "__metadata__":
            dtype = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[tensor["dtype"]]
            first, end = (start + offset for offset in tensor["data_offsets"])
            check_stored(end - first, left, name)  # Tensors cannot share bytes.
            left -= end - first
            arrays[name] = make_array(content[first:end], np.dtype(dtype), tuple(tensor["shape"]))
    return arrays


def _checked(
    argument: str, network: str, shapes: dict[str, Shape], arrays: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns the arrays named in `shapes` as float32, in its order, after checking them."""
    rule = f"{argument} must be {network}"
    missing = [name for name in shapes if name not in arrays]
    if missing:
        raise ValueError(
            f"{rule}; {len(missing)} of its {len(shapes)} tensors are missing, such as {missing[0]}"
        )
    for name, shape in shapes.items():
        if np.shape(arrays[name]) != shape:
            raise ValueError(
                f"{rule}, where {name} is {list(shape)}; received {list(np.shape(arrays[name]))}"
            )
        if not np.isfinite(arrays[name]).all() or (
            name.startswith("lin") and np.min(arrays[name]) < 0
        ):
            raise ValueError(f"{rule}; received non-finite or negative values in {name}")
    return {name: np.asarray(arrays[name], "float32") for name in shapes}


def _fingerprint(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(np.asarray(array, "<f4").tobytes())
    return digest.hexdigest()


# === Distance in the features of a classifier ===


@keras.saving.register_keras_serializable("kerasgan")
class ClassifierDistance(keras.layers.Layer):
    """Perceptual distance between two batches of images, in the features of a classifier.

    `distance(x, y)` takes images `[N, H, W, C]` in the classifier's input format and returns
    distances `[N]` in [0, 4]. Equal images have the distance 0. The features of each pixel are
    normalized to length 1. The squared distances of the features are averaged over the pixels of a
    map and over the maps.

    The classifier runs in inference mode. The layer does not change whether its variables are
    trainable.

    Args:
        classifier: Built functional or sequential model with one input.
        layers: Names of the layers whose maps are compared. `None` selects the last layer of each
            map size from the first convolution on, which are the ends of the convolution blocks,
            and keeps the deepest five. A nested model counts as one layer.
        **arguments: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If the classifier has no maps, or a name is not one of its layers with a map as
            output.
    """

    def __init__(
        self, classifier: keras.Model, layers: Sequence[str] | None = None, **arguments: Any
    ):
        super().__init__(**arguments)
        if (
            not isinstance(classifier, keras.Model)
            or len(getattr(classifier, "inputs", None) or []) != 1
        ):
            raise ValueError(
                "classifier must be a built functional or sequential model of one input; "
                f"received {classifier!r}"
            )
        self.classifier = classifier
        self.maps = tuple(_block_ends(classifier) if layers is None else layers)
        known = {layer.name: layer for layer in classifier.layers}
        for name in self.maps:
            if name not in known or len(_map_of(known[name]).shape) != 4:
                raise ValueError(
                    "layers must name layers of the classifier with maps [N, H, W, C] as outputs; "
                    f"received {name!r}"
                )
        if not self.maps:
            raise ValueError(
                "classifier must have layers with maps [N, H, W, C] larger than 1 x 1, of "
                f"static size; received {classifier.name!r} without such layers"
            )
        self.features = keras.Model(
            classifier.inputs[0], [_map_of(known[name]) for name in self.maps]
        )
        self.built = True

    def call(self, x: Tensor, y: Tensor) -> Tensor:
        _check_pair(x, y)
        maps = zip(
            *(keras.tree.flatten(self.features(images, training=False)) for images in (x, y)),
            strict=True,
        )
        # While biases are 0, all features of a pixel may be 0; a smaller epsilon would make its
        # gradient huge. Each distance is [N, H', W'].
        distances = [ops.sum(ops.square(unit(a, 1e-6) - unit(b, 1e-6)), axis=-1) for a, b in maps]
        return sum(ops.mean(distance, axis=(1, 2)) for distance in distances) / len(distances)

    def compute_output_shape(self, x_shape: Shape, y_shape: Shape) -> Shape:
        return (x_shape[0],)

    def get_config(self) -> dict[str, Any]:
        classifier = keras.saving.serialize_keras_object(self.classifier)
        return super().get_config() | {"classifier": classifier, "layers": list(self.maps)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ClassifierDistance":
        return cls(
            **config | {"classifier": keras.saving.deserialize_keras_object(config["classifier"])}
        )


def _map_of(layer: keras.Layer) -> Tensor:
    return keras.tree.flatten(layer.output)[0]


def _block_ends(classifier: keras.Model) -> list[str]:
    """Returns the names of the last layer of each map size, from the first layer with weights on.

    Maps of 1 x 1 pixel are not included.
    """
    ends: dict[Shape, str] = {}
    learned: set[Shape] = set()
    for layer in classifier.layers:
        shape = _map_of(layer).shape
        if len(shape) != 4 or None in shape[1:3] or max(shape[1:3]) == 1:
            continue
        if layer.weights and not isinstance(layer, keras.layers.Normalization):
            learned.add(shape[1:3])
        if shape[1:3] in learned:
            ends[shape[1:3]] = layer.name
    return list(ends.values())[-5:]
