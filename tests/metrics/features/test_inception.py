import hashlib
import io
import json
import pickle
import tarfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from kerasgan.metrics.features import inception, resize
from kerasgan.metrics.features.inception import (
    Inception,
    convert,
    find_weights,
    random_weights,
    read_weights,
)
from kerasgan.metrics.features.resize import Resize

EXPECTED = (
    Path(__file__).parents[1] / "expected" / "inception.npz"
)  # From torch-fidelity, see make_inception.py.

# === The network ===


@pytest.fixture(scope="module")
def extractor():
    return Inception(random_weights(0))


@pytest.mark.backend
def test_features_and_logits_equal_torch_fidelity(extractor):
    expected = np.load(EXPECTED)
    digest = str(expected["weights_sha256"])
    assert extractor.protocol["weights_sha256"] == digest, (
        "numpy draws other random numbers: run make_inception.py"
    )
    features, logits = extractor(expected["images"])
    assert (features.shape, logits.shape, features.dtype, logits.dtype) == (
        (2, 2048),
        (2, 1008),
        "float32",
        "float32",
    )
    for found, right in (
        (features[:, ::8], expected["features"]),
        (logits[:, ::2], expected["logits"]),
    ):
        assert (
            right.shape[1] > 200 and np.abs(right[0] - right[1]).max() > 0.1 * np.abs(right).max()
        )
        assert np.abs(found - right).max() <= 1e-5 * np.abs(right).max()
    again = extractor(expected["images"][1:])  # A smaller last batch.
    np.testing.assert_allclose(again[0], features[1:], rtol=1e-5, atol=1e-5)
    assert again[1].shape == (1, 1008)


def test_protocol_and_saved_weights(extractor, tmp_path):
    digest = inception.fingerprint(random_weights(0))
    assert json.loads(json.dumps(extractor.protocol)) == {
        "network": f"unknown weights {digest[:8]} of Inception",
        "weights_sha256": digest,
        "resize": "tf1 bilinear, 299",
        "features": "pool_3, 2048",
        "logits": "1008, without bias",
    }
    assert extractor.file_sha256 is None
    extractor.save(tmp_path / "inception.h5")
    weights, digest = read_weights(tmp_path / "inception.h5")
    assert digest is None and inception.fingerprint(weights) == extractor.protocol["weights_sha256"]
    assert {layer.compute_dtype for layer in extractor.network.layers} == {"float32"}


def test_weights_of_a_known_fingerprint_have_the_published_name(tmp_path, small, monkeypatch):
    path = save_pth(tmp_path / "a.pth", small)
    tensors = inception.fingerprint(small)
    monkeypatch.setattr(inception, "build_inception", lambda: (keras.Model(), []))
    unknown = f"unknown weights {tensors[:8]} of Inception"
    assert Inception(path).protocol["network"] == unknown
    converted, digest = convert(path, tmp_path / "a.h5")
    for known in (digest, tensors):
        with monkeypatch.context() as patched:
            patched.setitem(inception.KNOWN, known, "Inception-2015-12-05")
            for weights in (path, converted):
                assert Inception(weights).protocol["network"] == "Inception-2015-12-05"
            loose = "Inception-2015-12-05" if known == tensors else unknown
            assert Inception(small).protocol["network"] == loose


