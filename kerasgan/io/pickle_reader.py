"""Reads pickles without Python's unpickler and without calling anything in a file.

Only the opcodes of data are interpreted. They yield `None`, booleans, numbers, text, bytes, lists,
tuples, dictionaries, sets, and NumPy arrays and scalars of plain numbers, booleans and fixed-length
text. Arrays are made here from their description in the pickle. NumPy's `__setstate__` is not used,
since it trusts the flags, offsets and addresses in a file. Every size in the file is compared with
the size of the file before memory is allocated.

Opcodes: https://github.com/python/cpython/blob/main/Lib/pickletools.py.
"""

import codecs
import re
import struct
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from kerasgan.io.limits import DEPTH, Budget, LimitExceededError

INT_BYTES = 16  # Maximum size of an integer. PyTorch's magic number has 10 bytes.
KEY_PARTS = 1000  # Maximum number of items of a tuple that is a key, with those of inner tuples.
SCALARS = (type(None), bool, int, float, str, bytes)
LEAVES = {*SCALARS, bytearray}


class UnsafePickleError(ValueError):
    """A pickle contains a name that is not allowed."""


class Function(NamedTuple):
    """Replacement for a function or class in a pickle. `make(*arguments)` returns its result."""

    name: str
    make: Callable[..., Any]


class Name(NamedTuple):
    """A name that may be used as an argument, but not called."""

    name: str


class _Pending:
    """An array or a dtype whose state comes later in the pickle."""

    value: Any = None

    def build(self, state: Any) -> Any:
        raise NotImplementedError


class _Array(_Pending):
    def build(self, state):
        if type(state) is not tuple or len(state) not in (4, 5):
            raise ValueError("the state of an array must be (version, shape, dtype, order, data)")
        shape, dtype, fortran, data = state[-4:]
        return make_array(data, dtype, shape, "F" if fortran else "C")


class _Dtype(_Pending):
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
        return kind(map(_key, items))

    return make


def ordered_dict(pairs: Any = ()) -> dict:
    """Makes a dictionary from pairs, in place of an `OrderedDict`."""
    if type(pairs) not in (list, tuple) or any(
        type(pair) not in (list, tuple) or len(pair) != 2 for pair in pairs
    ):
        raise ValueError("a dictionary must be made from pairs")
    return {_key(key): value for key, value in pairs}


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


def _key(key):
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


def read_pickle(
    data: Any,
    names: Mapping[tuple[str, str], Any] = DATA,
    *,
    start: int = 0,
    encoding: str = "latin1",
    persistent: Callable[[Any], Any] | None = None,
    leaves: Collection[type] = (),
    states: Collection[type] = (),
    budget: Budget | None = None,
) -> tuple[Any, int]:
    """Reads one pickle.

    Args:
        data: `bytes` or an `mmap`.
        names: Dict from `(module, name)` to a `Function`, a `Name` or a constant. Other names are
            refused.
        start: Position of the pickle in `data`.
        encoding: Encoding of `str` objects of Python 2: `"latin1"`, or `"bytes"` to keep bytes.
        persistent: Function of a persistent id, for PyTorch's storages. `None` refuses them.
        leaves: Further classes that the content may contain, made by `names` and `persistent`.
        states: Classes whose state, such as attributes of a dictionary, is ignored.
        budget: Limits of reading. Defaults to those of the size of `data`.

    Returns:
        The content, a tree of at most `DEPTH` levels, and the position after the pickle.

    Raises:
        UnsafePickleError: The pickle contains a name that is not allowed.
        LimitExceededError: The pickle needs more than its size justifies.
        ValueError: The pickle is damaged.
    """
    budget = budget or Budget(len(data))
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # Invalid escape sequences.
        try:
            content, end = _interpret(data, names, start, encoding, persistent, states, budget)
        except (IndexError, struct.error):
            raise ValueError("the pickle is truncated or damaged") from None
    _check(content, LEAVES.union(leaves), budget)
    return content, end


