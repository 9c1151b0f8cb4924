"""Comparison with an independent NumPy implementation from the names in a checkpoint."""

import hashlib
import json

import keras
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from kerasgan.images import from_uint8
from kerasgan.io import checkpoints
from kerasgan.metrics.features import slim_inception
from kerasgan.metrics.features.slim_inception import (
    SlimInception,
    build_slim_inception,
    fold,
    folded,
    resized,
    scopes,
)

AVERAGE = "/ExponentialMovingAverage"
STEM = {
    "conv0": (3, 3, 3, 32),
    "conv1": (3, 3, 32, 32),
    "conv2": (3, 3, 32, 64),
    "conv3": (1, 1, 64, 80),
    "conv4": (3, 3, 80, 192),
}
# Block, input channels, and branches with height x width x filters of each convolution.
MIXED = """
35x35x256a 192 1x1 1x1x64 5x5 1x1x48 5x5x64 3x3dbl 1x1x64 3x3x96 3x3x96 _pool 1x1x32
35x35x288a 256 1x1 1x1x64 5x5 1x1x48 5x5x64 3x3dbl 1x1x64 3x3x96 3x3x96 _pool 1x1x64
35x35x288b 288 1x1 1x1x64 5x5 1x1x48 5x5x64 3x3dbl 1x1x64 3x3x96 3x3x96 _pool 1x1x64
17x17x768a 288 3x3 3x3x384 3x3dbl 1x1x64 3x3x96 3x3x96
17x17x768b 768 1x1 1x1x192 7x7 1x1x128 1x7x128 7x1x192 7x7dbl 1x1x128 7x1x128 1x7x128 7x1x128 1x7x192 _pool 1x1x192
17x17x768c 768 1x1 1x1x192 7x7 1x1x160 1x7x160 7x1x192 7x7dbl 1x1x160 7x1x160 1x7x160 7x1x160 1x7x192 _pool 1x1x192
17x17x768d 768 1x1 1x1x192 7x7 1x1x160 1x7x160 7x1x192 7x7dbl 1x1x160 7x1x160 1x7x160 7x1x160 1x7x192 _pool 1x1x192
17x17x768e 768 1x1 1x1x192 7x7 1x1x192 1x7x192 7x1x192 7x7dbl 1x1x192 7x1x192 1x7x192 7x1x192 1x7x192 _pool 1x1x192
17x17x1280a 768 3x3 1x1x192 3x3x320 7x7x3 1x1x192 1x7x192 7x1x192 3x3x192
8x8x2048a 1280 1x1 1x1x320 3x3 1x1x384 1x3x384 3x1x384 3x3dbl 1x1x448 3x3x384 1x3x384 3x1x384 _pool 1x1x192
8x8x2048b 2048 1x1 1x1x320 3x3 1x1x384 1x3x384 3x1x384 3x3dbl 1x1x448 3x3x384 1x3x384 3x1x384 _pool 1x1x192
"""  # noqa: E501
NORM = ("beta", "moving_mean", "moving_variance")
BRANCHES = (
    "1x1",
    "3x3",
    "5x5",
    "7x7",
    "7x7x3",
    "3x3dbl",
    "7x7dbl",
    "_pool",
)  # In the order of concatenation.
BLOCKS = ["mixed_" + line.split()[0] for line in MIXED.split("\n") if line]


def shapes(columns=51):
    """Variables of a checkpoint of inception/slim: name -> shape."""
    kernels = dict(STEM)
    for line in filter(None, MIXED.split("\n")):
        block, entering, *words = line.split()
        for word in words:
            if word in BRANCHES:
                scope, channels, count = f"mixed_{block}/branch{word}", int(entering), 0
            else:
                height, width, filters = map(int, word.split("x"))
                kernels[f"{scope}/Conv_{count}" if count else f"{scope}/Conv"] = (
                    height,
                    width,
                    channels,
                    filters,
                )
                channels, count = filters, count + 1
    kernels |= {"aux_logits/proj": (1, 1, 768, 128), "aux_logits/Conv": (5, 5, 128, 768)}
    found = {f"{scope}/weights": kernel for scope, kernel in kernels.items()}
    for part in NORM:
        found |= {f"{scope}/BatchNorm/{part}": kernel[3:] for scope, kernel in kernels.items()}
    for scope, features in (("logits/logits", 2048), ("aux_logits/FC", 768)):
        found |= {f"{scope}/weights": (features, columns), f"{scope}/biases": (columns,)}
    return found


