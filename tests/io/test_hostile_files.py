"""Small hostile files are refused in one line, quickly, before memory is allocated."""

import json
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
import zlib

import h5py
import keras
import numpy as np
import pytest

from kerasgan.datasets.coco import coco_folder
from kerasgan.datasets.image_source import image_source
from kerasgan.datasets.pickles import load_pickle
from kerasgan.datasets.torch_file import load_torch_file
from kerasgan.io import checkpoint_file, checkpoints
from kerasgan.io.checkpoints import CheckpointError
from kerasgan.io.configs import UnsafeConfigError, check_config, limit_weights
from kerasgan.io.hdf5 import open_hdf5, rewrite_hdf5
from kerasgan.io.keras_files import load_keras_file
from kerasgan.io.limits import LimitExceededError
from kerasgan.io.reading import LONGEST, read_json, reading
from kerasgan.metrics.frechet import load_statistics

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="files are read alike everywhere"
)


def refused(call, path, kind=ValueError, match=None):
    """One line with the file's name, in 5 seconds and 600 MB."""
    tracemalloc.start()
    start = time.monotonic()
    try:
        with pytest.raises(kind, match=match) as raised:
            call(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (
        path.name in str(raised.value)
        and "\n" not in str(raised.value)
        and len(str(raised.value)) <= LONGEST
    )
    assert time.monotonic() - start < 5 and peak < 600e6


DTYPE = b"cnumpy\ndtype\n(U\x02O8K\x00K\x01tR"
PLAIN = b"cnumpy\ndtype\n(U\x02f8K\x00K\x01tR"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"


def nested_key(depth=60):
    """A tuple of two of a tuple of two ... as a key, whose hash takes 2^depth steps."""
    return b"\x80\x02})" + b"2\x86" * depth + b"K\x01s."


def doubling(depth=60):
    """Lists, each of which holds the one before it twice: 2^depth items for who walks them."""
    data = b"\x80\x02]q\x00"
    for i in range(1, depth):
        data += b"](" + bytes([ord("h"), i - 1]) * 2 + b"e" + bytes([ord("q"), i])
    return data + b"."


PICKLES = {
    "forged flags": b"\x80\x02" + PLAIN + b"(K\x03U\x01|NNNK\x08K\x08K?tb.",
    "objects from bytes": b"\x80\x02"
    + ARRAY
    + b"(K\x01K\x01\x85"
    + DTYPE
    + b"(K\x03U\x01|NNNK\x08K\x08K?tb"
    b"\x89U\x08AAAAAAAAtb.",
    "a scalar of an address": b"\x80\x02cnumpy.core.multiarray\nscalar\n("
    + DTYPE
    + b"U\x08AAAAAAAAtR.",
    "fields with offsets": b"\x80\x02"
    + PLAIN
    + b"(K\x04U\x01|N(U\x01at}U\x01a"
    + PLAIN
    + b"J\xff\xff\xff\x7f\x86s"
    b"K\x08K\x01K\x10Ntb.",
    "a memo of 2^28": b"\x80\x02Nr\xff\xff\xff\x0fj\xfe\xff\xff\x0f.",
    "a bytearray of 2e10": b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\xc8\x17\xa8\x04\x85R.",
    "an array of 1e14": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n("
    b"\x8a\x06\x00\x40z\x10\xf3ZtU\x01btR.",
    "a key of tuples": nested_key(),
    "doubling lists": doubling(),
    "lists in lists": b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b".",
    "a list of itself": b"\x80\x02]q\x00h\x00a.",
    "bytes of 2^62": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b".",
    "a frame of 2^62": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "a number of 4,000 digits": b"L" + b"9" * 4000 + b"L\n.",
    "an array that nobody describes": b"\x80\x02" + ARRAY + b".",
    "a shape and other data": b"\x80\x02"
    + ARRAY
    + b"(K\x01K\x09\x85"
    + PLAIN
    + b"(K\x03U\x01<NNNJ\xff\xff\xff\xff"
    b"J\xff\xff\xff\xffK\x00tb\x89U\x08AAAAAAAAtb.",
    "a class as data": b"\x80\x02]cnumpy\nndarray\na.",
}


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_that_harms(tmp_path, name):
    path = tmp_path / "small.pickle"
    path.write_bytes(PICKLES[name])
    refused(load_pickle, path)


def test_memory_indexes_cost_nothing(tmp_path):
    path = tmp_path / "small.pickle"
    path.write_bytes(b"\x80\x02Nr\xff\xff\xff\x0f.")
    tracemalloc.start()
    assert load_pickle(path) is None
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_a_torch_file_that_harms(tmp_path):
    storage = (
        b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuJ"
        + struct.pack("<i", 2**24)
    )
    storage += b"tQ"
    tensor = (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0K\x02\x85K\x01\x85\x89}tR."
    )
    for name, content in (("lists.pth", doubling()), ("deflated.pth", tensor)):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("a/data.pkl", content)
        if content is tensor:
            with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("a/data.pkl", content, zipfile.ZIP_STORED)
                archive.writestr("a/data/0", bytes(2**30 // 16))
        refused(load_torch_file, tmp_path / name)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "toy_x_4_G_epoch_1.h5"
    network = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()]
    )
    checkpoints.save_network(path, network, epoch=1)
    return path


def forge(path, **attributes):
    """Changes attributes, and makes the checksum fit."""
    with h5py.File(path, "r+") as file:
        file.attrs.update(attributes)
        header = {key: file.attrs[key] for key in sorted(file.attrs) if key != "sha256"}
        header.update(version=int(header["version"]), epoch=int(header["epoch"]))
        values = [
            (file["weights"][key].attrs["path"], file["weights"][key][()])
            for key in sorted(file["weights"])
        ]
        file.attrs["sha256"] = checkpoint_file.checksum_of(header, values)


@pytest.mark.parametrize(
    "options", [{}, {"chunks": (10**6,), "compression": "gzip"}, {"external": [("x", 0, 10**11)]}]
)
def test_a_dataset_that_claims_too_much(checkpoint, options):
    with h5py.File(checkpoint, "r+") as file:
        del file["weights"]["00000"]
        file["weights"].create_dataset("00000", (3_000_000_000,), "f4", **options).attrs["path"] = (
            "kernel"
        )
    refused(checkpoints.load_network, checkpoint, CheckpointError)
    refused(checkpoints.verify, checkpoint, CheckpointError)


def test_links_that_lead_elsewhere(checkpoint, tmp_path):
    links = {
        "soft": h5py.SoftLink("/weights/00001"),
        "external": h5py.ExternalLink("/etc/passwd", "/x"),
    }
    for name, link in links.items():
        path = tmp_path / f"{name}.h5"
        path.write_bytes(checkpoint.read_bytes())
        with h5py.File(path, "r+") as file:
            del file["weights"]["00000"]
            file["weights"]["00000"] = link
        refused(checkpoints.load_network, path, CheckpointError, "link")
    with h5py.File(tmp_path / "loop.h5", "w") as file:
        file["a/b"] = file
        with pytest.raises(ValueError):
            with open_hdf5(tmp_path / "loop.h5") as root:
                rewrite_hdf5(tmp_path / "loop.h5")
                assert root


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["config"]["layers"][1]["config"].update(units=4_000_000_000),
        lambda config: config["config"]["layers"].insert(
            1,
            {
                "class_name": "Lambda",
                "module": "keras.layers",
                "registered_name": None,
                "config": {"name": "x"},
            },
        ),
        lambda config: config.update(module="os", class_name="system"),
        lambda config: config["config"].update(layers=3),
        lambda config: config.pop("config"),
        lambda config: config.update(class_name=3),
    ],
)
def test_configurations_that_harm(checkpoint, tmp_path, change):
    with h5py.File(checkpoint) as file:
        config = json.loads(file.attrs["network"])
    change(config)
    forge(checkpoint, network=json.dumps(config))
    refused(checkpoints.load_network, checkpoint, CheckpointError)
    network = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()]
    )
    network.save(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "b.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, json.dumps(config) if name == "config.json" else content)
    refused(load_keras_file, tmp_path / "b.keras")
    load_keras_file(tmp_path / "a.keras")


@pytest.mark.parametrize(
    "header",
    [
        {"info": "{"},
        {"info": "[1]"},
        {"network": "["},
        {"network": "3"},
        {"info": "[" * 100_000},
        {"network": '{"config": {}}'},
        {"model": '"x"'},
    ],
)
def test_headers_that_are_damaged(checkpoint, header):
    forge(checkpoint, **header)
    for call in (
        checkpoints.read_info,
        checkpoints.load_network,
        checkpoints.verify,
        checkpoints.load_model,
    ):
        try:
            call(checkpoint)
        except CheckpointError as error:
            assert (
                checkpoint.name in str(error)
                and "\n" not in str(error)
                and len(str(error)) <= LONGEST
            )


def test_what_a_configuration_may_name():
    dense = {
        "class_name": "Dense",
        "module": "keras.layers",
        "registered_name": None,
        "config": {"units": 1},
    }
    for fine in (
        dense,
        dense | {"module": None},
        {"class_name": "function", "config": "relu", "module": "builtins"},
        {"class_name": "__numpy__", "config": {"value": [1], "dtype": "float32"}},
    ):
        check_config([fine])
    for name, module in (
        ("Lambda", "keras.layers"),
        ("TFSMLayer", "keras.layers"),
        ("get_file", "keras.utils"),
        ("system", "os"),
        ("StringLookup", "keras.layers"),
        ("__lambda__", "builtins"),
        ("Popen", "subprocess"),
        ("Lambda", None),
        ("load_model", "keras.models"),
    ):
        with pytest.raises(UnsafeConfigError):
            check_config(
                {
                    "layers": [
                        {
                            "class_name": name,
                            "module": module,
                            "config": {},
                            "registered_name": None,
                        }
                    ]
                }
            )
    with pytest.raises(UnsafeConfigError):
        check_config({"class_name": "__numpy__", "config": {"value": [1], "dtype": "S4000000000"}})


def test_weights_are_counted_before_they_are_made():
    with limit_weights(10, 1):
        keras.layers.Dense(3).build((None, 5))
    with pytest.raises(LimitExceededError, match="4,000,000,000 weights"), limit_weights(10, 1):
        keras.layers.Dense(4_000_000_000, use_bias=False).build((None, 1))
    keras.layers.Dense(3).build((None, 5))


def test_arrays_of_absurd_shapes(tmp_path):
    def header(shape, kind):
        text = repr({"descr": kind, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()

    for index, (shape, kind) in enumerate(
        [
            ((10**9, 64, 64, 3), "|u1"),
            ((10**30, 8, 8, 3), "|u1"),
            ((-1, 8, 8, 3), "|u1"),
            ((2, 8, 8, 3), "|O"),
            ((2, 40_000, 40_000, 3), "|u1"),
            ((2, 8, 8, 3), [("a", "<f4")]),
        ]
    ):
        path = tmp_path / f"{index}.npy"
        path.write_bytes(header(shape, kind) + bytes(1000))
        refused(lambda path: list(image_source(path)), path)
        with zipfile.ZipFile(tmp_path / f"{index}.npz", "w") as archive:
            archive.write(path, "mu.npy")
            archive.write(path, "images.npy")
        refused(load_statistics, tmp_path / f"{index}.npz")
        refused(lambda path: list(image_source(path)), tmp_path / f"{index}.npz")
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mu.npy", header((10**9,), "<f8") + bytes(10**6))
    refused(load_statistics, tmp_path / "bomb.npz")


def test_json_that_harms(tmp_path):
    path = tmp_path / "deep.json"
    for text in (
        "[" * 100_000,
        "[" * 300 + "]" * 300,
        "{",
        "\xff\xfe",
        "3",
        '{"a": ' + "9" * 5000 + "}",
    ):
        path.write_text(text, "latin1")
        refused(lambda path: read_json(path, "it must be JSON", shape=dict), path)


def test_names_in_coco(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "train2014").mkdir()
    path = tmp_path / "annotations" / "captions_train2014.json"
    for name in (3, None, "../a.jpg", "/etc/passwd", "", "a/../../b.jpg"):
        rows = {
            "images": [{"id": 1, "file_name": name}],
            "annotations": [{"image_id": 1, "caption": "x"}],
        }
        path.write_text(json.dumps(rows))
        refused(lambda path: coco_folder(path.parent.parent), path)


def test_one_line_with_the_name(tmp_path):
    for folder in (tmp_path, tmp_path / ("long/" * 60)):
        path = folder / "file.x"
        for error in (
            ValueError("a\nb" * 300),
            KeyError("x"),
            MemoryError(),
            RecursionError("deep"),
            OSError(5, "io"),
        ):
            with pytest.raises(ValueError) as raised, reading(path, "a rule " * 60):
                raise error
            assert "file.x" in str(raised.value) and len(str(raised.value)) <= LONGEST
            assert "\n" not in str(raised.value)
    with pytest.raises(KeyboardInterrupt), reading(tmp_path / "x", "a rule"):
        raise KeyboardInterrupt


def test_hdf5_is_read_as_h5py_reads_it(tmp_path):
    path = tmp_path / "a.h5"
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["images"] = random.integers(0, 255, (70, 8, 8, 3), dtype="u1")
        file.create_dataset(
            "z",
            data=random.random((70, 20, 9)).astype("f4"),
            compression="gzip",
            shuffle=True,
            fletcher32=True,
            chunks=(16, 7, 9),
        )
        file["big"], file["bool"], file["text"] = (
            np.arange(9, dtype=">i4"),
            np.array([True, False]),
            np.array([b"ab"]),
        )
        file["scalar"], file["empty"], file["half"] = (
            np.float64(3),
            np.zeros((0, 4)),
            np.float16([1, 2]),
        )
        file.attrs.update(
            numbers=np.arange(4),
            text="é" * 100,
            fixed=np.bytes_(b"q"),
            texts=["a", "bb"],
            flag=True,
        )
        for index in range(300):
            file[f"group/in/{index:05d}"] = np.arange(index)
    with h5py.File(path) as file, open_hdf5(path) as root:
        assert sorted(file) == root.keys() and set(file.attrs) == set(root.attrs)
        for name, value in file.attrs.items():
            assert np.array_equal(value, root.attrs[name]) and type(value) is type(root.attrs[name])
        for name in [name for name in file if name != "group"]:
            assert (
                np.array_equal(file[name][()], root[name].read())
                and file[name].dtype == root[name].read().dtype
            )
        assert np.array_equal(file["z"][13:40], root["z"].rows(13, 40))
        assert np.array_equal(file["group/in/00099"][()], root["group"]["in"]["00099"].read())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_kind_of_array(tmp_path, protocol):
    arrays = [
        np.arange(6).reshape(2, 3)[:, ::-1],
        np.asfortranarray(np.eye(3)),
        np.array([b"a", b"bcd"]),
        np.array(["é"]),
        np.array([True]),
        np.array(5, ">i2"),
        np.zeros((0, 3)),
        np.array([1j]),
        np.float16(2),
        np.bool_(True),
    ]
    path = tmp_path / "a.pickle"
    path.write_bytes(
        pickle.dumps([*arrays, arrays[0], bytearray(b"x"), b"", -(2**70), {(1, "a"): 2}], protocol)
    )
    read = load_pickle(path)
    for array, found in zip(arrays, read, strict=False):
        assert np.array_equal(array, found) and array.dtype == found.dtype
    assert read[len(arrays) :][1:] == [bytearray(b"x"), b"", -(2**70), {(1, "a"): 2}]
    assert os.path.getsize(path)


@pytest.mark.parametrize("kind", ["bytearray", "set", "array"])
def test_calls_on_a_shared_argument_are_counted(tmp_path, kind):
    """A pickle that passes one argument to many calls copies it many times."""

    def named(module, name):
        return f"c{module}\n{name}\n".encode()

    size, calls = 200_000, 20_000
    data = b"B" + struct.pack("<I", size) + b"x" * size
    if kind == "bytearray":
        start = named("builtins", "bytearray") + b"q\x00" + data + b"\x85q\x01"
    elif kind == "set":
        numbers = b"".join(b"J" + struct.pack("<i", i) for i in range(size // 5))
        start = named("builtins", "set") + b"q\x00(" + numbers + b"l\x85q\x01"
    else:
        dtype = named("numpy", "dtype") + b"(U\x02u1K\x00K\x01tR(K\x03U\x01|NNN"
        dtype += 2 * b"J\xff\xff\xff\xff" + b"K\x00tb"
        start = named("numpy._core.numeric", "_frombuffer") + b"q\x00(" + data + dtype
        start += b"J" + struct.pack("<i", size) + b"\x85U\x01Ctq\x01"
    path = tmp_path / "x.pickle"
    path.write_bytes(b"\x80\x02" + start + b"00(" + b"h\x00h\x01R" * calls + b"l.")
    refused(load_pickle, path)


@pytest.mark.parametrize("operation", ["tile", "one_hot"])
def test_a_configuration_computes_nothing(tmp_path, operation):
    inputs = keras.Input((4,))
    path = tmp_path / "x.keras"
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    module, name, options, dtype = {
        "tile": ("keras.src.ops.numpy", "Tile", {"repeats": [3 * 10**9]}, "float32"),
        "one_hot": (
            "keras.layers",
            "CategoryEncoding",
            {"num_tokens": 2 * 10**9, "output_mode": "one_hot"},
            "int32",
        ),
    }[operation]
    constant = {"class_name": "__numpy__", "config": {"value": [1], "dtype": dtype}}
    config["config"]["layers"].append(
        {
            "module": module,
            "class_name": name,
            "config": {**options, "name": "extra"},
            "registered_name": None,
            "name": "extra",
            "inbound_nodes": [{"args": [constant], "kwargs": {}}],
        }
    )
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in {**members, "config.json": json.dumps(config)}.items():
            archive.writestr(member, content)
    refused(load_keras_file, path, match="constants only")


def test_chunks_that_share_their_bytes_are_counted(tmp_path):
    path, count, chunk = tmp_path / "x.h5", 8, 2**26
    with h5py.File(path, "w") as file:
        options = dict(maxshape=(count, None), chunks=(1, chunk), compression="gzip")
        dataset = file.create_dataset("images", (count, 1), "u1", **options)
        for index in range(count):
            dataset.id.write_direct_chunk((index, 0), b"placeholder")
    stream, data = zlib.compress(bytes(chunk), 9), bytearray(path.read_bytes())
    place, end = 0, len(data)
    while (place := data.find(b"TREE", place)) >= 0:
        kind, level, entries = struct.unpack_from("<BBH", data, place + 4)
        for entry in range(entries if (kind, level) == (1, 0) else 0):
            key = place + 24 + entry * 40
            struct.pack_into("<I", data, key, len(stream))
            struct.pack_into("<Q", data, key + 32, end)
        place += 4
    data += stream
    struct.pack_into("<Q", data, 40, len(data))
    path.write_bytes(data)
    with open_hdf5(path) as root:
        with pytest.raises(LimitExceededError, match="chunks unpacks to"):
            root["images"].read()
