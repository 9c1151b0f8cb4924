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
import mmap
import os
import struct
from collections.abc import Iterator

from kerasgan.io.hdf5_dataset import Dataset as Dataset
from kerasgan.io.hdf5_objects import SIGNATURE, UNDEFINED, File, StoredObject, element_count, leaves


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
        yield _root(File(source))
        return
    with open(source, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise ValueError("it is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield _root(File(data))


def _root(file):
    return Group(file, file.root_header(), 0)


class Group(StoredObject):
    """A group of a file. It maps the names of its members to `Group`s and `Dataset`s."""

    def __init__(self, file: File, place: int, depth: int):
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
        for node in leaves(self.file, tree, 0, 8):
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
            part = visit(member) if isinstance(member, Group) else (element_count(member.shape), 1)
            found = [found[0] + part[0], found[1] + part[1]]
        return found

    with open_hdf5(source) as root:
        return tuple(visit(root))
