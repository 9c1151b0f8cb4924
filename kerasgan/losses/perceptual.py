"""Perceptual distances of images, in the features of a network that has learned to see.

`LPIPS` is version 0.1 of Zhang, Isola, Efros, Shechtman and Wang, The Unreasonable Effectiveness of
Deep Features as a Perceptual Metric (arXiv 1801.03924), equation 1: features of AlexNet or VGG16,
each pixel's of length 1, and their squared differences, weighted by what was fitted to people's
judgements. All its weights come from the user's files. `ClassifierDistance` does the same with the
features of any Keras classifier, unweighted, where there are no such files. It is blind to what the
classifier is blind to, and its numbers are not LPIPS.

Differences from the paper's code (the package lpips 0.1.4):

- sides under 32 pixels are enlarged to 32, for which AlexNet has features (there, images under 31
  fail);
- a pixel whose features are all 0 has no gradient (there, NaN).
"""

import hashlib
import importlib.util
import re
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from kerasgan.datasets.torch_file import load_torch_file
from kerasgan.io.arrays import load_npz
from kerasgan.io.limits import check_stored
from kerasgan.io.pickle_reader import make_array
from kerasgan.io.reading import parse_json, reading

# Five stages that end in features: size of the max pooling before it (stride 2; 0 is none), kernel
# size and channels of its convolutions, and their numbers in torchvision's `features`.
NETWORKS = {
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
# Names of the tensors in torchvision's files and lpips' -> here.
NAMES = {
    r"(?:features|net\.slice\d)\.(\d+\.(?:weight|bias))": "features.",
    r"(?:lin|lins\.)(\d)\.model\.\d\.weight": "lin",
}
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of colours in [-1, 1]
SMALLEST = 32
PUBLISHED = {
    "alex": "718a8b40",
    "vgg": "9153a204",
}  # how the SHA-256 of version 0.1's linear weights begins


def unit(features, epsilon):
    """Features [N, H, W, C] with each pixel's divided by the root of the sum of their squares and
    `epsilon`.
    """
    features = ops.cast(features, "float32")
    return features * ops.rsqrt(ops.sum(ops.square(features), axis=-1, keepdims=True) + epsilon)


def _check_pair(x, y):
    ranks = {len(x.shape), len(y.shape)}
    if ranks != {4} or any(
        a != b and None not in (a, b) for a, b in zip(x.shape, y.shape, strict=False)
    ):
        raise ValueError(
            f"x and y must be images [N, H, W, C] of one shape; received {list(x.shape)} and "
            f"{list(y.shape)}"
        )


# === LPIPS ===


@keras.saving.register_keras_serializable("kerasgan")
class LPIPS:
    """Callable: images x and y [N, H, W, 3 or 1], float in [-1, 1] -> distances [N], 0 for equal
    images.

    Args:
        backbone_weights: a file with torchvision's weights of the network, trained on ImageNet:
            .pth (read without torch), .npz or .safetensors; or a dictionary of arrays of the same
            names. (Keras' VGG16 is another's.)
        linear_weights: likewise, what the package lpips has in `weights/v0.1/<net>.pth`. None: the
            backbone's file if it is of a whole `lpips.LPIPS`, otherwise the package, where it is
            installed.
        net: "alex" or "vgg".

    Attributes:
        protocol: dictionary that JSON can hold: version ("LPIPS 0.1" with the published linear
            weights alone), network, SHA-256 of its weights and of the linear ones.

    Its configuration holds the paths. Made from one on a machine without the files it can be kept
    and saved, and says what is missing when it is called.

    Raises:
        FileNotFoundError: no such file, or no linear weights.
        ValueError: a file that is damaged or of another network.
    """

    def __init__(self, backbone_weights, linear_weights=None, net="alex"):
        if net not in NETWORKS:
            raise ValueError(f"net must be one of {', '.join(NETWORKS)}; received {net!r}")
        self.net, self._sources, self._missing = net, (backbone_weights, linear_weights), None
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

    def get_config(self):
        if any(isinstance(source, dict) for source in self._sources):
            raise ValueError(
                "weights must be files for LPIPS to be saved (what is saved is paths); received "
                "arrays"
            )
        paths = [None if source is None else str(source) for source in self._sources]
        return {"backbone_weights": paths[0], "linear_weights": paths[1], "net": self.net}

    @classmethod
    def from_config(cls, config):
        try:
            return cls(**config)
        except FileNotFoundError as error:
            waiting = cls.__new__(cls)
            waiting.net, waiting._sources = (
                config["net"],
                (config["backbone_weights"], config["linear_weights"]),
            )
            waiting._missing = str(error)
            return waiting

    def __call__(self, x, y):
        _check_pair(x, y)
        pairs = zip(self.features(x), self.features(y), self._linear, strict=True)
        return sum(
            ops.mean(ops.sum(ops.square(a - b) * weights, axis=-1), axis=(1, 2))
            for a, b, weights in pairs
        )

    def features(self, images):
        """Images [N, H, W, 3 or 1] -> five maps [N, H', W', C], each pixel of length 1."""
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


def _shapes(net):
    """Names and shapes of a network's tensors, as PyTorch has them; and of the linear weights."""
    backbone, linear, before = {}, {}, 3
    for stage, (_, kernel, channels, numbers) in enumerate(NETWORKS[net]):
        for number in numbers:
            backbone |= {f"features.{number}.weight": (channels, before, kernel, kernel)}
            backbone |= {f"features.{number}.bias": (channels,)}
            before = channels
        linear[f"lin{stage}"] = (1, channels, 1, 1)
    return backbone, linear


def _build(net, weights):
    """Images [N, H, W, 3], scaled -> the maps at the end of each stage; frozen."""
    images = x = keras.Input((None, None, 3), dtype="float32")
    made, maps = {}, []
    place = {"data_format": "channels_last", "dtype": "float32"}
    for pooling, kernel, channels, numbers in NETWORKS[net]:
        if pooling:
            x = layers.MaxPooling2D(pooling, 2, **place)(x)
        for number in numbers:
            strided = kernel == 11
            if strided:
                x = layers.ZeroPadding2D(2, **place)(
                    x
                )  # "same" would put none before and more behind
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
        kernel, bias = (weights[f"features.{number}.{part}"] for part in ("weight", "bias"))
        layer.set_weights([kernel.transpose(2, 3, 1, 0), bias])
    network = keras.Model(images, maps, name=net)
    network.trainable = False
    return network


def _of_package(net):
    """The linear weights in the installed package lpips."""
    package = importlib.util.find_spec("lpips")
    if package is None:
        raise FileNotFoundError(
            f"LPIPS needs linear weights beside the backbone's: name weights/v0.1/{net}.pth of "
            "the package lpips "
            "(linear_weights=), or install it: pip install --no-deps lpips"
        )
    return Path(package.submodule_search_locations[0]) / "weights" / "v0.1" / f"{net}.pth"


def _read(source):
    """A file's or a dictionary's arrays under our names, without those that LPIPS has no use
    for.
    """
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


def read_arrays(path):
    """The named arrays in a .npz, a .safetensors or, with any other ending, a file of PyTorch's.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is cut short, malicious or none of these.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"LPIPS' weights must be in a file; there is none at {path}")
    readers = {".npz": load_npz, ".safetensors": _read_safetensors}
    if path.suffix not in readers:
        return load_torch_file(path)
    with reading(path, f"LPIPS' weights must be a whole {path.suffix} file"):
        return readers[path.suffix](path)


def _read_safetensors(path):
    """Eight bytes that say how long a JSON header is, the header, and the tensors' bytes
    (https://github.com/huggingface/safetensors)."""
    content = path.read_bytes()
    start, arrays, left = 8 + int.from_bytes(content[:8], "little"), {}, len(content)
    for name, tensor in parse_json(content[8:start]).items():
        if name != "__metadata__":
            dtype = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[tensor["dtype"]]
            first, end = (start + offset for offset in tensor["data_offsets"])
            check_stored(end - first, left, name)  # no two tensors share their bytes
            left -= end - first
            arrays[name] = make_array(content[first:end], np.dtype(dtype), tuple(tensor["shape"]))
    return arrays


def _checked(argument, network, shapes, arrays):
    """Those of `arrays` that `shapes` names, as float32 in its order."""
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
            raise ValueError(f"{rule}; received numbers in {name} that it does not have")
    return {name: np.asarray(arrays[name], "float32") for name in shapes}


def _fingerprint(arrays):
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(np.ascontiguousarray(array, "<f4"))
    return digest.hexdigest()


# === Any classifier ===


@keras.saving.register_keras_serializable("kerasgan")
class ClassifierDistance(keras.layers.Layer):
    """Images x and y as the classifier takes them [N, H, W, C] -> distances [N] in [0, 4], 0 for
    equal ones: squared differences of its features, each pixel's of length 1, as means over a map's
    pixels and over the maps.

    The classifier is used as it is, in inference mode; who owns its variables decides whether they
    train.

    Args:
        classifier: a built functional or sequential model.
        layers: names of the layers whose maps are compared. None: the last of each size, from the
            first convolution on, which are the ends of convolution blocks; five at most, the
            deepest. A model in it counts as one layer.

    Raises:
        ValueError: the classifier shows no maps, or a layer is none of its own or gives none.
    """

    def __init__(self, classifier, layers=None, **arguments):
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
                    "layers must be of the classifier and give maps [N, H, W, C]; received "
                    f"{name!r}"
                )
        if not self.maps:
            raise ValueError(
                "classifier must have maps [N, H, W, C] of known sizes above 1 x 1; received "
                "none of them"
            )
        self.features = keras.Model(
            classifier.inputs[0], [_map_of(known[name]) for name in self.maps]
        )
        self.built = True

    def call(self, x, y):
        _check_pair(x, y)
        maps = zip(
            *(keras.tree.flatten(self.features(images, training=False)) for images in (x, y)),
            strict=True,
        )
        # With untrained biases, 0, a pixel may have no features: a smaller epsilon would blow up
        # its gradient.
        distances = [
            ops.sum(ops.square(unit(a, 1e-6) - unit(b, 1e-6)), axis=-1) for a, b in maps
        ]  # [N, H', W']
        return sum(ops.mean(distance, axis=(1, 2)) for distance in distances) / len(distances)

    def compute_output_shape(self, x_shape, y_shape):
        return (x_shape[0],)

    def get_config(self):
        classifier = keras.saving.serialize_keras_object(self.classifier)
        return super().get_config() | {"classifier": classifier, "layers": list(self.maps)}

    @classmethod
    def from_config(cls, config):
        return cls(
            **config | {"classifier": keras.saving.deserialize_keras_object(config["classifier"])}
        )


def _map_of(layer):
    return keras.tree.flatten(layer.output)[0]


def _block_ends(classifier):
    """Names of the layers with the last map of each size at which there are weights, but for maps
    of one pixel.
    """
    ends, learned = {}, set()
    for layer in classifier.layers:
        shape = _map_of(layer).shape
        if len(shape) != 4 or None in shape[1:3] or max(shape[1:3]) == 1:
            continue
        if layer.weights and not isinstance(layer, keras.layers.Normalization):
            learned.add(shape[1:3])
        if shape[1:3] in learned:
            ends[shape[1:3]] = layer.name
    return list(ends.values())[-5:]
