"""Reads HDF5 files in Python and checks every address and length before it is used.

The HDF5 library trusts the content of a file: of 2,000 damaged checkpoints, 60 made it hang and 2
made it crash. This reader is therefore used for files from untrusted sources. It supports what h5py
writes by default and what Keras and this package use: groups, hard links, attributes, and datasets
of plain numbers, booleans and fixed-length text, contiguous or in chunks, with or without deflate
compression. Other features (external and virtual data, soft links, other filters, the indexes of
`libver="latest"`) are refused in one line.

Format: https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html.
"""

import contextlib
import io
import itertools
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from kerasgan.io.limits import DEPTH, FLOOR, Budget, LimitExceededError, check_stored

SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNDEFINED = 2**64 - 1
CHUNK = FLOOR  # Maximum size of one decompressed chunk in bytes.
# Bit positions and exponent bias of IEEE floats by their size in bytes.
FLOATS = {2: (10, 5, 0, 10, 15), 4: (23, 8, 0, 23, 127), 8: (52, 11, 0, 52, 1023)}
FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32"}


def is_hdf5(path: str | os.PathLike) -> bool:
    """Returns whether a file starts with the signature of HDF5."""
    with open(path, "rb") as file:
        return file.read(8) == SIGNATURE


@contextlib.contextmanager
def open_hdf5(source: str | os.PathLike | bytes) -> Iterator["Group"]:
    """Context manager that opens a file and gives its root `Group`.

    Args:
        source: Path of the file, or its content as `bytes`.
    """
    if isinstance(source, bytes):
        yield _File(source).root()
        return
    with open(source, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise ValueError("it is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield _File(data).root()


class _File:
    """The bytes of a file and the budget for reading them."""

    def __init__(self, data):
        self.data = data
        self.size = self.left = len(data)
        self.budget = Budget(self.size)
        self.heaps = {}

    def at(self, place, count):
        if not 0 <= place <= self.size or not 0 <= count <= self.size - place:
            raise LimitExceededError(
                f"it refers to {count:,} bytes at {place:,}, beyond its {self.size:,} bytes"
            )
        return self.data[place : place + count]

    def unpack(self, code, place):
        return struct.unpack("<" + code, self.at(place, struct.calcsize("<" + code)))

    def root(self):
        if self.at(0, min(8, self.size)) != SIGNATURE:
            raise ValueError("it is not an HDF5 file")
        version = self.at(8, 1)[0]
        if version in (0, 1):
            sizes, start = self.at(13, 2), 24 + 4 * version
            base, _, _, _, _, header = self.unpack("6Q", start)
        elif version in (2, 3):
            sizes = self.at(9, 2)
            base, _, _, header = self.unpack("4Q", 12)
        else:
            raise ValueError(f"its superblock must have a version from 0 to 3; it has {version}")
        if sizes != b"\x08\x08" or base:
            raise ValueError("its addresses must have 8 bytes and be relative to its start")
        return Group(self, header, 0)

    def messages(self, place):
        """Returns `[(type, flags, bytes)]` of an object header."""
        found = []
        if self.at(place, 4) == b"OHDR":
            version, flags = self.at(place + 4, 2)
            if version != 2:
                raise ValueError(f"an object header has the unknown version {version}")
            start = place + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            width = 1 << (flags & 3)
            length = int.from_bytes(self.at(start, width), "little")
            head, extra = 4 + 2 * bool(flags & 4), 4
            blocks = [(start + width, length)]
        else:
            version, _, _, _, length = self.unpack("BBHII", place)
            if version != 1:
                raise ValueError(f"there is no object header at {place:,}")
            head, extra, blocks = 8, 0, [(place + 16, length)]
        seen = set()
        while blocks:
            start, length = blocks.pop(0)
            if start in seen:
                raise ValueError("an object header is its own continuation")
            seen.add(start)
            block, at = self.at(start, length), 0
            while at + head <= length:
                self.budget.take(1)
                if extra:
                    kind, size, flags = struct.unpack_from("<BHB", block, at)
                else:
                    kind, size, flags = struct.unpack_from("<HHB", block, at)
                at += head
                if size > length - at:
                    raise LimitExceededError("a message extends beyond its object header")
                body = block[at : at + size]
                at += size
                if kind == 0x10:
                    where, count = struct.unpack_from("<QQ", body)
                    # Blocks of version 2 begin with a signature and end with a checksum.
                    blocks.append(
                        (where + extra, count - 2 * extra) if count >= 2 * extra else (where, 0)
                    )
                elif kind:
                    found.append((kind, flags, body))
        return found

    def heap_object(self, address, index):
        """Returns an object of a global heap, which stores variable-length text."""
        if address not in self.heaps:
            if self.at(address, 4) != b"GCOL":
                raise ValueError(f"there is no heap at {address:,}")
            (total,) = self.unpack("Q", address + 8)
            self.at(address, total)
            objects, place, end = {}, address + 16, address + total
            while place + 16 <= end:
                self.budget.take(1)
                number, _, _, size = self.unpack("HHIQ", place)
                if not number:
                    break
                if size > end - place - 16:
                    raise LimitExceededError("an object extends beyond its heap")
                objects[number] = place + 16, size
                place += 16 + (size + 7) // 8 * 8
            self.heaps[address] = objects
        if index not in self.heaps[address]:
            raise ValueError(f"the heap at {address:,} has no object {index}")
        return self.at(*self.heaps[address][index])


class _Type:
    """The type of the elements of a dataset or attribute.

    `dtype` is `None` for variable-length text.
    """

    def __init__(self, body):
        if len(body) < 8:
            raise ValueError("a type is truncated")
        kind, bits, self.size = (
            body[0] & 15,
            int.from_bytes(body[1:4], "little"),
            int.from_bytes(body[4:8], "little"),
        )
        order = ">" if bits & 1 else "<"
        self.dtype = None
        if (
            kind == 0
            and self.size in (1, 2, 4, 8)
            and body[8:12] == struct.pack("<HH", 0, 8 * self.size)
        ):
            self.dtype = np.dtype(f"{order}{'i' if bits & 8 else 'u'}{self.size}")
        elif kind == 1 and self.size in FLOATS and not bits & 0x40 and len(body) >= 20:
            if struct.unpack_from("<HHBBBBI", body, 8) != (0, 8 * self.size, *FLOATS[self.size]):
                raise ValueError("its floats must have an IEEE format")
            self.dtype = np.dtype(f"{order}f{self.size}")
        elif kind == 3 and 1 <= self.size <= 2**20:
            self.dtype = np.dtype(f"S{self.size}")
        elif (
            kind == 8
            and self.size == 1
            and bits & 0xFFFF == 2
            and b"FALSE" in body
            and b"TRUE" in body
        ):
            self.dtype = np.dtype(bool)
        elif not (kind == 9 and bits & 15 == 1 and self.size == 16):
            raise ValueError(
                f"it contains data of HDF5's class {kind} with {self.size} bytes per element, "
                "which is not supported"
            )


def _shape(body):
    """Returns the shape in a dataspace message, or `None` for an empty dataspace."""
    version, count, flags = body[:3]
    if version == 1:
        start, none = 8, False
    elif version == 2:
        start, none = 4, body[3] == 2
    else:
        raise ValueError(f"a dataspace has the unknown version {version}")
    if count > 32 or len(body) < start + 8 * count:
        raise ValueError("a dataspace is truncated")
    return None if none else struct.unpack_from(f"<{count}Q", body, start)


def _count(shape, size=1):
    for length in shape:
        size *= length
    return size


class _Object:
    def __init__(self, file, place, depth):
        if depth > DEPTH:
            raise LimitExceededError(f"its groups must have at most {DEPTH} levels")
        self.file, self.depth = file, depth
        self.messages = file.messages(place)
        self._attributes = None

    def _one(self, kind):
        found = [body for k, flags, body in self.messages if k == kind]
        if any(flags & 2 for k, flags, _ in self.messages if k == kind):
            raise ValueError("it shares a message between objects, which is not supported")
        return found[0] if found else None

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes by name: `str`, NumPy scalars or NumPy arrays, as h5py returns them."""
        if self._attributes is None:
            dense = self._one(0x15)
            if dense is not None and dense[2 + 2 * (dense[1] & 1) :][:8] not in (b"\xff" * 8, b""):
                raise ValueError(
                    "its attributes are indexed as with libver='latest', which is not supported"
                )
            self._attributes = dict(
                self._attribute(body) for kind, flags, body in self.messages if kind == 0x0C
            )
        return self._attributes

    def _attribute(self, body):
        version, flags, *sizes = struct.unpack_from("<BBHHH", body)
        place = 8 + (version == 3)
        if version not in (1, 2, 3) or (version > 1 and flags):
            raise ValueError(f"an attribute has the unknown version {version}")
        parts = []
        for size in sizes:
            parts.append(body[place : place + size])
            place += (size + 7) // 8 * 8 if version == 1 else size
        name = parts[0].split(b"\0")[0].decode("utf-8")
        kind, shape = _Type(parts[1]), _shape(parts[2])
        if shape is None:
            return name, None
        data = body[place:]
        needed = _count(shape, kind.size)
        check_stored(needed, len(data), f"the attribute {name}")
        if kind.dtype is None:
            texts = [self._text(data[i : i + 16]) for i in range(0, needed, 16)]
            return name, texts[0] if shape == () else np.array(texts, object).reshape(shape)
        array = np.frombuffer(data[:needed], kind.dtype).reshape(shape).copy()
        return name, array[()] if shape == () else array

    def _text(self, element):
        length, address, index = struct.unpack("<IQI", element)
        if not length or not address:
            return ""
        self.file.budget.unpack(length, "its text")
        return self.file.heap_object(address, index)[:length].split(b"\0")[0].decode("utf-8")


class Group(_Object):
    """A group of a file. It maps the names of its members to `Group`s and `Dataset`s."""

    def __init__(self, file: "_File", place: int, depth: int):
        super().__init__(file, place, depth)
        self._places = None

    def keys(self) -> list[str]:
        """Returns the sorted names of the members."""
        return sorted(self._members())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._members())

    def __contains__(self, name: object) -> bool:
        return name in self._members()

    def __getitem__(self, name: str) -> "Group | Dataset":
        """Returns the member of that name."""
        members = self._members()
        if name not in members:
            raise KeyError(f"there is no {name[:80]}")
        # A member has at least 100 bytes. Counting them ends groups that contain each other.
        self.file.budget.take(100)
        member = Group(self.file, members[name], self.depth + 1)
        kinds = {kind for kind, _, _ in member.messages}
        if 0x08 in kinds or 0x03 in kinds:
            return Dataset(self.file, members[name], self.depth + 1)
        return member

    def _members(self):
        if self._places is None:
            table, self._places = self._one(0x11), {}
            if table is not None:
                tree, heap = struct.unpack_from("<QQ", table)
                self._of_table(tree, heap)
            info = self._one(0x02)
            if info is not None and info[2 + 8 * (info[1] & 1) :][:8] != b"\xff" * 8:
                raise ValueError(
                    "its groups are indexed as with libver='latest', which is not supported"
                )
            for kind, _, body in self.messages:
                if kind == 0x06:
                    self._link(body)
        return self._places

    def _link(self, body):
        flags, at, kind = body[1], 2, 0
        if flags & 8:
            kind, at = body[at], at + 1
        at += 8 * bool(flags & 4) + bool(flags & 16)
        width = 1 << (flags & 3)
        length = int.from_bytes(body[at : at + width], "little")
        name = body[at + width : at + width + length].decode("utf-8")
        if kind:
            raise ValueError(f"{name[:80]} is a soft or external link, which is not supported")
        (self._places[name],) = struct.unpack_from("<Q", body, at + width + length)

    def _of_table(self, tree, heap):
        if self.file.at(heap, 4) != b"HEAP":
            raise ValueError(f"there are no names at {heap:,}")
        size, _, start = self.file.unpack("QQQ", heap + 8)
        self.file.budget.unpack(size, "its names")
        names = self.file.at(start, size)
        for node in _leaves(self.file, tree, 0, 8):
            place = node[1]
            if self.file.at(place, 4) != b"SNOD":
                raise ValueError(f"there is no list of members at {place:,}")
            (count,) = self.file.unpack("H", place + 6)
            for index in range(count):
                self.file.budget.take(1)
                offset, address, cached = self.file.unpack("QQI", place + 8 + 40 * index)
                end = names.find(b"\0", offset)
                if offset >= size or end < 0:
                    raise ValueError("the name of a member lies outside the heap of names")
                name = names[offset:end].decode("utf-8")
                if cached == 2 or address == UNDEFINED:
                    raise ValueError(f"{name[:80]} is a soft link, which is not supported")
                self._places[name] = address


def _leaves(file, place, kind, key):
    """Yields `(key, address)` of each child of the leaves of a version 1 B-tree."""
    seen, waiting = set(), [(place, None)]
    while waiting:
        place, above = waiting.pop()
        if place == UNDEFINED:
            continue
        if place in seen or file.at(place, 4) != b"TREE":
            raise ValueError(f"there is no index at {place:,}")
        seen.add(place)
        node, level, count = file.unpack("BBH", place + 4)
        if node != kind or (above is not None and level != above - 1):
            raise ValueError(f"the index at {place:,} has another type or level")
        found = []
        for index in range(count):
            file.budget.take(1)
            start = place + 24 + index * (key + 8)
            found.append((file.at(start, key), file.unpack("Q", start + key)[0]))
        if level:
            waiting.extend((address, level) for _, address in reversed(found))
        else:
            yield from found


class Dataset(_Object):
    """A dataset of a file, with `shape`, `dtype`, `ndim`, `nbytes` and `attrs` as in h5py.

    Attributes:
        stored: `True` if the data are contiguous and uncompressed, so that reading them needs no
            more memory than they take in the file.
    """

    def __init__(self, file: "_File", place: int, depth: int):
        super().__init__(file, place, depth)
        type_, space, layout = self._one(0x03), self._one(0x01), self._one(0x08)
        if type_ is None or space is None or layout is None:
            raise ValueError("a dataset lacks its type, shape or layout")
        if self._one(0x07) is not None:
            raise ValueError("a dataset has external storage, which is not supported")
        kind = _Type(type_)
        self.text, self.dtype, self.shape = kind.dtype is None, kind.dtype, _shape(space)
        if self.shape is None:
            raise ValueError("a dataset has no shape")
        self.itemsize = kind.size
        self.nbytes = _count(self.shape, kind.size)
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
            size, mask = struct.unpack_from("<QI", rest, 1) if flags & 2 else (_count(sides), 0)
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
        self._chunk_bytes = _count(sides)
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
            for key, address in _leaves(self.file, self._tree, 1, 8 + 8 * (self.ndim + 1)):
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
        row = _count(self.shape[1:], self.itemsize)
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
        if _count([len(step) for step in steps]) > len(self._places()):
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


def rewrite_hdf5(source: str | os.PathLike | bytes) -> bytes:
    """Copies a file with this reader and h5py, so that the HDF5 library can read it safely."""
    import h5py

    def copy(group, target):
        target.attrs.update(
            {name: value for name, value in group.attrs.items() if value is not None}
        )
        for name in group:
            member = group[name]
            if isinstance(member, Group):
                copy(member, target.create_group(name))
            else:
                made = target.create_dataset(name, data=member.read())
                made.attrs.update(
                    {key: value for key, value in member.attrs.items() if value is not None}
                )

    buffer = io.BytesIO()
    with open_hdf5(source) as root, h5py.File(buffer, "w") as file:
        copy(root, file)
    return buffer.getvalue()


def count_values(source: str | os.PathLike | bytes) -> tuple[int, int]:
    """Returns the number of values in all datasets and the number of datasets."""

    def visit(group):
        found = [0, 0]
        for name in group:
            member = group[name]
            part = visit(member) if isinstance(member, Group) else (_count(member.shape), 1)
            found = [found[0] + part[0], found[1] + part[1]]
        return found

    with open_hdf5(source) as root:
        return tuple(visit(root))
