"""Values that a pickle of data may contain, and the names that stand for them.

An array in a pickle is a call of a NumPy function, followed by a state with its shape, dtype and
bytes. `DATA` maps the names of such functions to replacements that check these parts and make a
plain array.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kerasgan.io.limits import DEPTH, LimitExceededError

KEY_PARTS = 1000  # Maximum number of items of a tuple that is a key, with those of inner tuples.
SCALARS = (type(None), bool, int, float, str, bytes)


class Function(NamedTuple):
    """Replacement for a function or class in a pickle. `make(*arguments)` returns its result."""

    name: str
    make: Callable[..., Any]


class Name(NamedTuple):
    """A name that may be used as an argument, but not called."""

    name: str


class Pending:
    """An array or a dtype whose state comes later in the pickle."""

    value: Any = None

    def build(self, state: Any) -> Any:
        raise NotImplementedError


class _Array(Pending):
    def build(self, state):
        if type(state) is not tuple or len(state) not in (4, 5):
            raise ValueError("the state of an array must be (version, shape, dtype, order, data)")
        shape, dtype, fortran, data = state[-4:]
        return make_array(data, dtype, shape, "F" if fortran else "C")


class _Dtype(Pending):
    def __init__(self, text):
        self.text = text

    def build(self, state):
        if (
            type(state) is not tuple
            or len(state) < 5
            or any(part is not None for part in state[2:5])
        ):
            raise ValueError(
                "arrays must contain plain numbers or text, without fields and sub-arrays"
            )
        order = state[1].decode("latin1") if type(state[1]) is bytes else state[1]
        if order not in ("<", ">", "=", "|"):
            raise ValueError(f"the byte order must be <, > or |; received {str(order)[:20]!r}")
        return plain_dtype(self.text).newbyteorder(order)


def plain_dtype(text: str | bytes) -> np.dtype:
    """Returns the dtype of a text such as "f4" or "S12": numbers, booleans or fixed-length text."""
    if type(text) is bytes:
        text = text.decode("latin1")
    if (
        type(text) is not str
        or len(text) > 16
        or not re.fullmatch(r"[<>=|]?[a-zA-Z?]+[0-9]*", text)
    ):
        raise ValueError(f"arrays must contain plain numbers or text; received {str(text)[:40]!r}")
    dtype = np.dtype(text)
    if (
        dtype.kind not in "biufcSU"
        or dtype.hasobject
        or dtype.names
        or dtype.subdtype
        or dtype.itemsize > 2**20
    ):
        raise ValueError(f"arrays must contain plain numbers or text; received {text!r}")
    return dtype


def make_array(data: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    """Makes an array from its parts. Raises `ValueError` if they do not fit each other."""
    if type(data) is str:
        data = data.encode("latin1")
    if type(data) is list:
        raise ValueError("arrays must contain plain numbers or text, not objects")
    if (
        not isinstance(dtype, np.dtype)
        or type(data) not in (bytes, bytearray)
        or type(shape) not in (tuple, int)
    ):
        raise ValueError("an array must have bytes, a dtype and a shape")
    shape = shape if type(shape) is tuple else (shape,)
    if len(shape) > 32 or any(type(n) is not int or not 0 <= n < 2**62 for n in shape):
        raise ValueError("a shape must have at most 32 integers of at least 0")
    count = 1
    for length in shape:
        count *= length
    if count * dtype.itemsize != len(data) or order not in ("C", "F"):
        raise ValueError(
            f"an array of shape {list(shape)[:8]} and {dtype} cannot have {len(data):,} bytes"
        )
    if not dtype.itemsize or 0 in shape:
        if max(shape, default=0) * max(1, dtype.itemsize) > 2**40:
            raise ValueError(f"an array cannot have the shape {list(shape)[:8]}")
        return np.zeros(shape, dtype)
    return np.frombuffer(data, dtype).reshape(shape, order=order).copy(order)


def _reconstruct(kind, shape, letter):
    if kind != NDARRAY or shape not in ((0,), 0):
        raise ValueError("an array must be described by its state")
    return _Array()


def _dtype(text, *flags):
    if len(flags) > 2 or any(flag not in (0, 1) for flag in flags if type(flag) in (int, bool)):
        raise ValueError("a dtype must be given as text")
    plain_dtype(text)
    return _Dtype(text)


def _scalar(dtype, data):
    return make_array(data, dtype, (1,))[0]


def _from_buffer(data, dtype, shape, order):
    return make_array(data, dtype, shape, order)


def _encoded(text, encoding):
    if encoding not in ("latin1", "latin-1") or type(text) is not str:
        raise ValueError("bytes must be encoded as latin1")
    return text.encode("latin1")


def _bytes(*parts):
    if parts:
        raise ValueError("bytes() must have no arguments")
    return b""


def _bytearray(data=b"", *encoding):
    if type(data) is str and encoding in (("latin1",), ("latin-1",)):
        data = data.encode("latin1")
    elif encoding:
        raise ValueError("bytes must be encoded as latin1")
    if type(data) not in (bytes, bytearray):
        raise ValueError(f"a bytearray must be made from bytes; received a {type(data).__name__}")
    return bytearray(data)


def _set(kind):
    def make(items=()):
        if type(items) not in (list, tuple):
            raise ValueError(f"a set must be made from a list; received a {type(items).__name__}")
        return kind(map(check_key, items))

    return make


def ordered_dict(pairs: Any = ()) -> dict:
    """Makes a dictionary from pairs, in place of an `OrderedDict`."""
    if type(pairs) not in (list, tuple) or any(
        type(pair) not in (list, tuple) or len(pair) != 2 for pair in pairs
    ):
        raise ValueError("a dictionary must be made from pairs")
    return {check_key(key): value for key, value in pairs}


def _function(module, name, make):
    return {(module, name): Function(f"{module}.{name}", make)}


NDARRAY = Name("numpy.ndarray")
ORDERED_DICT = _function("collections", "OrderedDict", ordered_dict)
ARRAYS = {("numpy", "ndarray"): NDARRAY} | _function("numpy", "dtype", _dtype)
ARRAYS |= _function("_codecs", "encode", _encoded)
for _core in ("numpy.core", "numpy._core"):  # Before and since NumPy 2.
    ARRAYS |= _function(_core + ".multiarray", "_reconstruct", _reconstruct)
    ARRAYS |= _function(_core + ".multiarray", "scalar", _scalar)
    ARRAYS |= _function(_core + ".numeric", "_frombuffer", _from_buffer)
for _builtins in ("__builtin__", "builtins"):  # Python 2 and 3.
    for _name, _make in (
        ("set", _set(set)),
        ("frozenset", _set(frozenset)),
        ("bytearray", _bytearray),
        ("bytes", _bytes),
    ):
        ARRAYS |= _function(_builtins, _name, _make)
DATA = ARRAYS | ORDERED_DICT  # Names that a pickle of data may contain.


def check_key(key: Any) -> Any:
    """Checks a key of a dictionary or an item of a set: computing its hash must be cheap."""
    kind = type(key)
    if kind in SCALARS:
        return key
    if kind is tuple:
        parts, seen = [key], 0
        while parts:
            for part in parts.pop():
                seen += 1
                if seen > KEY_PARTS:
                    raise LimitExceededError(f"a key must have at most {KEY_PARTS} items")
                if type(part) is tuple:
                    parts.append(part)
                elif type(part) not in SCALARS and not isinstance(part, np.generic):
                    raise ValueError(
                        f"a key must be a number or text; received a {type(part).__name__}"
                    )
        _depth_of_tuple(key)
        return key
    if isinstance(key, np.generic):
        return key
    raise ValueError(f"a key must be a number or text; received a {kind.__name__}")


def _depth_of_tuple(key, depth=0):
    if depth > DEPTH:
        raise LimitExceededError(f"a key must have at most {DEPTH} levels of tuples")
    for part in key:
        if type(part) is tuple:
            _depth_of_tuple(part, depth + 1)
