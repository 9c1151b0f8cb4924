"""Structure of HDF5 files: object headers, types, shapes, B-trees and attributes.

Every address and length is checked before it is used; see `kerasgan.io.hdf5`.
"""

import mmap
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from kerasgan.io.limits import DEPTH, Budget, LimitExceededError, check_stored

SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNDEFINED = 2**64 - 1
# Bit positions and exponent bias of IEEE floats by their size in bytes.
FLOATS = {2: (10, 5, 0, 10, 15), 4: (23, 8, 0, 23, 127), 8: (52, 11, 0, 52, 1023)}


class File:
    """The bytes of a file and the budget for reading them."""

    def __init__(self, data: bytes | mmap.mmap):
        self.data = data
        self.size = self.left = len(data)
        self.budget = Budget(self.size)
        self.heaps: dict[int, dict[int, tuple[int, int]]] = {}

    def at(self, place: int, count: int) -> bytes:
        """Returns `count` bytes at an address."""
        if not 0 <= place <= self.size or not 0 <= count <= self.size - place:
            raise LimitExceededError(
                f"it refers to {count:,} bytes at {place:,}, beyond its {self.size:,} bytes"
            )
        return self.data[place : place + count]

    def unpack(self, code: str, place: int) -> tuple:
        """Unpacks little-endian values at an address; `code` is that of `struct`."""
        return struct.unpack("<" + code, self.at(place, struct.calcsize("<" + code)))

    def root_header(self) -> int:
        """Returns the address of the object header of the root group."""
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
        return header

    def messages(self, place: int) -> list[tuple[int, int, bytes]]:
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

    def heap_object(self, address: int, index: int) -> bytes:
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


class Type:
    """The type of the elements of a dataset or attribute.

    `dtype` is `None` for variable-length text.
    """

    def __init__(self, body: bytes):
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


def shape_of(body: bytes) -> tuple[int, ...] | None:
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


def element_count(shape: Iterable[int], size: int = 1) -> int:
    """Returns the number of elements of a shape, multiplied by `size`."""
    for length in shape:
        size *= length
    return size


def leaves(file: File, place: int, kind: int, key: int) -> Iterator[tuple[bytes, int]]:
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


class StoredObject:
    """A group or dataset of a file: its messages and attributes.

    Args:
        file: The file.
        place: Address of its object header.
        depth: Number of groups above it.
    """

    def __init__(self, file: File, place: int, depth: int):
        if depth > DEPTH:
            raise LimitExceededError(f"its groups must have at most {DEPTH} levels")
        self.file, self.depth = file, depth
        self.messages = file.messages(place)
        self._attributes: dict[str, Any] | None = None

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
        kind, shape = Type(parts[1]), shape_of(parts[2])
        if shape is None:
            return name, None
        data = body[place:]
        needed = element_count(shape, kind.size)
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
