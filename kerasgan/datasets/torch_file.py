"""Reads PyTorch's files of weights without torch, as NumPy arrays, and runs nothing in them.

Both formats are supported: since PyTorch 1.6, a zip archive with a pickle and one file per storage;
before, pickles followed by the bytes of the storages. See
https://docs.pytorch.org/docs/stable/notes/serialization.html. Only the names in `NAMES` may occur
in the pickles, and `kerasgan.io.pickle_reader` makes the objects.
"""

import mmap
import os
import pickle
import zipfile
from typing import Any, NamedTuple

import numpy as np

from kerasgan.io.limits import LimitExceededError, check_stored
from kerasgan.io.paths import user_path
from kerasgan.io.pickle_reader import UnsafePickleError, read_pickle
from kerasgan.io.pickle_values import DATA, Function, Name
from kerasgan.io.reading import one_line, reading, reason, short_path

LEGACY = pickle.dumps(0x1950A86A20F9469CFC6C, 2)  # The first bytes of a file of PyTorch < 1.6.
DTYPES = {
    "Double": "f8",
    "Float": "f4",
    "Half": "f2",
    "Long": "i8",
    "Int": "i4",
    "Short": "i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "?",
}


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    length: int


class _Tensor(NamedTuple):
    """A view of a storage, which may not have been read yet."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


def _rebuilt(storage, offset, shape, strides, *_):
    whole = type(offset) is int and all(
        type(part) is tuple and len(part) <= 32 and all(type(n) is int for n in part)
        for part in (shape, strides)
    )
    if type(storage) is not _Storage or not whole or len(shape) != len(strides):
        raise ValueError("a tensor must have a storage, an offset, a shape and strides")
    return _Tensor(storage, offset, shape, strides)


def _parameter(tensor, *_):
    if type(tensor) is not _Tensor:
        raise ValueError("a parameter must be a tensor")
    return tensor


NAMES = DATA | {("torch", f"{name}Storage"): Name(name) for name in DTYPES}
NAMES |= {
    ("torch._utils", name): Function(f"torch._utils.{name}", make)
    for name, make in (
        ("_rebuild_tensor", _rebuilt),
        ("_rebuild_tensor_v2", _rebuilt),
        ("_rebuild_parameter", _parameter),
    )
}


def _storage(reference):
    if type(reference) is not tuple or len(reference) < 5:
        raise ValueError("a storage must have a type, a key, a device and a count")
    kind, storage_type, key, _, count, *view = reference
    if kind != "storage" or any(view) or type(storage_type) is not Name or type(key) is not str:
        raise ValueError(f"{kind} of {key} is not a plain storage")
    if type(count) is not int or not 0 <= count < 2**60 or "/" in key:
        raise ValueError(f"storage {key} must have a count of at least 0")
    return _Storage(key, np.dtype(DTYPES[storage_type.name]), count)


def _read(data, start=0, budget=None):
    """Reads one of PyTorch's pickles. Returns its content and the position after it.

    The version that a state_dict carries as its state is ignored.
    """
    return read_pickle(
        data,
        NAMES,
        start=start,
        persistent=_storage,
        leaves=(_Tensor, _Storage),
        states=(dict,),
        budget=budget,
    )


def load_torch_file(path: str | os.PathLike) -> Any:
    """Reads a file of `torch.save` with tensors, numbers, text, lists, tuples and dictionaries.

    Args:
        path: Path of a file of either format. Tensors may have any type in `DTYPES` and any device.

    Returns:
        The content of the file with NumPy arrays in place of tensors and parameters.

    Raises:
        UnsafePickleError: The file contains another object, such as `posix.system`. It was not
            run. This is a `ValueError`.
        ValueError: The file is damaged or not a file of PyTorch.
        OSError: The file does not exist.
    """
    path = user_path(path)
    with path.open("rb") as file, reading(path, "a PyTorch file must be complete"):
        size = os.fstat(file.fileno()).st_size
        try:
            return (_legacy if file.peek(len(LEGACY)).startswith(LEGACY) else _zipped)(file, size)
        except UnsafePickleError as error:
            raise UnsafePickleError(
                "a PyTorch file of weights may contain tensors, numbers, text and containers of "
                f"them; {short_path(path)} contains {one_line(error, 80)}; none of it was run"
            ) from None
        except Exception as error:  # Damaged files raise many types of exceptions.
            raise ValueError(
                f"a PyTorch file must be complete; {short_path(path)} ({size:,} bytes) cannot be "
                f"read: {reason(error)}"
            ) from None


def _zipped(file, size):
    with zipfile.ZipFile(file) as archive:
        members = {member.filename: member for member in archive.infolist()}
        (record,) = (
            name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")
        )
        folder = record.removesuffix("data.pkl")
        left = size  # PyTorch neither compresses data nor stores them twice.

        def stored(name):
            nonlocal left
            member = members[name]
            if member.compress_type != zipfile.ZIP_STORED:
                raise LimitExceededError(f"{name} must not be compressed")
            check_stored(member.file_size, left, name)
            left -= member.file_size
            return archive.read(member)

        if folder + "byteorder" in members and stored(folder + "byteorder") != b"little":
            raise ValueError("it was written on a big-endian machine")

        def read(storage):
            name, needed = f"{folder}data/{storage.key}", storage.length * storage.dtype.itemsize
            if members[name].file_size != needed:
                raise ValueError(
                    f"{name} must have {needed} bytes; it has {members[name].file_size}"
                )
            return stored(name)

        content, _ = _read(stored(record))
        return _with_arrays(content, read, {}, {})


def _legacy(file, size):
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place, parts = 0, []
        for _ in range(5):
            part, place = _read(data, place)
            parts.append(part)
        _, _, system, content, keys = parts
        if type(system) is not dict or type(keys) is not list:
            raise ValueError("it must contain a dictionary of the system and a list of storages")
        if not system["little_endian"]:
            raise ValueError("it was written on a big-endian machine")
        found, storages = (
            {},
            {tensor.storage.key: tensor.storage for tensor in _tensors(content, set())},
        )
        for key in keys:
            count = int.from_bytes(data[place : place + 8], "little", signed=True)
            if type(key) is not str or key not in storages or count != storages[key].length:
                raise ValueError(f"storage {key} of {count} numbers does not belong to a tensor")
            place += 8
            needed = count * storages[key].dtype.itemsize
            check_stored(needed, size - place, f"storage {key}")
            found[key] = data[place : place + needed]
            place += needed
    return _with_arrays(content, lambda storage: found[storage.key], {}, {})


def _tensors(content, seen):
    """Yields the tensors in a content. Shared parts are visited once."""
    if type(content) is _Tensor:
        yield content
    elif type(content) in (dict, list, tuple) and id(content) not in seen:
        seen.add(id(content))
        for item in content.values() if type(content) is dict else content:
            yield from _tensors(item, seen)


def _with_arrays(content, read, storages, done):
    """Returns `content` with arrays in place of tensors.

    `storages` caches the storages that were read, and `done` the containers that were converted.
    """
    if type(content) is _Storage:
        raise ValueError("a storage must belong to a tensor")
    if type(content) is _Tensor:
        storage, offset, shape, strides = content
        if storage not in storages:
            storages[storage] = np.frombuffer(read(storage), storage.dtype, storage.length)
        last = offset + sum(
            (length - 1) * stride for length, stride in zip(shape, strides, strict=True)
        )
        count = int(np.prod(shape, dtype=object))
        # The memory outside of the storage belongs to other objects.
        if (
            min(offset, *shape, *strides, 0) < 0
            or count > storage.length
            or (count and last >= storage.length)
        ):
            raise ValueError(
                f"a tensor of shape {list(shape)} extends beyond its storage of {storage.length} "
                "numbers"
            )
        if not count:
            return np.empty(shape, storage.dtype)
        view = storages[storage][offset:]
        return np.lib.stride_tricks.as_strided(
            view, shape, [n * storage.dtype.itemsize for n in strides]
        )
    if type(content) not in (dict, list, tuple):
        return content
    if id(content) not in done:  # The id is unique while `content` exists.
        if type(content) is dict:
            made = {key: _with_arrays(item, read, storages, done) for key, item in content.items()}
        else:
            made = type(content)(_with_arrays(item, read, storages, done) for item in content)
        done[id(content)] = made
    return done[id(content)]