@pytest.mark.nightly
@pytest.mark.backend
def test_resize_modes_are_those_of_clean_fid(extractor):
    images = np.load(EXPECTED)["images"]
    plain = extractor(images)[0]
    found = {mode: Inception(random_weights(0), resize=mode) for mode in resize.MODES}
    np.testing.assert_array_equal(found["legacy_tensorflow"](images)[0], plain)
    assert found["legacy_tensorflow"].protocol == extractor.protocol
    # The network gets the pixels of `resize`, in the range of the published program.
    for mode, factor in (("clean", 1), ("legacy_pytorch", 128 / 127.5)):
        pixels = resize.resize(images, 299, mode) * np.float32(factor)
        right = extractor.network.predict_on_batch(pixels)[0]
        np.testing.assert_allclose(found[mode](images)[0], right, rtol=1e-5, atol=1e-5)
        assert np.abs(right - plain).max() > 0.01 * np.abs(plain).max()
        assert found[mode].protocol["resize"] != extractor.protocol["resize"]
    assert found["legacy_pytorch"].protocol["inputs"] == "RGB / 127.5 - 1"
    with pytest.raises(ValueError, match="resize must be one of clean, .*; received bicubic"):
        Inception(random_weights(0), resize="bicubic")


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 8, 8, 3), "float32"),
        np.zeros((1, 8, 8, 1), "uint8"),
        np.zeros((1, 8, 8, 4), "uint8"),
        np.zeros((8, 8, 3), "uint8"),
        np.zeros((0, 8, 8, 3), "uint8"),
        np.zeros((1, 0, 8, 3), "uint8"),
        "images.h5",
    ],
)
def test_images_must_be_uint8_rgb(extractor, images):
    with pytest.raises(
        ValueError, match=r"Expected uint8 images \[B, H, W, 3\]; received (uint8|float32|<U9) \["
    ):
        extractor(images)


def resized(images, size):
    """TensorFlow 1's bilinear interpolation, pixel by pixel."""
    for axis in (2, 1):
        length, lines = images.shape[axis], []
        for i in range(size):
            place = np.float32(i) * (np.float32(length) / np.float32(size))
            low = int(place)
            before, after = (
                images.take(j, axis).astype("float32") for j in (low, min(low + 1, length - 1))
            )
            lines.append(before + (after - before) * (place - np.float32(low)))
        images = np.stack(lines, axis)
    return images


SHAPES = [(1, 1), (5, 7), (29, 29), (64, 48), (31, 200)]


@pytest.mark.backend
def test_resize_equals_tensorflow_1():
    images = keras.Input((None, None, 3), dtype="uint8")
    network = keras.Model(images, Resize(29)(images))  # One network for all sizes.
    network.jit_compile = False
    for shape in SHAPES:
        image = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), dtype="uint8")
        found = network.predict_on_batch(image)
        assert (found.shape, found.dtype) == ((2, 29, 29, 3), "float32")
        bits = keras.backend.backend() == "tensorflow"  # XLA fuses products and sums.
        np.testing.assert_allclose(found, resized(image, 29), rtol=0, atol=0 if bits else 1e-4)


def test_resize_is_bit_identical_to_tensorflow_1():
    tf = pytest.importorskip("tensorflow")
    for shape in SHAPES:
        image = np.random.default_rng(0).integers(0, 256, (1, *shape, 3), dtype="uint8")
        right = tf.compat.v1.image.resize_bilinear(image, (299, 299)).numpy()
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(Resize()(image)), right)


