import collections
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from kerasgan.datasets.torch_file import LEGACY, load_torch_file

ARRAYS = {
    "conv.weight": np.arange(24, dtype="float32").reshape(2, 3, 2, 2),
    "bn.running_var": np.float32([2, 0.5]),
    "bn.num_batches_tracked": np.array(7),
    "half": np.float16([[1, 2]]),
    "empty": np.empty((0, 4), "float64"),
}
TYPES = {"float32": "Float", "float16": "Half", "float64": "Double", "int64": "Long"}


class Call:
    """Is pickled as the call of a function that need not exist, here by its name."""

    def __init__(self, name, *arguments):
        self.name, self.arguments = name, arguments


class Name:
    def __init__(self, module, name):
        self.module, self.name = module, name


class Pickler(pickle._Pickler):
    """Writes calls and names of modules that are not installed, and storages as PyTorch does: by
    reference.
    """

    def persistent_id(self, content):
        return content.value if isinstance(content, Reference) else None

    def save(self, content, save_persistent_id=True):
        if isinstance(content, Name):
            self.write(f"c{content.module}\n{content.name}\n".encode())
        elif isinstance(content, Call):
            self.save(content.name)
            self.save(content.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(content, save_persistent_id)


class Reference:
    def __init__(self, *value):
        self.value = value


def dump(content):
    file = io.BytesIO()
    Pickler(file, 2).dump(content)
    return file.getvalue()


def tensor(key, array, *view, shape=None, strides=None, offset=0, count=None):
    storage = Reference(
        "storage",
        Name("torch", TYPES[array.dtype.name] + "Storage"),
        key,
        "cpu",
        array.size if count is None else count,
        *view,
    )
    shape = array.shape if shape is None else shape
    strides = tuple(n // array.itemsize for n in array.strides) if strides is None else strides
    return Call(
        Name("torch._utils", "_rebuild_tensor_v2"), storage, offset, shape, strides, False, {}
    )


def write_zip(path, content, arrays, byteorder=b"little"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", dump(content))
        archive.writestr("archive/byteorder", byteorder)
        for key, array in enumerate(arrays):
            archive.writestr(f"archive/data/{key}", array.tobytes())
    return path


def write_legacy(path, content, arrays, little=True):
    system = {"protocol_version": 1001, "little_endian": little, "type_sizes": {}}
    parts = [
        LEGACY,
        *(dump(part) for part in (1001, system, content, [str(key) for key in range(len(arrays))])),
    ]
    parts += [struct.pack("<q", array.size) + array.tobytes() for array in arrays]
    path.write_bytes(b"".join(parts))
    return path


def write(path, arrays, legacy=False):
    """A state_dict of `arrays` as PyTorch would write it."""
    views = (None,) if legacy else ()
    content = {
        name: tensor(str(key), array, *views) for key, (name, array) in enumerate(arrays.items())
    }
    return (write_legacy if legacy else write_zip)(path, content, [*arrays.values()])


@pytest.mark.parametrize("legacy", [False, True])
def test_reads_a_state_dict(tmp_path, legacy):
    read = load_torch_file(write(tmp_path / "weights.pth", ARRAYS, legacy))
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype and read[name].shape == array.shape
        np.testing.assert_array_equal(read[name], array)


@pytest.mark.parametrize("legacy", [False, True])
def test_reads_what_torch_writes(tmp_path, legacy):
    torch = pytest.importorskip("torch")
    layer = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 2), torch.nn.BatchNorm2d(2)).half()
    shared = torch.arange(12.0).reshape(3, 4)
    saved = {
        "network": layer.state_dict(),
        "parameter": layer[0].weight,
        "list": [shared, shared.t(), shared[1:, ::2]],
        "epoch": 3,
        "name": "é",
        "none": None,
        "pair": (1.5, True),
        "ordered": collections.OrderedDict(a=1),
    }
    torch.save(saved, tmp_path / "weights.pth", _use_new_zipfile_serialization=not legacy)
    read = load_torch_file(tmp_path / "weights.pth")
    assert list(read) == list(saved) and list(read["network"]) == list(saved["network"])
    for name, value in saved["network"].items():
        np.testing.assert_array_equal(read["network"][name], value.numpy())
    np.testing.assert_array_equal(read["parameter"], layer[0].weight.detach().numpy())
    for array, value in zip(read["list"], saved["list"], strict=True):
        np.testing.assert_array_equal(array, value.numpy())
    assert all(read[key] == saved[key] for key in ("epoch", "name", "none", "pair", "ordered"))


@pytest.mark.parametrize("writer", [write_zip, write_legacy])
@pytest.mark.parametrize(
    "function", ["posix.system", "builtins.eval", "torch._utils._rebuild_qtensor"]
)
def test_nothing_of_a_program_runs(tmp_path, writer, function):
    trace = tmp_path / "ran"
    argument = f"touch {trace}" if function == "posix.system" else f"open({str(trace)!r}, 'w')"
    array = ARRAYS["half"]
    evil = {"weight": tensor("0", array), "evil": Call(Name(*function.rsplit(".", 1)), argument)}
    path = writer(tmp_path / "weights.pth", evil, [array])
    with pytest.raises(
        ValueError, match=f"weights.pth contains {function}; none of it was run"
    ) as raised:
        load_torch_file(path)
    assert "\n" not in str(raised.value) and not trace.exists()


def test_this_test_would_notice_a_program(tmp_path):
    trace = tmp_path / "ran"
    pickle.loads(dump(Call(Name("posix", "system"), f"touch {trace}")))
    assert trace.exists() or os.name != "posix"


@pytest.mark.parametrize("legacy", [False, True])
def test_what_is_cut_or_foreign(tmp_path, legacy):
    path = write(tmp_path / "weights.pth", ARRAYS, legacy)
    whole = path.read_bytes()
    for content in (
        b"",
        whole[:-5],
        whole[: len(whole) // 2],
        whole[:30],
        b"<!DOCTYPE html><html>",
        b"PK\x03\x04",
    ):
        path.write_bytes(content)
        with pytest.raises(
            ValueError,
            match=rf"be complete; .*weights.pth \({len(content):,} bytes\) cannot be read: .",
        ):
            load_torch_file(path)
    with pytest.raises(FileNotFoundError):
        load_torch_file(tmp_path / "none.pth")


@pytest.mark.parametrize("writer", [write_zip, write_legacy])
@pytest.mark.parametrize(
    "view",
    [
        {"shape": (2, 13)},
        {"offset": 1},
        {"offset": -1},
        {"strides": (12, 4, 2, -1)},
        {"strides": (13, 4, 2, 1)},
        {"shape": (10**9,), "strides": (0,)},
        {"shape": (2, 2)},
        {"count": 25},
        {"count": 10**12},
    ],
)
def test_no_tensor_reaches_beyond_its_storage(tmp_path, writer, view):
    array = ARRAYS["conv.weight"]
    if view.get("shape") == (2, 13):
        view = view | {"strides": (13, 1)}
    path = writer(tmp_path / "weights.pth", {"weight": tensor("0", array, **view)}, [array])
    with pytest.raises(ValueError, match="cannot be read: "):
        load_torch_file(path)


def test_one_storage_as_two_types(tmp_path):
    array = ARRAYS["conv.weight"]
    content = {"one": tensor("0", array), "other": tensor("0", array.astype("float64"))}
    with pytest.raises(ValueError, match="cannot be read: "):
        load_torch_file(write_zip(tmp_path / "weights.pth", content, [array]))


def test_a_big_endian_machine(tmp_path):
    for path in (
        write_zip(tmp_path / "a.pth", {}, [], b"big"),
        write_legacy(tmp_path / "b.pth", {}, [], little=False),
    ):
        with pytest.raises(ValueError, match="big-endian"):
            load_torch_file(path)
