"""Pickles of numbers and text, read so that nothing in them runs: numpy arrays, builtin containers, and nothing else.

A pickle is a program. Its names are looked up in one place, `find_class`, which here knows those few that data need
(https://docs.python.org/3/library/pickle.html#restricting-globals).
"""

import os
import pickle
from pathlib import Path

import numpy as np


def _bytes(text, encoding):
    """What Python 3 writes for bytes in protocols 0 to 2."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes must be written as latin1; received {encoding!r}")
    return text.encode("latin1")


def _array(buffer, dtype, shape, order):
    """What numpy writes for an array in protocol 5."""
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


KNOWN = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _bytes,
    ("collections", "OrderedDict"): dict,  # both keep their order
}
for _core in ("numpy.core", "numpy._core"):  # before and since numpy 2
    KNOWN[_core + ".multiarray", "_reconstruct"] = np.empty(0).__reduce__()[0]
    KNOWN[_core + ".multiarray", "scalar"] = np.float32(0).__reduce__()[0]
    KNOWN[_core + ".numeric", "_frombuffer"] = _array
for _builtins in ("__builtin__", "builtins"):  # Python 2 and 3
    KNOWN.update({(_builtins, kind.__name__): kind for kind in (set, frozenset, bytearray)})


class Refused(ValueError):
    """A pickle asks for something that is not data."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) not in KNOWN:
            raise Refused(f"{module}.{name}")
        return KNOWN[module, name]


def load_pickle(path, kind=object, encoding="latin1"):
    """Read a pickle of numpy arrays, numbers, text, lists, tuples, dictionaries and sets.

    Args:
        path: the file, of any protocol, written by Python 2 or 3.
        kind: what it must hold, such as `list`.
        encoding: of what was `str` in Python 2; "bytes" leaves it as it is, and takes half the memory for arrays.

    Raises:
        Refused: the pickle asks for anything else, such as `posix.system`; nothing of it was run.
        ValueError: the file is cut short, no pickle, or holds something else than `kind`.
        OSError: no such file.
    """
    with Path(path).open("rb") as file:
        try:
            content = _Unpickler(file, encoding=encoding).load()
        except Refused as error:
            raise Refused(
                f"a pickle of data may hold numpy arrays, numbers, text and containers of them; "
                f"{path} asks for {error}, and nothing of it was run"
            ) from None
        except Exception as error:  # what a broken pickle raises depends on where it breaks
            size = os.fstat(file.fileno()).st_size
            raise ValueError(
                f"a pickle must be whole; {path} ({size:,} bytes) cannot be read: {' '.join(str(error).split())}"
            ) from None
    if not isinstance(content, kind):
        raise ValueError(f"{path} must hold a {kind.__name__}; received {type(content).__name__}")
    return content