# Nodes of the convolutions in TensorFlow's graph.
THREE = {
    "branch3x3dbl_1": "tower_1/conv",
    "branch3x3dbl_2": "tower_1/conv_1",
    "branch3x3dbl_3": "tower_1/conv_2",
}
BLOCK_35 = {
    "branch1x1": "conv",
    "branch5x5_1": "tower/conv",
    "branch5x5_2": "tower/conv_1",
    "branch_pool": "tower_2/conv",
} | THREE
BLOCK_17 = {
    "branch1x1": "conv",
    "branch_pool": "tower_2/conv",
    "branch7x7_1": "tower/conv",
    "branch7x7_2": "tower/conv_1",
    "branch7x7_3": "tower/conv_2",
    "branch7x7dbl_1": "tower_1/conv",
    "branch7x7dbl_2": "tower_1/conv_1",
    "branch7x7dbl_3": "tower_1/conv_2",
    "branch7x7dbl_4": "tower_1/conv_3",
    "branch7x7dbl_5": "tower_1/conv_4",
}
BLOCK_8 = {
    "branch1x1": "conv",
    "branch_pool": "tower_2/conv",
    "branch3x3_1": "tower/conv",
    "branch3x3_2a": "tower/mixed/conv",
    "branch3x3_2b": "tower/mixed/conv_1",
    "branch3x3dbl_1": "tower_1/conv",
    "branch3x3dbl_2": "tower_1/conv_1",
    "branch3x3dbl_3a": "tower_1/mixed/conv",
    "branch3x3dbl_3b": "tower_1/mixed/conv_1",
}
BLOCKS = {
    "Mixed_5b": BLOCK_35,
    "Mixed_5c": BLOCK_35,
    "Mixed_5d": BLOCK_35,
    "Mixed_6a": {name: node.replace("_1/", "/", 1) for name, node in THREE.items()}
    | {"branch3x3": "conv"},
    "Mixed_6b": BLOCK_17,
    "Mixed_6c": BLOCK_17,
    "Mixed_6d": BLOCK_17,
    "Mixed_6e": BLOCK_17,
    "Mixed_7a": {
        "branch3x3_1": "tower/conv",
        "branch3x3_2": "tower/conv_1",
        "branch7x7x3_1": "tower_1/conv",
        "branch7x7x3_2": "tower_1/conv_1",
        "branch7x7x3_3": "tower_1/conv_2",
        "branch7x7x3_4": "tower_1/conv_3",
    },
    "Mixed_7b": BLOCK_8,
    "Mixed_7c": BLOCK_8,
}
STEM = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"]


def test_names_of_the_tensors():
    nodes = {name: f"conv_{index}" if index else "conv" for index, name in enumerate(STEM)}
    for index, (block, branches) in enumerate(BLOCKS.items()):
        place = f"mixed_{index}" if index else "mixed"
        nodes |= {f"{block}.{branch}": f"{place}/{node}" for branch, node in branches.items()}
    expected = {"fc.weight": "softmax/weights"}
    for name, node in nodes.items():
        expected[f"{name}.conv.weight"] = f"{node}/conv2d_params"
        expected[f"{name}.bn.weight"] = f"{node}/batchnorm/gamma"
        expected[f"{name}.bn.bias"] = f"{node}/batchnorm/beta"
        expected[f"{name}.bn.running_mean"] = f"{node}/batchnorm/moving_mean"
        expected[f"{name}.bn.running_var"] = f"{node}/batchnorm/moving_variance"
    assert (
        len(nodes) == 94
        and {name: node for name, (node, _, _) in inception.TENSORS.items()} == expected
    )
    numbers = sum(int(np.prod(shape)) for _, shape, _ in inception.TENSORS.values())
    assert numbers + 1008 == 23_885_392  # Published number, with the bias of the logits.


# === Weights ===


@pytest.fixture
def small(monkeypatch):
    """Weights of the first convolution and the logits, treated as a complete network."""
    few = {n: about for n, about in inception.TENSORS.items() if n.startswith(("Conv2d_1a", "fc"))}
    monkeypatch.setattr(inception, "TENSORS", few)
    return random_weights(1)


def save_pth(path, weights, **torch_save):
    torch = pytest.importorskip("torch")
    torch.save(
        {name: torch.from_numpy(np.asarray(array)) for name, array in weights.items()},
        path,
        **torch_save,
    )
    return path


