"""Reads arrays in NumPy's formats .npy and .npz.

Headers are checked against the size of the file before memory is allocated.
"""

import os
import zipfile
from collections.abc import Collection
from typing import IO, BinaryIO

import numpy as np

from kerasgan.io.limits import Budget, check_stored
from kerasgan.io.paths import user_path
from kerasgan.io.reading import reading

HEADER = 10_000  # Maximum length of a header in bytes.
BLOCK = 2**24  # Number of bytes per read.


def array_header(
    file: IO[bytes], size: int, what: str = "the array"
) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Reads and checks the header of an array in NumPy's format.

    Args:
        file: Binary file, positioned at the start of the array.
        size: Number of bytes from there to the end of the array.
        what: Name of the array in messages.

    Returns:
        `(shape, fortran, dtype)`. The data type is a plain numeric, boolean or text type. The file
        contains all data that the header declares, from its current position on.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{what} must have version 1 or 2 of NumPy's format; it has {version}")
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
        raise ValueError(f"{what} must contain plain numbers or text; it contains {dtype}")
    count = dtype.itemsize
    for length in shape:
        if type(length) is not int or not 0 <= length < 2**62:
            raise ValueError(f"the shape of {what} must consist of integers of at least 0")
        count *= length
    check_stored(count, size - file.tell(), what)
    if len(shape) > 32 or (not count and max(shape) > 2**40):
        raise ValueError(f"{what} must have at most 32 dimensions and a plausible shape")
    return shape, fortran, dtype


def read_array(file: IO[bytes], size: int, what: str = "the array") -> np.ndarray:
    """Reads a whole array. The arguments are those of `array_header`."""
    shape, fortran, dtype = array_header(file, size, what)
    data, left = bytearray(), int(np.prod(shape, dtype=object)) * dtype.itemsize
    while left:
        part = file.read(min(left, BLOCK))
        if not part:
            raise EOFError(f"{what} is truncated")
        data += part
        left -= len(part)
    file.read(1)  # At the end of a zip member, this verifies its checksum.
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def load_npy(
    path: str | os.PathLike,
    rule: str = "an .npy file must be complete",
    kind: type[ValueError] = ValueError,
) -> np.ndarray:
    """Loads the array of an .npy file.

    Args:
        path: Path of the file.
        rule: Requirement on the file for error messages, see `reading`.
        kind: Type of the exception, `ValueError` or a subclass.

    Raises:
        ValueError: The file is damaged. The exception has the type `kind`, and its message is one
            line that names the file.
        OSError: The file does not exist.
    """
    path = user_path(path)
    with open(path, "rb") as file, reading(path, rule, kind):
        return read_array(file, os.fstat(file.fileno()).st_size)


class Arrays:
    """Reads the arrays of an .npz file one at a time, by name.

    Args:
        file: Path or open binary file.
    """

    def __init__(self, file: BinaryIO | str | os.PathLike):
        # `zipfile` closes a file that it opened itself together with the last open member.
        size: int = (
            os.path.getsize(file)
            if isinstance(file, (str, os.PathLike))
            else os.fstat(file.fileno()).st_size
        )
        self.budget = Budget(size)
        self.archive = zipfile.ZipFile(file)
        self.members = {
            m.filename[:-4]: m for m in self.archive.infolist() if m.filename.endswith(".npy")
        }

    def open(self, name: str) -> tuple[IO[bytes], int]:
        """Opens an array. Returns the binary file and its size in bytes.

        The caller limits how much of it is unpacked.
        """
        try:
            member = self.members[name]
            if member.compress_type == zipfile.ZIP_STORED:
                check_stored(member.file_size, self.budget.size, name)
            return self.archive.open(member), member.file_size
        except Exception:
            self.archive.close()
            raise

    def __getitem__(self, name: str) -> np.ndarray:
        file, size = self.open(name)
        self.budget.unpack(size, name)
        with file:
            return read_array(file, size, name)


def load_npz(
    path: str | os.PathLike,
    names: Collection[str] | None = None,
    rule: str = "an .npz file must be complete",
    kind: type[ValueError] = ValueError,
) -> dict[str, np.ndarray]:
    """Loads arrays of an .npz file.

    Args:
        path: Path of the file.
        names: Names of the arrays to load. Names that the file lacks are ignored. `None` loads all.
        rule: Requirement on the file for error messages, see `reading`.
        kind: Type of the exception, `ValueError` or a subclass.

    Raises:
        ValueError: The file is damaged. The exception has the type `kind`, and its message is one
            line that names the file.
        OSError: The file does not exist.
    """
    path = user_path(path)
    with open(path, "rb") as file, reading(path, rule, kind):
        arrays = Arrays(file)
        return {name: arrays[name] for name in arrays.members if names is None or name in names}


def array_names(path: str | os.PathLike) -> set[str]:
    """Returns the names of the arrays in an .npz file, or an empty set if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return set(Arrays(file).members)
    except Exception:  # The reader of the arrays reports the damage.
        return set()