def values(shapes, random):
    """Random values with He initialization of kernels."""

    def value(name, shape):
        if name.endswith("weights"):
            return random.standard_normal(shape, "float32") * np.float32(
                np.sqrt(2 / np.prod(shape[:-1]))
            )
        return random.uniform(
            *((0.5, 1.5) if name.endswith("variance") else (-0.2, 0.2)), shape
        ).astype("float32")

    return {name: value(name, shape) for name, shape in shapes.items()}


def windows(x, height, width, same, stride):
    if same:
        x = np.pad(x, ((height // 2,) * 2, (width // 2,) * 2, (0, 0)))
    return sliding_window_view(x, (height, width), axis=(0, 1))[
        ::stride, ::stride
    ]  # [H, W, C, height, width]


def reference(variables, image):
    """Features and logits of an image in float64, with unfolded batch norm."""

    def conv(x, scope, stride=1, same=True):
        kernel = variables[f"{scope}/weights"].astype("float64")
        x = np.tensordot(
            windows(x, *kernel.shape[:2], same, stride), kernel, ([3, 4, 2], [0, 1, 2])
        )
        beta, mean, variance = (variables[f"{scope}/BatchNorm/{part}"] for part in NORM)
        return np.maximum((x - mean) / np.sqrt(variance.astype("float64") + 0.001) + beta, 0)

    def largest(x):
        return windows(x, 3, 3, False, 2).max((3, 4))

    def average(x):  # Excludes the padding.
        return windows(x, 3, 3, True, 1).sum((3, 4)) / windows(np.ones_like(x), 3, 3, True, 1).sum(
            (3, 4)
        )

    x = conv(image.astype("float64"), "conv0", 2, False)
    x = largest(conv(conv(x, "conv1", 1, False), "conv2"))
    x = largest(conv(conv(x, "conv3", 1, False), "conv4", 1, False))
    for block in BLOCKS:
        halves, parts = f"{block}/branch_pool/Conv/weights" not in variables, []
        for branch in BRANCHES[:-1]:
            scopes = [
                f"{block}/branch{branch}/Conv{suffix}" for suffix in ("", "_1", "_2", "_3", "_4")
            ]
            scopes, y = [scope for scope in scopes if f"{scope}/weights" in variables], x
            if not scopes:
                continue
            forked = block.startswith("mixed_8x8") and branch.startswith("3x3")
            for scope in scopes[: len(scopes) - (2 if forked else 1)]:
                y = conv(y, scope)
            if forked:
                parts += [conv(y, scope) for scope in scopes[-2:]]
            else:
                parts.append(conv(y, scopes[-1], *((2, False) if halves else ())))
        x = np.concatenate(
            [*parts, largest(x) if halves else conv(average(x), f"{block}/branch_pool/Conv")],
            axis=2,
        )
    features = x.mean((0, 1))
    return features, features @ variables["logits/logits/weights"] + variables[
        "logits/logits/biases"
    ]


def write(prefix, variables):
    tf = pytest.importorskip("tensorflow")
    tensors = [tf.constant(value) for value in variables.values()]
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(variables),
        shape_and_slices=[""] * len(tensors),
        tensors=tensors,
    )
    return prefix


def off(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module")
def variables():
    return values(shapes(), np.random.default_rng(0))


@pytest.fixture(scope="module")
def averaged(variables, tmp_path_factory):
    """Checkpoint of a training: moving averages, some raw variables, and the step."""
    prefix = tmp_path_factory.mktemp("birds_valid299") / "model.ckpt-5000"
    others = {"conv0/weights": np.zeros((3, 3, 3, 32), "float32"), "global_step": np.int64(5000)}
    others["conv0/weights/RMSProp"] = others["conv0/weights"]
    return write(prefix, {name + AVERAGE: value for name, value in variables.items()} | others)


@pytest.fixture(scope="module")
def extractor(averaged):
    return SlimInception(averaged)


@pytest.fixture(scope="module")
def computed(extractor):
    images = np.random.default_rng(1).integers(0, 256, (1, 80, 64, 3), "uint8")
    return images, *extractor(images)


def test_names_equal_those_of_the_original_graph():
    lines = sorted(f"{name}{AVERAGE}\t{list(shape)}" for name, shape in shapes().items())
    assert len(lines) == 388
    # SHA-256 of sorted lines of name, tab and shape from the original code.
    digest = "65498d4a2310c886d439c3ccf77890449bf858f4489a329bc69f15df7ad006cf"
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == digest


def test_a_checkpoint_agrees_with_an_independent_implementation(variables, computed):
    images, features, logits = computed
    image = Image.fromarray(images[0]).resize((299, 299), Image.Resampling.BILINEAR)
    expected, columns = reference(variables, np.asarray(image) / 127.5 - 1)
    assert features.shape == (1, 2048) and logits.shape == (1, 50)
    assert features.dtype == logits.dtype == np.float32
    assert expected.std() > 0.1 * expected.mean()  # The signal does not vanish.
    assert off(features[0], expected) < 1e-5
    assert off(logits[0], columns[1:]) < 1e-5


def test_the_protocol_names_the_weights(extractor, averaged):
    protocol = extractor.protocol
    data = averaged.with_name(averaged.name + ".data-00000-of-00001")
    assert protocol["sha256"] == hashlib.sha256(data.read_bytes()).hexdigest()
    assert protocol["checkpoint"] == "model.ckpt-5000" and protocol["weights"] == "moving averages"
    assert (
        protocol["classes"] == 50
        and "299 x 299" in protocol["resize"]
        and "slim" in protocol["network"]
    )
    assert json.loads(json.dumps(protocol)) == protocol


def test_the_converted_file_gives_the_same_results(extractor, computed, tmp_path):
    extractor.save(tmp_path / "slim.h5")
    again = SlimInception(tmp_path / "slim.h5")
    assert again.protocol == extractor.protocol
    for one, other in zip(
        again.network.get_weights(), extractor.network.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    images, features, _ = computed
    found, _ = again.network(from_uint8(resized(images, 299)))
    assert off(keras.ops.convert_to_numpy(found), features) < 1e-5


def test_raw_variables_without_moving_averages(tmp_path):
    raw = {name: np.zeros(shape, "float32") for name, shape in shapes(21).items()}
    raw["logits/logits/biases"] = np.arange(21, dtype="float32")
    write(tmp_path / "model.ckpt", raw)
    flowers = SlimInception(tmp_path / "model.ckpt.index")
    assert flowers.protocol["weights"].startswith("raw") and flowers.protocol["classes"] == 20
    np.testing.assert_array_equal(
        flowers.network.get_layer("logits").get_weights()[1], np.arange(1, 21)
    )
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    with open(data, "r+b") as file:
        file.truncate(data.stat().st_size // 2)
    with pytest.raises(
        checkpoints.CheckpointError, match="model.ckpt is damaged or no TensorFlow checkpoint: "
    ):
        SlimInception(tmp_path)  # The only checkpoint in the folder.


def test_checkpoints_of_other_networks(tmp_path):
    names = [name for name in shapes() if name != "conv4/weights"]
    write(tmp_path / "other", {"InceptionV3/Conv2d_1a_3x3/weights": np.zeros(3, "float32")})
    write(tmp_path / "short", {name: np.zeros(1, "float32") for name in names})
    write(tmp_path / "thin", {name: np.zeros(1, "float32") for name in shapes()})
    (tmp_path / "text.index").write_text("nothing")
    (tmp_path / "text.data-00000-of-00001").write_text("nothing")
    classifier = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    checkpoints.save_network(tmp_path / "classifier.h5", classifier, epoch=1)
    rule = "must hold the Inception of inception/slim, 2016"
    for name, message in {
        "other": f"other {rule}; 378 of its 378 variables are missing, for example "
        "conv0/weights/ExponentialMovingAverage",
        "short": f"short {rule}; 1 of its 378 variables are missing, for example conv4/weights",
        "thin": rf"thin {rule}, where conv0/weights is \[3, 3, 3, 32\]; received \[1\]",
        "text": "text is damaged or no TensorFlow checkpoint: ",
        "none": "consists of .*none.index and .data-",
        "": "Expected one checkpoint in .* holds other, short, text, thin",
        "classifier.h5": f"classifier.h5 {rule}; it holds Sequential",
        "none.h5": "must be an existing file; received .*none.h5",
    }.items():
        with pytest.raises(checkpoints.CheckpointError, match=message) as raised:
            SlimInception(tmp_path / name)
        assert "\n" not in str(raised.value)


def test_resize_equals_pillow_on_8_bits():
    columns = np.zeros((1, 2, 2, 3), "uint8")
    columns[:, :, 1] = 101
    np.testing.assert_array_equal(
        resized(columns, 4)[0, 0, :, 0], [0, 25, 76, 101]
    )  # Rounded half pixels.
    stripes = np.tile(
        np.array([0, 200], "uint8")[None, None, :, None], (1, 16, 8, 3)
    )  # [1, 16, 16, 3]
    shrunk = resized(stripes, 8)[0, 4, 2:-2, 0]
    assert np.abs(shrunk.astype(int) - 100).max() <= 1  # Antialiasing removes the stripes.
    for images in (columns.astype("float32"), columns[0], columns[..., :1], columns[:0]):
        with pytest.raises(ValueError, match=r"Expected uint8 images \[B, H, W, 3\]; received"):
            resized(images, 4)


def given(network, random):
    """Assign random variables to a small network and return them by checkpoint names."""
    names, (dense,) = {}, [layer for layer in network.layers if layer.name == "logits"]
    for scope in scopes():
        name, kernel = scope.replace("-", "/"), tuple(network.get_layer(scope).kernel.shape)
        names |= {f"{name}/weights": kernel} | {
            f"{name}/BatchNorm/{part}": kernel[3:] for part in NORM
        }
    names |= {
        "logits/logits/weights": tuple(dense.kernel.shape),
        "logits/logits/biases": tuple(dense.bias.shape),
    }
    found = values(names, random)
    for scope in scopes():
        name, layer = scope.replace("-", "/"), network.get_layer(scope)
        kernel, *norm = (
            found[f"{name}/{part}"] for part in ("weights", *(f"BatchNorm/{part}" for part in NORM))
        )
        if layer.use_bias:
            layer.set_weights(fold(kernel, *norm))
        else:
            gamma, (beta, mean, variance) = random.uniform(0.8, 1.2, kernel.shape[3:]), norm
            layer.set_weights([kernel])  # A scale, and a variance that cancels it.
            norm = [gamma, beta, mean, gamma**2 * (variance + 0.001) - 0.001]
            network.get_layer(f"{scope}-BatchNorm").set_weights(norm)
    dense.set_weights([found["logits/logits/weights"], found["logits/logits/biases"]])
    return found


@pytest.mark.backend
def test_a_small_network_agrees_on_every_backend():
    random = np.random.default_rng(2)
    network = build_slim_inception(classes=3, size=75, width=0.05)
    variables = given(network, random)
    image = random.uniform(-1, 1, (1, 75, 75, 3)).astype("float32")
    for found, expected in zip(network(image), reference(variables, image[0]), strict=True):
        assert off(keras.ops.convert_to_numpy(found)[0], expected) < 1e-5


def test_batch_norm_folds_into_the_convolutions():
    random = np.random.default_rng(3)
    network = build_slim_inception(classes=3, size=75, width=0.05, batch_norm=True)
    variables = given(network, random)
    image = random.uniform(-1, 1, (1, 75, 75, 3)).astype("float32")
    scorer = folded(network, width=0.05)
    assert not [
        layer for layer in scorer.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    expected = reference(variables, image[0])
    for one in (network, scorer):
        for found, right in zip(one(image, training=False), expected, strict=True):
            assert off(keras.ops.convert_to_numpy(found)[0], right) < 1e-5


def test_sizes():
    assert build_slim_inception(classes=2, size=75, width=0.02).outputs[1].shape == (None, 2)
    with pytest.raises(
        ValueError, match="size must be at least 75 and classes 1; received 74 and 2"
    ):
        build_slim_inception(classes=2, size=74)
    assert list(slim_inception.BLOCKS) == BLOCKS and len(list(scopes())) == 94
