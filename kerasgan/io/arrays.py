"""Arrays in numpy's formats, .npy and .npz, whose headers are compared with the file before memory
is asked for.
"""

import os
import zipfile

import numpy as np

from kerasgan.io.limits import Budget, check_stored
from kerasgan.io.paths import user_path
from kerasgan.io.reading import reading

HEADER = 10_000  # bytes
BLOCK = 2**24  # bytes that are read at once


def array_header(file, size, what="the array"):
    """Reads numpy's header.

    Args:
        file: binary, at the array's start.
        size: bytes from there to its end.
        what: the array, for messages.

    Returns:
        `(shape, fortran, dtype)` of plain numbers or text; its data are behind the header, and
        whole.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{what} is of numpy's format {version}; 1 and 2 are read")
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, fortran, dtype = read(file, max_header_size=HEADER)
    if (
        dtype.hasobject
        or dtype.names
        or dtype.subdtype
        or dtype.kind not in "biufcSU"
        or not dtype.itemsize
    ):
        raise ValueError(f"{what} must be of plain numbers or text")
    count = dtype.itemsize
    for length in shape:
        if type(length) is not int or not 0 <= length < 2**62:
            raise ValueError(f"{what} must have whole numbers, at least 0, for a shape")
        count *= length
    check_stored(count, size - file.tell(), what)
    if len(shape) > 32 or (not count and max(shape) > 2**40):
        raise ValueError(f"{what} has an absurd shape")
    return shape, fortran, dtype


def read_array(file, size, what="the array"):
    """Reads all of an array; `file`, `size` and `what` as in `array_header`."""
    shape, fortran, dtype = array_header(file, size, what)
    data, left = bytearray(), int(np.prod(shape, dtype=object)) * dtype.itemsize
    while left:
        part = file.read(min(left, BLOCK))
        if not part:
            raise EOFError(f"{what} is cut off")
        data += part
        left -= len(part)
    file.read(1)  # of a zip's member: its checksum is compared at the end
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def load_npy(path, rule="a file of an array must be whole", kind=ValueError):
    """The array in a file *.npy; errors are one line that says the rule and names the file."""
    path = user_path(path)
    with open(path, "rb") as file, reading(path, rule, kind):
        return read_array(file, os.fstat(file.fileno()).st_size)


class Arrays:
    """The arrays in an open file *.npz: their names, and each by its name."""

    def __init__(self, file):  # a path, which the archive closes with its members, or an open file
        size = os.fstat(file.fileno()).st_size if hasattr(file, "fileno") else os.path.getsize(file)
        self.budget = Budget(size)
        self.archive = zipfile.ZipFile(file)
        self.members = {
            m.filename[:-4]: m for m in self.archive.infolist() if m.filename.endswith(".npy")
        }

    def open(self, name):
        """An open member, and its size; what it may unpack to is in proportion to the file's
        size.
        """
        try:
            member = self.members[name]
            if member.compress_type == zipfile.ZIP_STORED:
                check_stored(member.file_size, self.budget.size, name)
            return self.archive.open(member), member.file_size
        except Exception:
            self.archive.close()
            raise

    def __getitem__(self, name):
        file, size = self.open(name)
        self.budget.unpack(size, name)
        with file:
            return read_array(file, size, name)


def load_npz(path, names=None, rule="a file of arrays must be whole", kind=ValueError):
    """The arrays in a file *.npz: those of `names` that are there, or all. Errors as of
    `load_npy`.
    """
    path = user_path(path)
    with open(path, "rb") as file, reading(path, rule, kind):
        arrays = Arrays(file)
        return {name: arrays[name] for name in arrays.members if names is None or name in names}


def array_names(path):
    """The names of the arrays in a file *.npz; none where it is another file or damaged."""
    try:
        with open(path, "rb") as file:
            return set(Arrays(file).members)
    except Exception:  # who reads it says what it is
        return set()
