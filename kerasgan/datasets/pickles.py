"""Reads pickles of numbers, text, NumPy arrays and builtin containers without running any code.

A pickle is a program. `kerasgan.io.pickle_reader` interprets its data opcodes only.
"""

import mmap
import os
from typing import Any

from kerasgan.io.paths import user_path
from kerasgan.io.pickle_reader import UnsafePickleError, read_pickle
from kerasgan.io.reading import one_line, reading, reason, short_path


def load_pickle(path: str | os.PathLike, kind: type = object, encoding: str = "latin1") -> Any:
    """Reads a pickle of NumPy arrays, numbers, text, lists, tuples, dictionaries and sets.

    Args:
        path: Path of a file of any protocol, written by Python 2 or 3.
        kind: Required type of the content, such as `list`.
        encoding: Encoding of `str` objects of Python 2. `"bytes"` keeps them as bytes, which halves
            the memory of arrays.

    Raises:
        UnsafePickleError: The pickle contains another object, such as `posix.system`. None of it
            was run.
        ValueError: The file is damaged, not a pickle, or contains another type than `kind`.
        OSError: The file does not exist.
    """
    path = user_path(path)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        with reading(path, "a pickle of data must be complete"):
            try:
                with (
                    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                    if size
                    else _nothing() as data
                ):
                    content, _ = read_pickle(data, encoding=encoding)
            except UnsafePickleError as error:
                raise UnsafePickleError(
                    "a pickle of data may contain NumPy arrays, numbers, text and containers of "
                    f"them; {short_path(path)} contains {one_line(error, 80)}; none of it was run"
                ) from None
            except Exception as error:  # Damaged pickles raise many types of exceptions.
                raise ValueError(
                    f"a pickle must be complete; {short_path(path)} ({size:,} bytes) cannot be "
                    f"read: {reason(error)}"
                ) from None
    if not isinstance(content, kind):
        raise ValueError(
            f"{path} must contain a {kind.__name__}; it contains a {type(content).__name__}"
        )
    return content


def _nothing():
    raise ValueError("it is empty")