def save_pb(path, weights, **replaced):
    """Nodes of the original graph."""
    tf = pytest.importorskip("tensorflow")
    nodes = {
        "conv/conv2d_params": weights["Conv2d_1a_3x3.conv.weight"].transpose(2, 3, 1, 0),
        "conv/batchnorm/gamma": weights["Conv2d_1a_3x3.bn.weight"],
        "conv/batchnorm/beta": weights["Conv2d_1a_3x3.bn.bias"],
        "conv/batchnorm/moving_mean": weights["Conv2d_1a_3x3.bn.running_mean"],
        "conv/batchnorm/moving_variance": weights["Conv2d_1a_3x3.bn.running_var"],
        "ResizeBilinear/size": np.int32([299, 299]),
        "softmax/weights": weights["fc.weight"].T,
        "softmax/biases": np.zeros(1008, "float32"),
    } | replaced
    graph = tf.compat.v1.GraphDef()
    graph.node.add(name="DecodeJpeg", op="DecodeJpeg")
    for name, array in nodes.items():
        graph.node.add(name=name, op="Const").attr["value"].tensor.CopyFrom(
            tf.make_tensor_proto(array)
        )
    path.write_bytes(graph.SerializeToString())
    return path


def save_tgz(path, weights):
    content = save_pb(path.with_suffix(".pb"), weights).read_bytes()
    with tarfile.open(path, "w:gz", compresslevel=0) as archive:
        for name, part in (("LICENSE", b"Apache"), ("classify_image_graph_def.pb", content)):
            about = tarfile.TarInfo(name)
            about.size = len(part)
            archive.addfile(about, io.BytesIO(part))
    return path


def save_h5(path, weights):
    return convert(weights, path)[0]


WRITERS = {"a.pth": save_pth, "a.pb": save_pb, "a.tgz": save_tgz, "a.h5": save_h5}


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_weights_from_any_file(tmp_path, small, name):
    path = WRITERS[name](tmp_path / name, small)
    read, digest = read_weights(path)
    assert list(read) == list(small) and inception.fingerprint(read) == inception.fingerprint(small)
    for tensor, array in small.items():
        assert read[tensor].dtype == "float32"
        np.testing.assert_array_equal(read[tensor], array)
    content = path.read_bytes()
    if name == "a.tgz":  # The checksum of the graph, which is published in other places too.
        with tarfile.open(path) as archive:
            content = archive.extractfile(inception.GRAPH).read()
    assert digest == (None if name == "a.h5" else hashlib.sha256(content).hexdigest())
    converted, same = convert(
        path, tmp_path / "folder" / "b.h5"
    )  # Keeps the checksum of the original file.
    assert same == digest and read_weights(converted)[1] == digest
    assert [file.name for file in converted.parent.iterdir()] == ["b.h5"]


def test_a_pth_of_old_pytorch_with_unused_tensors(tmp_path, small):
    more = small | {
        "fc.bias": np.zeros(1008, "float32"),
        "Conv2d_1a_3x3.bn.num_batches_tracked": np.array(3),
    }
    path = save_pth(tmp_path / "a.pth", more, _use_new_zipfile_serialization=False)
    assert inception.fingerprint(read_weights(path)[0]) == inception.fingerprint(small)


@pytest.mark.parametrize("name", WRITERS)
def test_a_truncated_file(tmp_path, small, name):
    path = WRITERS[name](tmp_path / name, small)
    content = path.read_bytes()
    for size in (len(content) // 2, 100):
        path.write_bytes(content[:size])
        with pytest.raises(
            ValueError, match=r"must be .*cannot be read|must be a complete file"
        ) as raised:
            read_weights(path)
        assert "\n" not in str(raised.value)


def test_files_without_weights(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"<!DOCTYPE html><html>Quota exceeded")
    with pytest.raises(
        ValueError, match=r"must be a .pb or .tgz .*a.pth \(35 bytes\) is none"
    ) as raised:
        Inception(tmp_path / "a.pth")
    assert "\n" not in str(raised.value)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(ValueError, match="other.h5 must be .* it is another HDF5 file"):
        Inception(tmp_path / "other.h5")
    with pytest.raises(FileNotFoundError, match="There is no file of .* at .*none.pth"):
        Inception(tmp_path / "none.pth")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc.weight": None}, "1 of its 6 tensors are missing, for example fc.weight"),
        (
            {"AuxLogits.fc.weight": np.zeros(2)},
            "1 other tensors, for example AuxLogits.fc.weight",
        ),
        (
            {"fc.weight": np.zeros((1000, 2048))},
            r"fc.weight is \[1008, 2048\]; received \[1000, 2048\]",
        ),
        (
            {"Conv2d_1a_3x3.bn.weight": np.full(32, np.nan)},
            "Conv2d_1a_3x3.bn.weight has values that no trained",
        ),
        (
            {"Conv2d_1a_3x3.bn.running_var": np.full(32, -1.0)},
            "Conv2d_1a_3x3.bn.running_var has values that no trained",
        ),
    ],
)
def test_another_network(tmp_path, small, change, message):
    weights = {name: array for name, array in (small | change).items() if array is not None}
    with pytest.raises(
        ValueError, match=f"a.pth must hold the network Inception-2015-12-05.*{message}"
    ) as raised:
        read_weights(save_pth(tmp_path / "a.pth", weights))
    assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match=message):
        Inception(weights)


