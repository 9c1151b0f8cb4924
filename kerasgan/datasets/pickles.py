"""Reads pickles of numbers, text, NumPy arrays and builtin containers without running any code.

A pickle is a program. `kerasgan.io.pickle_reader` interprets its data opcodes only.
"""

import mmap
import os

from kerasgan.io.paths import user_path
from kerasgan.io.pickle_reader import UnsafePickleError, read_pickle
from kerasgan.io.reading import one_line, reading, reason, short_path


def load_pickle(path, kind=object, encoding="latin1"):
    """Reads a pickle of NumPy arrays, numbers, text, lists, tuples, dictionaries and sets.

    Args:
        path: the file, of any protocol, written by Python 2 or 3.
        kind: what it must hold, such as `list`.
        encoding: of what was `str` in Python 2; "bytes" leaves it as it is, and takes half the
            memory for arrays.

    Raises:
        UnsafePickleError: the pickle asks for anything else, such as `posix.system`; nothing of it
            was run.
        ValueError: the file is cut short, no pickle, or holds something else than `kind`.
        OSError: no such file.
    """
    path = user_path(path)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        with reading(path, "a pickle of data must be whole"):
            try:
                with (
                    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                    if size
                    else _nothing() as data
                ):
                    content, _ = read_pickle(data, encoding=encoding)
            except UnsafePickleError as error:
                raise UnsafePickleError(
                    "a pickle of data may hold numpy arrays, numbers, text and containers of "
                    "them; "
                    f"{short_path(path)} asks for {one_line(error, 80)}, and nothing of it was run"
                ) from None
            except Exception as error:  # what a broken pickle raises depends on where it breaks
                raise ValueError(
                    f"a pickle must be whole; {short_path(path)} ({size:,} bytes) cannot be "
                    f"read: {reason(error)}"
                ) from None
    if not isinstance(content, kind):
        raise ValueError(f"{path} must hold a {kind.__name__}; received {type(content).__name__}")
    return content


def _nothing():
    raise ValueError("it is empty")
