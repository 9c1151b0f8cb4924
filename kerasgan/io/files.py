"""Atomic writing of files.

A file is written under a temporary name in its folder, flushed to disk and renamed. HDF5 files are
built in memory first, because HDF5 crashes the process if the disk becomes full while it writes.
`tests/test_layout.py` forbids every other way of writing.
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
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import h5py
import numpy as np

from kerasgan.io.paths import user_path

Path = str | os.PathLike
Content = bytes | str | memoryview | Callable[[BinaryIO], Any]

_LEFT = re.compile(r"\..*\.(\d+)-\d+\.tmp")
_count = itertools.count()


class WriteError(OSError):
    """A file could not be written. The message names the file and the reason."""


@contextlib.contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Context manager that converts `OSError` to a `WriteError` that names `path`."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0] or type(error).__name__
        raise WriteError(f"{path} could not be written: {reason}") from None


def write_atomically(path: Path, content: Content) -> None:
    """Writes a file under a temporary name, flushes it to disk and renames it.

    Args:
        path: Path of the file. Its folder must exist. Devices and pipes are written directly.
        content: `bytes`, `str` (written as UTF-8), or a function that writes to the open binary
            file that it receives.

    Raises:
        WriteError: Writing failed. An existing file is unchanged and no temporary file remains.
    """
    path = user_path(path)
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
        _sync_folder(path.parent)


def _fill(file, content):
    if callable(content):
        content(file)
    else:
        # File names that are not UTF-8 reach Python as surrogates, which UTF-8 cannot encode.
        if isinstance(content, str):
            content = content.encode(errors="backslashreplace")
        file.write(content)


def _sync_folder(path):
    """Makes a rename in a folder durable."""
    if os.name == "posix":  # Other systems cannot open a folder.
        folder = os.open(path, os.O_RDONLY)
        try:
            _sync(folder)
        finally:
            os.close(folder)


def _sync(descriptor):
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # The file system cannot sync.
            raise


def write_json(path: Path, values: Any, indent: int | None = 2) -> None:
    """Writes a JSON file; see `write_atomically`."""
    write_atomically(path, json.dumps(values, indent=indent) + "\n")


def write_npz(path: Path, arrays: Mapping[str, Any], compressed: bool = False) -> None:
    """Writes a dictionary of arrays to an .npz file; see `write_atomically`."""
    made = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(made, **arrays)
    write_atomically(path, made.getbuffer())


def write_hdf5(path: Path, fill: Callable[[h5py.File], Any]) -> None:
    """Writes an HDF5 file that `fill(file)` fills. The file is built in memory first."""
    path = user_path(path)
    name = f"{path.name} {next(_count)}"  # HDF5 treats files in memory with equal names as one.
    with h5py.File(name, "w", driver="core", backing_store=False, block_size=1 << 20) as file:
        fill(file)
        file.flush()
        made = file.id.get_file_image()
    write_atomically(path, made)


def stream_hdf5(path: Path, fill: Callable[[h5py.File], Iterator[Any]]) -> None:
    """Writes an HDF5 file that may be larger than the memory.

    `fill(file)` is a generator function that yields after each part.
    """

    def write(opened):
        steady = _Steady(opened)
        with h5py.File(steady, "w") as file:
            for _ in fill(file):
                file.flush()
                steady.check()
        steady.check()

    write_atomically(path, write)


class _Steady:
    """A file object that hides failures from HDF5, which may crash on them. `check` raises them."""

    def __init__(self, file):
        # Without a buffer, a failure is noticed immediately.
        self.file, self.failed = file.raw, None
        self.position = self.end = 0

    def check(self):
        if self.failed:
            raise self.failed

    def write(self, data):
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            self.file.seek(self.position)
            while len(rest) and not self.failed:  # A nearly full disk accepts only a part.
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


def make_folder(path: Path) -> pathlib.Path:
    """Creates a folder and its parents if needed, and returns its path. Raises `WriteError`."""
    path = user_path(path)
    with write_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[pathlib.Path]:
    """Context manager that writes a folder atomically.

    It gives a temporary folder, which is flushed to disk and renamed `path` after the block. The
    temporary folder is deleted if the block fails, or if another process has made `path` meanwhile.

    Raises:
        WriteError: The folder cannot be written.
    """
    path = make_folder(user_path(path).parent) / user_path(path).name
    with write_errors(path):
        temporary = pathlib.Path(tempfile.mkdtemp(".tmp", f".{path.name[:60]}.", path.parent))
    try:
        yield temporary
        with write_errors(path):
            for file in temporary.glob("**/*"):
                if file.is_file():
                    with open(file, "rb") as opened:
                        _sync(opened.fileno())
            if not path.is_dir():
                temporary.rename(path)
            _sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def copy(source: Path, target: Path) -> None:
    """Copies a file and its time stamp atomically.

    Raises:
        WriteError: `target` cannot be written.
        OSError: `source` cannot be read.
    """
    source, target = user_path(source), user_path(target)
    with open(source, "rb") as opened:
        write_atomically(target, lambda file: shutil.copyfileobj(opened, file))
    shutil.copystat(source, target)


def sweep(folder: Path) -> None:
    """Deletes temporary files of killed processes. No other process may write to the folder."""
    for path in user_path(folder).glob(".*.tmp"):
        match = _LEFT.fullmatch(path.name)
        if match and int(match[1]) != os.getpid():
            with contextlib.suppress(OSError):
                path.unlink()
