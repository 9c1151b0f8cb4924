"""PyTorch's files of weights, read without torch, so that nothing in them runs: tensors as numpy
arrays.

Both of its formats: since 1.6 a zip with a pickle and a file a storage, before that pickles
followed by the storages' bytes (https://docs.pytorch.org/docs/stable/notes/serialization.html). A
pickle is a program; its names are looked up in `NAMES`, which knows those few that weights need,
and `kerasgan.io.pickle_reader` builds what they stand for.
"""

import mmap
import os
import pickle
import zipfile
from typing import NamedTuple

import numpy as np

from kerasgan.io.limits import LimitExceededError, check_stored
from kerasgan.io.paths import user_path
from kerasgan.io.pickle_reader import DATA, Function, Name, UnsafePickleError, read_pickle
from kerasgan.io.reading import one_line, reading, reason, short_path

LEGACY = pickle.dumps(0x1950A86A20F9469CFC6C, 2)  # the first bytes of a file from before 1.6
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
    count: int


class _Tensor(NamedTuple):
    """A view of a storage that may not be read yet."""

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
        raise ValueError("a tensor must be of a storage, an offset, a shape and strides")
    return _Tensor(storage, offset, shape, strides)


def _parameter(tensor, *_):
    if type(tensor) is not _Tensor:
        raise ValueError("a parameter must be of a tensor")
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
        raise ValueError("a storage must be named by its type, key, device and count")
    kind, storage_type, key, _, count, *view = reference
    if kind != "storage" or any(view) or type(storage_type) is not Name or type(key) is not str:
        raise ValueError(f"{kind} of {key} is no plain storage")
    if type(count) is not int or not 0 <= count < 2**60 or "/" in key:
        raise ValueError(f"storage {key} must have a count of numbers, at least 0")
    return _Storage(key, np.dtype(DTYPES[storage_type.name]), count)


def _read(data, start=0, budget=None):
    """One pickle of PyTorch's, and the place behind it. A state_dict carries its version as a
    state: nobody asks.
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


def load_torch_file(path):
    """Read what `torch.save` wrote of tensors, numbers, text, lists, tuples and dictionaries, such
    as a state_dict.

    Args:
        path: the file, of either format; tensors of any of `DTYPES`, on whatever device they were.

    Returns:
        What was saved, its tensors and parameters as numpy arrays.

    Raises:
        UnsafePickleError: a ValueError; the file asks for anything else, such as `posix.system`;
            nothing of it was run.
        ValueError: the file is cut short or is none of PyTorch's.
        OSError: no such file.
    """
    path = user_path(path)
    with path.open("rb") as file, reading(path, "a PyTorch file must be whole"):
        size = os.fstat(file.fileno()).st_size
        try:
            return (_legacy if file.peek(len(LEGACY)).startswith(LEGACY) else _zipped)(file, size)
        except UnsafePickleError as error:
            raise UnsafePickleError(
                "a PyTorch file of weights may hold tensors, numbers, text and containers of "
                "them; "
                f"{short_path(path)} asks for {one_line(error, 80)}, and nothing of it was run"
            ) from None
        except Exception as error:  # what a broken file raises depends on where it breaks
            told = f"{short_path(path)} ({size:,} bytes) cannot be read: {reason(error)}"
            raise ValueError(f"a PyTorch file must be whole; {told}") from None


def _zipped(file, size):
    with zipfile.ZipFile(file) as archive:
        members = {member.filename: member for member in archive.infolist()}
        (record,) = (
            name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")
        )
        folder = record.removesuffix("data.pkl")
        left = size  # PyTorch compresses nothing, and stores nothing twice

        def stored(name):
            nonlocal left
            member = members[name]
            if member.compress_type != zipfile.ZIP_STORED:
                raise LimitExceededError(f"{name} is compressed, which PyTorch's files are not")
            check_stored(member.file_size, left, name)
            left -= member.file_size
            return archive.read(member)

        if folder + "byteorder" in members and stored(folder + "byteorder") != b"little":
            raise ValueError("it was written on a big-endian machine")

        def read(storage):
            name, needed = f"{folder}data/{storage.key}", storage.count * storage.dtype.itemsize
            if members[name].file_size != needed:
                raise ValueError(
                    f"{name} must be of {needed} bytes, and has {members[name].file_size}"
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
            raise ValueError("it must hold a dictionary of the system and a list of storages")
        if not system["little_endian"]:
            raise ValueError("it was written on a big-endian machine")
        found, storages = (
            {},
            {tensor.storage.key: tensor.storage for tensor in _tensors(content, set())},
        )
        for key in keys:
            count = int.from_bytes(data[place : place + 8], "little", signed=True)
            if type(key) is not str or key not in storages or count != storages[key].count:
                raise ValueError(f"storage {key} of {count} numbers is none of the tensors'")
            place += 8
            needed = count * storages[key].dtype.itemsize
            check_stored(needed, size - place, f"storage {key}")
            found[key] = data[place : place + needed]
            place += needed
    return _with_arrays(content, lambda storage: found[storage.key], {}, {})


def _tensors(content, seen):
    """The tensors in what was read; what is held twice is walked through once."""
    if type(content) is _Tensor:
        yield content
    elif type(content) in (dict, list, tuple) and id(content) not in seen:
        seen.add(id(content))
        for item in content.values() if type(content) is dict else content:
            yield from _tensors(item, seen)


def _with_arrays(content, read, storages, done):
    """`content` with its tensors as arrays; `storages` holds those that are read already, `done`
    what is converted.
    """
    if type(content) is _Storage:
        raise ValueError("a storage must be a tensor's")
    if type(content) is _Tensor:
        storage, offset, shape, strides = content
        if storage not in storages:
            storages[storage] = np.frombuffer(read(storage), storage.dtype, storage.count)
        last = offset + sum(
            (length - 1) * stride for length, stride in zip(shape, strides, strict=True)
        )
        count = int(np.prod(shape, dtype=object))
        # What lies outside the storage is other people's memory.
        if (
            min(offset, *shape, *strides, 0) < 0
            or count > storage.count
            or (count and last >= storage.count)
        ):
            raise ValueError(
                f"a tensor of shape {list(shape)} reaches beyond its storage of {storage.count} "
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
    if id(content) not in done:  # `content` lives on, and so its id is its own
        if type(content) is dict:
            made = {key: _with_arrays(item, read, storages, done) for key, item in content.items()}
        else:
            made = type(content)(_with_arrays(item, read, storages, done) for item in content)
        done[id(content)] = made
    return done[id(content)]
