"""Writing files: whole or not at all, under any failure.

A file is written under a temporary name in its folder, flushed to the disk and renamed. HDF5 files are made in memory
first: HDF5 crashes the process when a disk is full while it writes. `tests/test_layout.py` forbids all other ways.
"""

import contextlib
import errno
import io
import itertools
import json
import os
import pathlib
import re
import shutil

import h5py
import numpy as np

_LEFT = re.compile(r"\..*\.(\d+)-\d+\.tmp")
_count = itertools.count()


class WriteError(OSError):
    """A file that could not be written: one line with its name and the system's reason."""


@contextlib.contextmanager
def write_errors(path):
    """Turns the system's errors into a `WriteError` that names `path`."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0] or type(error).__name__
        raise WriteError(f"{path} could not be written: {reason}") from None


def write_atomically(path, content):
    """Writes a file under a temporary name, sees it on the disk, and renames it.

    Args:
        path: the file; its folder must exist. A device or pipe is written to as it is.
        content: bytes, a text (UTF-8), or a function that writes to the open binary file it is given.

    Raises:
        WriteError: if it fails; a file that was there before is then untouched, and no temporary file is left.
    """
    path = pathlib.Path(path)
    with write_errors(path):
        if path.exists() and not path.is_file() and not path.is_dir():
            with open(path, "wb") as file:
                _fill(file, content)
            return
        temporary = path.with_name(f".{path.name[:60]}.{os.getpid()}-{next(_count)}.tmp")
        try:
            with open(temporary, "x+b") as file:
                _fill(file, content)
                file.flush()
                _sync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        if os.name == "posix":  # elsewhere a folder cannot be opened
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                _sync(folder)  # the rename itself
            finally:
                os.close(folder)


def _fill(file, content):
    if callable(content):
        content(file)
    else:
        file.write(content.encode() if isinstance(content, str) else content)


def _sync(descriptor):
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot sync
            raise


def write_json(path, values, indent=2):
    """Writes a JSON file; see `write_atomically`."""
    write_atomically(path, json.dumps(values, indent=indent) + "\n")


def write_npz(path, arrays, compressed=False):
    """Writes a dictionary of arrays to an .npz file; see `write_atomically`."""
    made = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(made, **arrays)
    write_atomically(path, made.getbuffer())


def write_hdf5(path, fill):
    """Writes an HDF5 file that `fill(file)` fills; see `write_atomically`. It must fit the memory."""
    path = pathlib.Path(path)
    name = f"{path.name} {next(_count)}"  # HDF5 takes files in memory of one name for one file
    with h5py.File(name, "w", driver="core", backing_store=False, block_size=1 << 20) as file:
        fill(file)
        file.flush()
        made = file.id.get_file_image()
    write_atomically(path, made)


def stream_hdf5(path, fill):
    """As `write_hdf5`, of a file larger than the memory: `fill(file)` is a generator that yields after each part."""

    def write(opened):
        steady = _Steady(opened)
        with h5py.File(steady, "w") as file:
            for _ in fill(file):
                file.flush()
                steady.check()
        steady.check()

    write_atomically(path, write)


class _Steady:
    """A file that never fails towards HDF5, which may crash when it does: `check` raises the first failure."""

    def __init__(self, file):
        self.file, self.failed = file.raw, None  # unbuffered: a failure shows at once
        self.position = self.end = 0

    def check(self):
        if self.failed:
            raise self.failed

    def write(self, data):
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            self.file.seek(self.position)
            while len(rest) and not self.failed:  # a nearly full disk takes a part
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            self.failed = self.failed or error
        self.position += size
        self.end = max(self.end, self.position)
        return size

    def readinto(self, buffer):
        count = 0
        try:
            self.file.seek(self.position)
            count = self.file.readinto(buffer)
        except OSError as error:
            self.failed = self.failed or error
        buffer[count:] = bytes(len(buffer) - count)
        self.position += len(buffer)
        return len(buffer)

    def read(self, size):
        buffer = bytearray(size)
        self.readinto(buffer)
        return bytes(buffer)

    def seek(self, offset, whence=0):
        self.position = offset + (0, self.position, self.end)[whence]
        return self.position

    def tell(self):
        return self.position

    def truncate(self, size):
        self.end = size
        try:
            self.file.truncate(size)
        except OSError as error:
            self.failed = self.failed or error
        return size

    def flush(self):
        pass


def make_folder(path):
    """Makes a folder and those above it, where they are not there, and returns its path. Raises `WriteError`."""
    path = pathlib.Path(path)
    with write_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def copy(source, target):
    """Copies a file with its time stamp, the copy whole or not at all. Raises `WriteError`, or OSError of `source`."""
    with open(source, "rb") as opened:
        write_atomically(target, lambda file: shutil.copyfileobj(opened, file))
    shutil.copystat(source, target)


def sweep(folder):
    """Deletes the temporary files that killed processes have left in a folder; call it where nobody else writes."""
    for path in pathlib.Path(folder).glob(".*.tmp"):
        match = _LEFT.fullmatch(path.name)
        if match and int(match[1]) != os.getpid():
            with contextlib.suppress(OSError):
                path.unlink()
