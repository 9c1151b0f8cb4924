"""Perceptual distances: LPIPS with random weights, compared with the package lpips; features of a
classifier, compared with explicit sums; both as a loss in a training step; files; errors."""

import json
import struct

import keras
import numpy as np
import pytest
import torch
from expected.make_perceptual import FILE, inputs, weights
from keras import layers, ops

from kerasgan import backend
from kerasgan.losses import perceptual
from kerasgan.losses.perceptual import LPIPS, ClassifierDistance
from kerasgan.training import AdversarialModel

RNG = np.random.default_rng(0)
ALEX = weights("alex")
X, Y = RNG.uniform(-1, 1, (2, 3, 8, 8, 1)).astype("float32")


def array(x):
    return np.array(ops.convert_to_numpy(x))


def classifier(activation="relu"):
    """Classifier with two blocks, whose maps are 8 x 8 and 4 x 4."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Rescaling(0.5, name="rescaled"),
            layers.Conv2D(4, 3, padding="same", name="conv1"),
            layers.Activation(activation, name="end1"),
            layers.MaxPooling2D(name="pool1"),
            layers.Conv2D(6, 3, padding="same", name="conv2"),
            layers.BatchNormalization(name="norm2"),
            layers.Activation(activation, name="end2"),
            layers.AveragePooling2D(2, name="pool2"),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


# === LPIPS ===


@pytest.mark.parametrize("net", [pytest.param("alex", marks=pytest.mark.backend), "vgg"])
def test_lpips_and_its_gradient_equal_the_package(net):
    expected, (x, y, directions) = np.load(FILE), inputs(net)
    distance = LPIPS(weights(net), net=net)
    distances, gradient = backend.value_and_input_gradient(lambda x: distance(x, y), x)
    np.testing.assert_allclose(array(distances), expected[f"{net}_distances"], atol=1e-5)
    directional = np.sum(directions * array(gradient), axis=(2, 3, 4))
    np.testing.assert_allclose(directional, expected[f"{net}_slopes"], rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("grey", [False, True])
def test_small_images_are_enlarged_and_gray_channels_repeated(grey):
    distance = LPIPS(ALEX)
    x, y = RNG.uniform(-1, 1, (2, 2, 16, 16, 1 if grey else 3)).astype("float32")
    large = [np.repeat(images, 3, axis=-1) if grey else images for images in (x, y)]
    large = [
        ops.image.resize(images, (32, 32), "bilinear", data_format="channels_last")
        for images in large
    ]
    np.testing.assert_allclose(array(distance(x, y)), array(distance(*large)), rtol=1e-4)
    assert array(distance(x, x)).tolist() == [0.0, 0.0]
    assert array(distance(x, y)).min() > 1e-3


def test_a_pixel_without_features_has_a_gradient():
    dead = {name: -np.abs(array) if "lin" not in name else array for name, array in ALEX.items()}
    distance = LPIPS(dead | {"features.0.weight": 0 * ALEX["features.0.weight"]})
    x = RNG.uniform(-1, 1, (1, 32, 32, 3)).astype("float32")
    assert np.isfinite(
        array(backend.value_and_input_gradient(lambda x: distance(x, -x), x)[1])
    ).all()


def write(path, arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".safetensors":
        header, start = {"__metadata__": {"format": "pt"}}, 0
        for name, value in arrays.items():
            header[name] = {
                "dtype": "F32",
                "shape": value.shape,
                "data_offsets": [start, start + value.nbytes],
            }
            start += value.nbytes
        header = json.dumps(header).encode()
        path.write_bytes(
            struct.pack("<Q", len(header)) + header + b"".join(v.tobytes() for v in arrays.values())
        )
    else:
        torch.save({name: torch.from_numpy(value) for name, value in arrays.items()}, path)
    return path


def split(arrays=ALEX):
    """Splits weights into those of the backbone and the linear ones, as in their files."""
    linear = {name: value for name, value in arrays.items() if name.startswith("lin")}
    return {name: value for name, value in arrays.items() if name not in linear}, linear


def test_files_of_torchvision_and_lpips_give_the_same_weights(tmp_path):
    backbone, linear = split()
    places = [0, 3, 6, 8, 10]
    whole = {
        f"net.slice{places.index(int(name.split('.')[1])) + 1}.{name.removeprefix('features.')}": value  # noqa: E501
        for name, value in backbone.items()
    } | {name.replace("lin", "lins."): value for name, value in linear.items()}
    whole |= {"scaling_layer.shift": np.zeros((1, 3, 1, 1), "float32")}
    backbone |= {"classifier.1.weight": np.zeros((2, 2), "float32")}
    ways = [
        LPIPS(write(tmp_path / "alexnet.pth", backbone), write(tmp_path / "lin.npz", linear)),
        LPIPS(write(tmp_path / "whole.safetensors", whole)),
    ]
    expected = LPIPS(ALEX)
    assert [way.protocol for way in ways] == [expected.protocol] * 2
    assert expected.protocol["net"] == "alex"
    assert (
        expected.protocol
        != LPIPS(ALEX | {"lin0.model.1.weight": 2 * ALEX["lin0.model.1.weight"]}).protocol
    )
    x, y = RNG.uniform(-1, 1, (2, 1, 32, 32, 3)).astype("float32")
    assert {float(way(x, y)[0]) for way in ways} == {float(expected(x, y)[0])}


def test_only_the_published_linear_weights_are_version_0_1(monkeypatch):
    protocol = LPIPS(ALEX).protocol
    assert protocol["distance"] == "LPIPS of other linear weights"
    monkeypatch.setitem(perceptual.PUBLISHED, "alex", protocol["linear_sha256"][:8])
    assert LPIPS(ALEX).protocol["distance"] == "LPIPS 0.1"


def test_linear_weights_of_the_installed_package(tmp_path, monkeypatch):
    backbone, linear = split()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install --no-deps lpips$"):
        LPIPS(backbone)
    folder = tmp_path / "lpips" / "weights" / "v0.1"
    folder.mkdir(parents=True)
    write(folder / "alex.pth", linear)
    package = type("Spec", (), {"submodule_search_locations": [str(tmp_path / "lpips")]})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: package)
    assert LPIPS(backbone).protocol == LPIPS(ALEX).protocol


def test_lpips_saves_paths_and_loads_without_the_files(tmp_path):
    file = write(tmp_path / "whole.npz", ALEX)
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(LPIPS(file))))
    images = np.zeros((1, 32, 32, 3), "float32")
    assert array(keras.saving.deserialize_keras_object(saved)(images, images)).tolist() == [0.0]
    file.unlink()
    waiting = keras.saving.deserialize_keras_object(saved)
    assert keras.saving.serialize_keras_object(waiting) == saved
    with pytest.raises(FileNotFoundError, match="whole.npz: no such file"):
        waiting(images, images)
    with pytest.raises(ValueError, match="must be files; received arrays"):
        LPIPS(ALEX).get_config()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"features.6.bias": None},
            "torchvision's alex; 1 of its 10 tensors are missing, such as features.6.bias",
        ),
        (
            {"features.0.weight": np.zeros((64, 3, 3, 3))},
            r"features.0.weight is \[64, 3, 11, 11\]; received",
        ),
        (
            {"features.0.bias": np.full(64, np.nan)},
            "received non-finite or negative values in features.0.bias",
        ),
        (
            {"lin1.model.1.weight": np.full((1, 192, 1, 1), -1.0)},
            "linear_weights.*received non-finite or negative values in lin1",
        ),
        (
            {"lin1.model.1.weight": np.zeros((1, 64, 1, 1))},
            r"where lin1 is \[1, 192, 1, 1\]; received \[1, 64",
        ),
    ],
)
def test_other_weights_raise(change, message):
    changed = {name: value for name, value in (ALEX | change).items() if value is not None}
    with pytest.raises(ValueError, match=message) as error:
        LPIPS(changed)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ending", [".npz", ".safetensors", ".pth"])
def test_damaged_files_raise(ending, tmp_path):
    path = write(tmp_path / f"weights{ending}", split()[1])
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(
        ValueError,
        match=f"must be .*weights{ending}",
    ) as error:
        LPIPS(path)
    assert "\n" not in str(error.value)


def test_invalid_arguments_of_lpips():
    with pytest.raises(ValueError, match="net must be one of alex, vgg; received 'squeeze'"):
        LPIPS(ALEX, net="squeeze")
    distance, images = LPIPS(ALEX), np.zeros((2, 32, 32, 3), "float32")
    with pytest.raises(
        ValueError, match=r"equal shape; received \[2, 32, 32, 3\] and \[1, 32, 32, 3\]"
    ):
        distance(images, images[:1])
    with pytest.raises(ValueError, match=r"1 or 3 channels; received \[2, 32, 32, 2\]"):
        distance(images[..., :2], images[..., :2])


# === Distance of a classifier's features ===


def test_classifier_distance_equals_an_explicit_sum():
    network = classifier()
    distance = ClassifierDistance(network)
    assert distance.maps == ("end1", "end2")
    total = np.zeros(len(X))
    for name in distance.maps:
        part = keras.Model(network.inputs[0], network.get_layer(name).output)
        one, other = (array(part(images)) for images in (X, Y))
        one, other = (
            maps / np.sqrt(np.sum(maps**2, axis=-1, keepdims=True) + 1e-6) for maps in (one, other)
        )
        total += np.mean(np.sum((one - other) ** 2, axis=-1), axis=(1, 2)) / 2
    np.testing.assert_allclose(array(distance(X, Y)), total, rtol=1e-4)
    assert array(distance(X, X)).tolist() == [0.0] * 3


def test_the_last_map_of_each_size_is_used_and_at_most_five():
    def maps(*stack, size=16):
        return ClassifierDistance(keras.Sequential([keras.Input((size, size, 3)), *stack])).maps

    conv = layers.Conv2D
    strided = [conv(2, 3, 2, padding="same", name=f"down{i}") for i in range(6)]
    assert maps(*strided, size=128) == ("down1", "down2", "down3", "down4", "down5")
    assert maps(
        layers.Resizing(8, 8),
        conv(2, 3, name="a"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2),
    ) == ("a",)
    assert maps(
        layers.Normalization(), layers.MaxPooling2D(), conv(2, 1), layers.ReLU(name="b")
    ) == ("b",)
    assert maps(conv(2, 1, name="c"), layers.MaxPooling2D(16), conv(2, 1)) == ("c",)
    inner = keras.Sequential([keras.Input((16, 16, 3)), conv(2, 3), conv(2, 3)], name="inner")
    assert maps(inner, layers.Flatten(), layers.Dense(2)) == ("inner",)
    assert ClassifierDistance(classifier(), layers=["conv2"]).maps == ("conv2",)


def test_classifier_distance_is_saved_with_its_classifiers_weights(tmp_path):
    images = [keras.Input((8, 8, 1)) for _ in range(2)]
    distance = ClassifierDistance(classifier(), layers=["end2"])
    keras.Model(images, distance(*images)).save(tmp_path / "distance.keras")
    loaded = keras.saving.load_model(tmp_path / "distance.keras")
    assert loaded.layers[-1].maps == ("end2",)
    np.testing.assert_allclose(array(loaded([X, Y])), array(distance(X, Y)), rtol=1e-5)


def test_invalid_arguments_of_a_classifier_distance():
    with pytest.raises(
        ValueError, match="layers must name layers of the classifier.*received 'conv3'"
    ):
        ClassifierDistance(classifier(), layers=["conv3"])
    with pytest.raises(ValueError, match="with maps .*received 'dense"):
        ClassifierDistance(network := classifier(), layers=[network.layers[-1].name])
    with pytest.raises(ValueError, match="functional or sequential"):
        ClassifierDistance(keras.Sequential([layers.Dense(2)]))
    with pytest.raises(ValueError, match="larger than 1 x 1, of static size; received"):
        ClassifierDistance(keras.Sequential([keras.Input((8,)), layers.Dense(2)]))
    with pytest.raises(ValueError, match="of equal shape"):
        ClassifierDistance(classifier())(X, Y[:1])


# === Use as a loss ===


class Painter(AdversarialModel):
    """Model of one trainable image that approaches the data."""

    players = ("generator",)

    def __init__(self, distance, size, channels):
        super().__init__()
        self.distance = distance
        normal = keras.initializers.RandomNormal(0.0, 0.3)
        dense = layers.Dense(size * size * channels, use_bias=False, kernel_initializer=normal)
        self.generator = keras.Sequential(
            [keras.Input((1,)), dense, layers.Reshape((size, size, channels))]
        )
        self.built = True

    def train_step(self, data):
        ones = ops.ones((len(X), 1))
        loss = self.minimize(
            "generator", lambda: ops.mean(self.distance(self.generator(ones), data))
        )
        return self.report(generator_loss=loss)


@pytest.mark.backend
@pytest.mark.parametrize("own", [True, False])
def test_a_training_step_lowers_the_distance_and_keeps_its_network(own):
    network = classifier("tanh") if own else None
    distance = ClassifierDistance(network) if own else LPIPS(ALEX)
    size, channels = (8, 1) if own else (32, 3)
    network = network or distance._backbone
    before = network.get_weights()
    painter = Painter(distance, size, channels)
    painter.compile(generator=keras.optimizers.Adam(0.05))
    target = np.repeat(RNG.uniform(-1, 1, (1, size, size, channels)), len(X), axis=0).astype(
        "float32"
    )
    losses = painter.fit(target, batch_size=len(X), epochs=12, verbose=0).history["generator_loss"]
    assert losses[-1] < 0.5 * losses[0]
    for was, now in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