_U2, _U4, _U8, _I4, _F8 = (struct.Struct(code).unpack for code in ("<H", "<I", "<Q", "<i", ">d"))
_MARK = object()


def _interpret(data, names, start, encoding, persistent, states, budget):  # noqa: C901
    size, place = len(data), start
    stack, memo, operations = [], {}, 0

    def raw(count):
        nonlocal place
        if not 0 <= count <= size - place:
            raise LimitExceededError(
                f"the pickle claims {count:,} bytes at {place:,}; {size - place:,} bytes are left"
            )
        place += count
        return data[place - count : place]

    def line(longest=4096):
        nonlocal place
        end = data.find(b"\n", place, place + longest + 1)
        if end < 0:
            raise ValueError(f"the pickle is truncated or damaged at {place:,}")
        part = data[place:end]
        place = end + 1
        return part

    def text(part):
        return part.decode("latin1") if encoding != "bytes" else part

    def items():
        found = []
        while (item := stack.pop()) is not _MARK:
            found.append(item)
        found.reverse()
        return found

    def top(kind):
        if type(stack[-1]) is not kind:
            raise ValueError(
                f"the pickle must contain a {kind.__name__} here; it contains a "
                f"{type(stack[-1]).__name__}"
            )
        return stack[-1]

    def name(module, named):
        if type(module) is not str or type(named) is not str:
            raise ValueError("the name of a function or class must be text")
        if (module, named) not in names:
            raise UnsafePickleError(f"{module[:80]}.{named[:80]}")
        return names[module, named]

    def call(function, arguments):
        if type(function) is not Function or type(arguments) is not tuple:
            called = (
                function.name if isinstance(function, (Function, Name)) else type(function).__name__
            )
            raise ValueError(f"the pickle calls {called}, which is not a function")
        try:
            for argument in arguments:
                # The call copies its arguments, and a memoized argument can be passed many times.
                if isinstance(argument, (bytes, bytearray, str)):
                    budget.unpack(len(argument), "the pickle")
                elif isinstance(argument, (list, tuple)):
                    budget.take(len(argument), "the pickle")
            return function.make(*arguments)
        except TypeError:
            raise ValueError(f"the arguments of {function.name} are not valid") from None

    def known(value):
        """Returns a value that is used again. Raises if it is an array without its state."""
        if isinstance(value, _Pending):
            if value.value is None:
                raise ValueError("an array is used before its state is known")
            return value.value
        return value

    def put(index):
        if stack[-1] is _MARK:
            raise ValueError("the pickle is damaged")
        memo[index] = stack[-1]

    def number(part, base=10):
        if len(part) > 3 * INT_BYTES:
            raise LimitExceededError(f"an integer must have at most {INT_BYTES} bytes")
        return int(part, base)

    while True:
        operations += 1
        if not operations & 0xFFF:
            budget.tick("the pickle")
        code = data[place]
        place += 1
        # The most frequent opcodes come first.
        if code in b"K":  # BININT1
            stack.append(data[place])
            place += 1
        elif code in b"hj":  # BINGET, LONG_BINGET
            index = raw(1)[0] if code == 0x68 else _U4(raw(4))[0]
            if index not in memo:
                raise ValueError(f"the pickle uses the value {index:,} before it is defined")
            stack.append(known(memo[index]))
        elif code == 0x94:  # MEMOIZE
            put(len(memo))
        elif code in b"q":  # BINPUT
            put(raw(1)[0])
        elif code in b"r":  # LONG_BINPUT
            put(_U4(raw(4))[0])
        elif code in b"M":  # BININT2
            stack.append(_U2(raw(2))[0])
        elif code in b"J":  # BININT
            stack.append(_I4(raw(4))[0])
        elif code in b"G":  # BINFLOAT
            stack.append(_F8(raw(8))[0])
        elif code == 0x8C:  # SHORT_BINUNICODE
            stack.append(str(raw(raw(1)[0]), "utf-8", "surrogatepass"))
        elif code in b"X":  # BINUNICODE
            stack.append(str(raw(_U4(raw(4))[0]), "utf-8", "surrogatepass"))
        elif code == 0x8D:  # BINUNICODE8
            stack.append(str(raw(_U8(raw(8))[0]), "utf-8", "surrogatepass"))
        elif code in b"U":  # SHORT_BINSTRING
            stack.append(text(raw(raw(1)[0])))
        elif code in b"T":  # BINSTRING
            stack.append(text(raw(_I4(raw(4))[0])))
        elif code in b"C":  # SHORT_BINBYTES
            stack.append(raw(raw(1)[0]))
        elif code in b"B":  # BINBYTES
            stack.append(raw(_U4(raw(4))[0]))
        elif code == 0x8E:  # BINBYTES8
            stack.append(raw(_U8(raw(8))[0]))
        elif code == 0x96:  # BYTEARRAY8
            stack.append(bytearray(raw(_U8(raw(8))[0])))
        elif code in b"(":
            stack.append(_MARK)
        elif code in b"N":
            stack.append(None)
        elif code == 0x88:
            stack.append(True)
        elif code == 0x89:
            stack.append(False)
        elif code in b")":
            stack.append(())
        elif code in b"]":
            stack.append([])
        elif code in b"}":
            stack.append({})
        elif code == 0x8F:
            stack.append(set())
        elif code in b"t":
            stack.append(tuple(items()))
        elif code in b"l":
            stack.append(items())
        elif code in b"d":
            pairs = items()
            stack.append({_key(pairs[i]): pairs[i + 1] for i in range(0, len(pairs), 2)})
        elif 0x85 <= code <= 0x87:  # TUPLE1, 2, 3
            count = code - 0x84
            part = stack[-count:]
            if len(part) < count or any(item is _MARK for item in part):
                raise ValueError("the pickle is damaged")
            stack[-count:] = [tuple(part)]
        elif code in b"a":  # APPEND
            item = stack.pop()
            top(list).append(_item(item))
        elif code in b"e":  # APPENDS
            found = items()
            top(list).extend(found)
        elif code in b"s":  # SETITEM
            value, key = stack.pop(), stack.pop()
            top(dict)[_key(key)] = _item(value)
        elif code in b"u":  # SETITEMS
            pairs = items()
            target = top(dict)
            for i in range(0, len(pairs), 2):
                target[_key(pairs[i])] = pairs[i + 1]
        elif code == 0x90:  # ADDITEMS
            found = items()
            top(set).update(map(_key, found))
        elif code == 0x91:  # FROZENSET
            stack.append(frozenset(map(_key, items())))
        elif code in b"R" or code == 0x81:  # REDUCE, NEWOBJ
            arguments, function = stack.pop(), stack.pop()
            stack.append(call(function, arguments))
        elif code in b"b":  # BUILD
            state, target = stack.pop(), stack.pop()
            if isinstance(target, _Pending) and target.value is None:
                target.value = target.build(state)
                stack.append(target.value)
            elif type(target) in states:
                stack.append(target)
            else:
                raise UnsafePickleError(f"a state of a {type(target).__name__}")
        elif code in b"c":  # GLOBAL
            module, named = (str(line(), "utf-8", "replace") for _ in range(2))
            stack.append(name(module, named))
        elif code == 0x93:  # STACK_GLOBAL
            named, module = stack.pop(), stack.pop()
            stack.append(name(module, named))
        elif code in b"i":  # INST
            function = name(*(str(line(), "utf-8", "replace") for _ in range(2)))
            stack.append(call(function, tuple(items())))
        elif code in b"o":  # OBJ
            function, *arguments = items()
            stack.append(call(function, tuple(arguments)))
        elif code in b"p":  # PUT
            put(number(line()))
        elif code in b"g":  # GET
            index = number(line())
            if index not in memo:
                raise ValueError(f"the pickle uses the value {index:,} before it is defined")
            stack.append(known(memo[index]))
        elif code in b"I":
            part = line()
            stack.append(part == b"01" if part in (b"00", b"01") else number(part))
        elif code in b"L":
            stack.append(number(line().removesuffix(b"L")))
        elif code == 0x8A:  # LONG1
            stack.append(_long(raw(raw(1)[0])))
        elif code == 0x8B:  # LONG4
            stack.append(_long(raw(_I4(raw(4))[0])))
        elif code in b"F":
            stack.append(float(line(64)))
        elif code in b"S":  # STRING
            part = line(size).strip()
            if len(part) < 2 or part[:1] != part[-1:] or part[:1] not in (b"'", b'"'):
                raise ValueError("the pickle contains text without quotes")
            stack.append(text(codecs.escape_decode(part[1:-1])[0]))
        elif code in b"V":  # UNICODE
            stack.append(str(line(size), "raw-unicode-escape"))
        elif code in b"0":  # POP
            stack.pop()
        elif code in b"1":  # POP_MARK
            items()
        elif code in b"2":  # DUP
            stack.append(known(_item(stack[-1])))
        elif code == 0x80:  # PROTO
            if raw(1)[0] > 5:
                raise ValueError("the protocol of the pickle must be at most 5")
        elif code == 0x95:  # FRAME
            if _U8(raw(8))[0] > size - place:
                raise LimitExceededError("the pickle is truncated: a frame extends beyond its end")
        elif code in b"Q" and persistent is not None:  # BINPERSID
            stack.append(persistent(stack.pop()))
        elif code in b".":  # STOP
            return known(_item(stack.pop())), place
        else:
            raise ValueError(
                f"the pickle contains the byte {code:#04x} at {place - 1:,}, which is not an "
                "opcode of data"
            )


