"""PyTorch's files of weights, read without torch, so that nothing in them runs: tensors as numpy arrays.

Both of its formats: since 1.6 a zip with a pickle and a file a storage, before that pickles followed by the storages'
bytes (https://docs.pytorch.org/docs/stable/notes/serialization.html). A pickle is a program; its names are looked up in
`find_class`, which here knows those few that weights need.
"""

import pickle
import struct
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerasgan.data.pickles import Refused

LEGACY = pickle.dumps(0x1950A86A20F9469CFC6C, 2)  # the first bytes of a file from before 1.6
DTYPES = {
    "Double": "f8", "Float": "f4", "Half": "f2", "Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1", "Byte": "u1",
    "Bool": "?",
}  # fmt: skip


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    count: int


class _Tensor(NamedTuple):
    """A view of a storage that may not be read yet."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


class _Mapping(dict):
    def __setstate__(self, state):
        """A state_dict carries its version as an attribute; nobody asks for it."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        known = {
            ("collections", "OrderedDict"): _Mapping,
            ("torch._utils", "_rebuild_tensor"): self._tensor,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
        }
        if module == "torch" and name.removesuffix("Storage") in DTYPES:
            return name.removesuffix("Storage")
        if (module, name) not in known:
            raise Refused(f"{module}.{name}")
        return known[module, name]

    def persistent_load(self, reference):
        kind, storage_type, key, _, count, *view = reference
        if kind != "storage" or any(view):
            raise ValueError(f"{kind} of {key} is no plain storage")
        return _Storage(key, np.dtype(DTYPES[storage_type]), count)

    def _tensor(self, storage, offset, shape, strides, *_):
        return _Tensor(storage, offset, shape, strides)

    def _parameter(self, tensor, *_):
        return tensor


def load_torch_file(path):
    """Read what `torch.save` wrote of tensors, numbers, text, lists, tuples and dictionaries, such as a state_dict.

    Args:
        path: the file, of either format; tensors of any of `DTYPES`, on whatever device they were.

    Returns:
        What was saved, its tensors and parameters as numpy arrays.

    Raises:
        Refused: a ValueError; the file asks for anything else, such as `posix.system`; nothing of it was run.
        ValueError: the file is cut short or is none of PyTorch's.
        OSError: no such file.
    """
    path = Path(path)
    with path.open("rb") as file:
        try:
            return (_legacy if file.peek(len(LEGACY)).startswith(LEGACY) else _zipped)(file)
        except Refused as error:
            raise Refused(
                f"a PyTorch file of weights may hold tensors, numbers, text and containers of them; "
                f"{path} asks for {error}, and nothing of it was run"
            ) from None
        except Exception as error:  # what a broken file raises depends on where it breaks
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"a PyTorch file must be whole; {path} ({path.stat().st_size:,} bytes) cannot be read: {reason}"
            ) from None


def _zipped(file):
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        (record,) = (name for name in names if name.count("/") == 1 and name.endswith("/data.pkl"))
        folder = record.removesuffix("data.pkl")
        if folder + "byteorder" in names and archive.read(folder + "byteorder") != b"little":
            raise ValueError("it was written on a big-endian machine")

        def read(storage):
            name, size = f"{folder}data/{storage.key}", storage.count * storage.dtype.itemsize
            if archive.getinfo(name).file_size != size:
                raise ValueError(f"{name} must be of {size} bytes, and has {archive.getinfo(name).file_size}")
            return archive.read(name)

        with archive.open(record) as content:
            return _with_arrays(_Unpickler(content).load(), read, {})


def _legacy(file):
    _, _, system = (_Unpickler(file).load() for _ in range(3))
    if not system["little_endian"]:
        raise ValueError("it was written on a big-endian machine")
    content, keys = (_Unpickler(file).load() for _ in range(2))
    found = {}

    def read(storage):
        return found[storage.key]

    storages = {tensor.storage.key: tensor.storage for tensor in _tensors(content)}
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        if key not in storages or count != storages[key].count:
            raise ValueError(f"storage {key} of {count} numbers is none of the tensors'")
        found[key] = file.read(count * storages[key].dtype.itemsize)
    return _with_arrays(content, read, {})


def _tensors(content):
    if isinstance(content, _Tensor):
        yield content
    elif isinstance(content, (dict, list, tuple)):
        for item in content.values() if isinstance(content, dict) else content:
            yield from _tensors(item)


def _with_arrays(content, read, storages):
    """`content` with its tensors as arrays; `storages` holds those that are read already."""
    if isinstance(content, _Tensor):
        storage, offset, shape, strides = content
        if storage not in storages:
            storages[storage] = np.frombuffer(read(storage), storage.dtype, storage.count)
        last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
        count = int(np.prod(shape, dtype=object))
        # What lies outside the storage is other people's memory.
        if min(offset, *shape, *strides, 0) < 0 or count > storage.count or (count and last >= storage.count):
            raise ValueError(f"a tensor of shape {list(shape)} reaches beyond its storage of {storage.count} numbers")
        if not count:
            return np.empty(shape, storage.dtype)
        view = storages[storage][offset:]
        return np.lib.stride_tricks.as_strided(view, shape, [n * storage.dtype.itemsize for n in strides])
    if isinstance(content, dict):
        return {key: _with_arrays(item, read, storages) for key, item in content.items()}
    if isinstance(content, (list, tuple)):
        return type(content)(_with_arrays(item, read, storages) for item in content)
    return content
