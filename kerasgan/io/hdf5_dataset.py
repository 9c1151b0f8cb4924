"""Data of HDF5 datasets: contiguous or in chunks, with or without compression.

See `kerasgan.io.hdf5`.
"""

import itertools
import struct
import zlib

import numpy as np

from kerasgan.io.hdf5_objects import (
    UNDEFINED,
    File,
    StoredObject,
    Type,
    element_count,
    leaves,
    shape_of,
)
from kerasgan.io.limits import FLOOR, LimitExceededError, check_stored

CHUNK = FLOOR  # Maximum size of one decompressed chunk in bytes.
FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32"}


class Dataset(StoredObject):
    """A dataset of a file, with `shape`, `dtype`, `ndim`, `nbytes` and `attrs` as in h5py.

    Attributes:
        stored: `True` if the data are contiguous and uncompressed, so that reading them needs no
            more memory than they take in the file.
    """

    def __init__(self, file: File, place: int, depth: int):
        super().__init__(file, place, depth)
        type_, space, layout = self._one(0x03), self._one(0x01), self._one(0x08)
        if type_ is None or space is None or layout is None:
            raise ValueError("a dataset lacks its type, shape or layout")
        if self._one(0x07) is not None:
            raise ValueError("a dataset has external storage, which is not supported")
        kind, shape = Type(type_), shape_of(space)
        self.text, self.dtype = kind.dtype is None, kind.dtype
        if shape is None:
            raise ValueError("a dataset has no shape")
        self.shape, self.itemsize = shape, kind.size
        self.nbytes = element_count(self.shape, kind.size)
        self.ndim = len(self.shape)
        if self.nbytes == 0 and max(self.shape) > 2**40:
            raise LimitExceededError("the shape of a dataset is not plausible")
        self.chunks: tuple[int, ...] = ()  # Empty for contiguous data.
        self._index: dict | None = None
        self._charged: set[tuple] = set()  # Offsets of the chunks that are counted.
        self._layout(layout)
        self.stored = not self.chunks

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a scalar has no length")
        return self.shape[0]

    def _layout(self, body):
        version, kind = body[:2]
        if version not in (3, 4):
            raise ValueError(f"a dataset has a layout of version {version}, which is not supported")
        if kind == 0:
            (size,) = struct.unpack_from("<H", body, 2)
            self._data = body[4 : 4 + size]
            check_stored(self.nbytes, len(self._data), "a dataset")
        elif kind == 1:
            address, size = struct.unpack_from("<QQ", body, 2)
            if address == UNDEFINED:
                address = size = 0
            check_stored(self.nbytes, size, "a dataset")
            check_stored(size, max(0, self.file.size - address), "a dataset")
            self._address, self._data = address, None
        elif kind == 2:
            self._chunked(version, body)
        else:
            raise ValueError("a dataset is virtual, which is not supported")

    def _chunked(self, version, body):
        if version == 3:
            count, address = struct.unpack_from("<BQ", body, 2)
            sides = struct.unpack_from(f"<{count}I", body, 11)
        else:
            flags, count, width = body[2:5]
            if width not in (1, 2, 4, 8) or len(body) < 6 + count * width:
                raise ValueError("the chunks of a dataset are truncated")
            sides = tuple(
                int.from_bytes(body[5 + i * width : 5 + (i + 1) * width], "little")
                for i in range(count)
            )
            rest = body[5 + count * width :]
            if rest[0] != 1:
                raise ValueError(
                    "the chunks of a dataset are indexed as with libver='latest', which is not "
                    "supported"
                )
            size, mask = (
                struct.unpack_from("<QI", rest, 1) if flags & 2 else (element_count(sides), 0)
            )
            address = struct.unpack_from("<Q", rest, 13 if flags & 2 else 1)[0]
        self.chunks = sides[:-1]
        if (
            len(self.chunks) != self.ndim
            or not self.ndim
            or 0 in sides
            or sides[-1] != self.itemsize
            or self.text
        ):
            raise ValueError("the chunks of a dataset do not fit its shape")
        self._chunk_bytes = element_count(sides)
        if self._chunk_bytes > CHUNK:
            raise LimitExceededError(
                f"a chunk of a dataset must have at most {CHUNK:,} bytes; it claims "
                f"{self._chunk_bytes:,}"
            )
        self._filters = self._pipeline()
        if version == 4:
            self._index = {(0,) * self.ndim: (address, size, mask)}
        self._tree = address

    def _pipeline(self):
        body = self._one(0x0B)
        if body is None:
            return []
        version, count = body[:2]
        at, found = 8 if version == 1 else 2, []
        for _ in range(count):
            number = struct.unpack_from("<H", body, at)[0]
            named = version == 1 or number >= 256
            length = struct.unpack_from("<H", body, at + 2)[0] if named else 0
            values = struct.unpack_from("<H", body, at + 4 + 2 * named)[0]
            at += 6 + 2 * named + ((length + 7) // 8 * 8 if version == 1 else length) + 4 * values
            at += 4 * (version == 1 and values % 2)
            if number not in FILTERS:
                raise ValueError(
                    f"a dataset may be compressed with deflate only; it uses HDF5's filter {number}"
                )
            found.append(number)
        if len(found) > len(FILTERS):
            raise LimitExceededError("a dataset has too many filters")
        return found

    def _places(self):
        if self._index is None:
            self._index = {}
            for key, address in leaves(self.file, self._tree, 1, 8 + 8 * (self.ndim + 1)):
                size, mask, *offsets = struct.unpack(f"<II{self.ndim + 1}Q", key)
                self._index[tuple(offsets[:-1])] = address, size, mask
        return self._index

    def _chunk(self, offsets):
        if offsets not in self._places():
            raise ValueError("a dataset lacks a part of its data")
        address, size, mask = self._places()[offsets]
        # Index entries may share one compressed stream, so each chunk counts, when first read.
        if offsets not in self._charged:
            self._charged.add(offsets)
            self.file.budget.unpack(self._chunk_bytes, "a dataset's chunks")
        data = self.file.at(address, size)
        for index, number in reversed([*enumerate(self._filters)]):
            if mask >> index & 1:
                continue
            if number == 3:
                data = data[:-4]
            elif number == 1:
                unpacker = zlib.decompressobj()
                data = unpacker.decompress(data, self._chunk_bytes + 4)
            elif len(data) == self._chunk_bytes:  # Shuffle: the first bytes of all values first.
                data = np.frombuffer(data, "u1").reshape(self.itemsize, -1).T.tobytes()
        if len(data) != self._chunk_bytes:
            raise ValueError("the size of a chunk does not fit its shape")
        return np.frombuffer(data, self.dtype).reshape(self.chunks)

    def read(self) -> np.ndarray:
        """Reads the whole dataset. The file's size limits what compressed data may unpack to."""
        if self.stored:  # Datasets do not share bytes.
            check_stored(self.nbytes, self.file.left, "a dataset")
            self.file.left -= self.nbytes
        if not self.shape:
            return self._plain(0, self.nbytes).reshape(())[()]
        return self.rows(0, self.shape[0])

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Reads the rows from `start` to `stop`."""
        stop = min(stop, self.shape[0])
        row = element_count(self.shape[1:], self.itemsize)
        if self.stored:
            return self._plain(start * row, (stop - start) * row).reshape(
                stop - start, *self.shape[1:]
            )
        if (stop - start) * row > max(FLOOR, self.file.budget.unpacked):
            raise LimitExceededError(
                "the rows of a dataset unpack to more than its file's size allows"
            )
        made = np.empty((stop - start, *self.shape[1:]), self.dtype)
        steps = [range(start // self.chunks[0] * self.chunks[0], stop, self.chunks[0])]
        steps += [
            range(0, length, side)
            for length, side in zip(self.shape[1:], self.chunks[1:], strict=True)
        ]
        if element_count([len(step) for step in steps]) > len(self._places()):
            raise ValueError("a dataset lacks a part of its data")
        for offsets in itertools.product(*steps) if made.size else ():
            chunk = self._chunk(offsets)
            target, taken = [], []
            for axis, offset in enumerate(offsets):
                low, high = (start, stop) if axis == 0 else (0, self.shape[axis])
                first, last = max(offset, low), min(offset + self.chunks[axis], high)
                target.append(slice(first - low, last - low))
                taken.append(slice(first - offset, last - offset))
            made[tuple(target)] = chunk[tuple(taken)]
        return made

    def _plain(self, start, count):
        if self.text:
            raise ValueError("datasets of variable-length text are not supported")
        if self._data is not None:
            data = self._data[start : start + count]
        else:
            data = self.file.at(self._address + start, count)
        array = np.frombuffer(data, self.dtype if self.dtype != bool else "u1")
        if self.dtype == bool:
            if array.size and array.max() > 1:
                raise ValueError("a dataset of booleans contains other values")
            array = array.astype(bool)
        return array.copy()