def _item(item):
    if item is _MARK:
        raise ValueError("the pickle is damaged")
    return item


def _long(part):
    if len(part) > INT_BYTES:
        raise LimitExceededError(
            f"an integer must have at most {INT_BYTES} bytes; received {len(part):,} bytes"
        )
    return int.from_bytes(part, "little", signed=True)


def _check(content, leaves, budget):
    """Checks that walking the content is safe.

    It contains only `leaves`, NumPy values and containers, is a finite tree, and has no more items
    than the budget allows when shared parts are copied.
    """
    done, open_ = {}, set()  # id of a container -> (items, height)

    def visit(part, depth):
        if id(part) in done:
            return done[id(part)]
        if depth > DEPTH:
            raise LimitExceededError(
                f"the pickle must have at most {DEPTH} levels of nested containers"
            )
        if id(part) in open_:
            raise ValueError("the pickle contains a container that contains itself")
        open_.add(id(part))
        count, height = len(part) + 1, 0
        for item in part.values() if type(part) is dict else part:
            kind = type(item)
            if kind in leaves:
                continue
            if kind in CONTAINERS:
                inner, above = visit(item, depth + 1)
                count += inner
                height = max(height, above + 1)
                if count > budget.items:
                    raise LimitExceededError(
                        f"the pickle contains more than {budget.items:,} items when copied"
                    )
                if depth + height > DEPTH:
                    raise LimitExceededError(
                        f"the pickle must have at most {DEPTH} levels of nested containers"
                    )
            elif kind is not np.ndarray and not isinstance(item, np.generic):
                raise ValueError(_foreign(item))
        open_.discard(id(part))
        done[id(part)] = count, height
        return count, height

    if type(content) in CONTAINERS:
        visit(content, 0)
    elif (
        type(content) not in leaves
        and type(content) is not np.ndarray
        and not isinstance(content, np.generic)
    ):
        raise ValueError(_foreign(content))


CONTAINERS = (dict, list, tuple, set, frozenset)


def _foreign(item):
    if isinstance(item, _Pending):
        return "an array is used before its state is known"
    return f"the pickle must contain data only; it contains a {type(item).__name__}"