def test_another_graph(tmp_path, small):
    path = save_pb(
        tmp_path / "a.pb", small, **{"softmax/weights": np.zeros((2048, 1001), "float32")}
    )
    with pytest.raises(ValueError, match=r"fc.weight is \[1008, 2048\]; received \[1001, 2048\]"):
        read_weights(path)
    path.write_bytes(b"\n\x00")
    with pytest.raises(ValueError, match="6 of its 6 tensors are missing"):
        read_weights(path)


def test_a_malicious_file(tmp_path):
    path = tmp_path / "a.pth"
    trace = tmp_path / "ran"
    evil = f"cposix\nsystem\n(Vtouch {trace}\ntR.".encode()
    path.write_bytes(
        inception.LEGACY + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2) + evil
    )
    with pytest.raises(ValueError, match="a.pth contains posix.system; none of it was run"):
        Inception(path)
    assert not trace.exists()


def test_changed_values_in_an_h5_file(tmp_path, small):
    path = save_h5(tmp_path / "a.h5", small)
    with h5py.File(path, "r+") as file:
        file["Conv2d_1a_3x3.bn.bias"][3] += 1e-3
    with pytest.raises(
        ValueError, match="a.h5 is damaged: the weights do not match their checksum"
    ):
        read_weights(path)


# === Finding weights ===


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "kerasgan"


def test_without_network_the_sources_are_listed(home, monkeypatch):
    def urlopen(url, timeout):
        assert timeout <= 10
        raise OSError("no route\nto host")

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    with pytest.raises(FileNotFoundError) as raised:
        Inception()
    message = str(raised.value)
    assert "\n" not in message and str(home) in message and "no route to host" in message
    assert all(place + name in message for name, place in inception.FILES.items())
    assert "--features=digit_classifier, the .keras file of a classifier" in message
    assert not home.exists()


def test_existing_files_are_used_and_converted_once(home, small, monkeypatch):
    monkeypatch.delattr("urllib.request.urlopen")
    home.mkdir(parents=True)
    by_hand = save_pth(home / "pt_inception-2015-12-05-6726825d.pth", small)
    assert find_weights() == by_hand
    path, digest = convert()
    assert find_weights() == path == home / "inception-2015-12-05.h5"
    assert read_weights(path)[1] == digest == hashlib.sha256(by_hand.read_bytes()).hexdigest()


def test_a_download_must_be_the_published_file(home, monkeypatch):
    def get_file(name, origin, cache_dir, cache_subdir):
        assert origin.startswith("https://") and origin.endswith(name)
        path = Path(cache_dir) / cache_subdir / name
        path.write_bytes(b"weights")
        return str(path)

    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: io.BytesIO())
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(ValueError, match="published file, 6726825d...; received 9a129038"):
        find_weights()
    assert [*home.iterdir()] == []
    monkeypatch.setitem(
        inception.KNOWN, hashlib.sha256(b"weights").hexdigest(), "Inception-2015-12-05"
    )
    assert find_weights().parent == home and find_weights().read_bytes() == b"weights"
