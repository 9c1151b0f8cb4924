"""Pickles read without Python's unpickler: opcodes of data are interpreted here, and nothing in a
file is ever called.

Built are None, booleans, numbers, text, bytes, lists, tuples, dictionaries, sets, and numpy arrays
and scalars of plain numbers, booleans and text of fixed length. An array is made here from the
description that the pickle holds of it; no `__setstate__` sees the file, since numpy's trusts what
it is told (flags, offsets, addresses). All that the file claims is compared with what the file
holds before memory is asked for.

Opcodes: https://github.com/python/cpython/blob/main/Lib/pickletools.py.
"""

import codecs
import re
import struct
import warnings
from typing import NamedTuple

import numpy as np

from kerasgan.io.limits import DEPTH, Budget, LimitExceededError

INT_BYTES = 16  # of an integer; PyTorch's magic number has ten
KEY_PARTS = 1000  # of a tuple that is a key, all its tuples' parts together
SCALARS = (type(None), bool, int, float, str, bytes)
LEAVES = {*SCALARS, bytearray}


class UnsafePickleError(ValueError):
    """A pickle asks for something that is not data."""


class Function(NamedTuple):
    """What stands for a name of the pickle: `make(*arguments)` builds its result here."""

    name: str
    make: object


class Name(NamedTuple):
    """A name that is only ever an argument."""

    name: str


class _Pending:
    """An array or a type of numbers that is described by the state that comes next."""

    value = None


class _Array(_Pending):
    def build(self, state):
        if type(state) is not tuple or len(state) not in (4, 5):
            raise ValueError("the state of an array must be (version, shape, type, order, data)")
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
                "arrays must be of plain numbers or text, without fields and shapes of their own"
            )
        order = state[1].decode("latin1") if type(state[1]) is bytes else state[1]
        if order not in ("<", ">", "=", "|"):
            raise ValueError(f"the byte order must be <, > or |; received {str(order)[:20]!r}")
        return plain_dtype(self.text).newbyteorder(order)


def plain_dtype(text):
    """A type of numbers, booleans or text of fixed length from its description, such as "f4" or
    "S12".
    """
    if type(text) is bytes:
        text = text.decode("latin1")
    if (
        type(text) is not str
        or len(text) > 16
        or not re.fullmatch(r"[<>=|]?[a-zA-Z?]+[0-9]*", text)
    ):
        raise ValueError(f"arrays must be of plain numbers or text; received {str(text)[:40]!r}")
    dtype = np.dtype(text)
    if (
        dtype.kind not in "biufcSU"
        or dtype.hasobject
        or dtype.names
        or dtype.subdtype
        or dtype.itemsize > 2**20
    ):
        raise ValueError(f"arrays must be of plain numbers or text; received {text!r}")
    return dtype


def make_array(data, dtype, shape, order="C"):
    """An array from its parts, which must fit each other."""
    if type(data) is str:
        data = data.encode("latin1")
    if type(data) is list:
        raise ValueError("arrays must be of plain numbers or text, not of objects")
    if (
        not isinstance(dtype, np.dtype)
        or type(data) not in (bytes, bytearray)
        or type(shape) not in (tuple, int)
    ):
        raise ValueError("an array must be of bytes, with a type and a shape")
    shape = shape if type(shape) is tuple else (shape,)
    if len(shape) > 32 or any(type(n) is not int or not 0 <= n < 2**62 for n in shape):
        raise ValueError("a shape must be of at most 32 whole numbers, at least 0")
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
        raise ValueError("a type must be named by a text")
    plain_dtype(text)
    return _Dtype(text)


def _scalar(dtype, data):
    return make_array(data, dtype, (1,))[0]


def _from_buffer(data, dtype, shape, order):
    return make_array(data, dtype, shape, order)


def _encoded(text, encoding):
    if encoding not in ("latin1", "latin-1") or type(text) is not str:
        raise ValueError("bytes must be written as latin1")
    return text.encode("latin1")


def _bytes(*parts):
    if parts:
        raise ValueError("bytes must be written as such")
    return b""


def _bytearray(data=b"", *encoding):
    if type(data) is str and encoding in (("latin1",), ("latin-1",)):
        data = data.encode("latin1")
    elif encoding:
        raise ValueError("bytes must be written as latin1")
    if type(data) not in (bytes, bytearray):
        raise ValueError(f"a bytearray must be of bytes; received a {type(data).__name__}")
    return bytearray(data)


def _set(kind):
    def make(items=()):
        if type(items) not in (list, tuple):
            raise ValueError(f"a set must be of a list; received a {type(items).__name__}")
        return kind(map(_key, items))

    return make


def ordered_dict(pairs=()):
    """An `OrderedDict`, as a dictionary, which keeps its order too."""
    if type(pairs) not in (list, tuple) or any(
        type(pair) not in (list, tuple) or len(pair) != 2 for pair in pairs
    ):
        raise ValueError("a dictionary must be of pairs")
    return {_key(key): value for key, value in pairs}


def _function(module, name, make):
    return {(module, name): Function(f"{module}.{name}", make)}


NDARRAY = Name("numpy.ndarray")
ORDERED_DICT = _function("collections", "OrderedDict", ordered_dict)
ARRAYS = {("numpy", "ndarray"): NDARRAY} | _function("numpy", "dtype", _dtype)
ARRAYS |= _function("_codecs", "encode", _encoded)
for _core in ("numpy.core", "numpy._core"):  # before and since numpy 2
    ARRAYS |= _function(_core + ".multiarray", "_reconstruct", _reconstruct)
    ARRAYS |= _function(_core + ".multiarray", "scalar", _scalar)
    ARRAYS |= _function(_core + ".numeric", "_frombuffer", _from_buffer)
for _builtins in ("__builtin__", "builtins"):  # Python 2 and 3
    for _name, _make in (
        ("set", _set(set)),
        ("frozenset", _set(frozenset)),
        ("bytearray", _bytearray),
        ("bytes", _bytes),
    ):
        ARRAYS |= _function(_builtins, _name, _make)
DATA = ARRAYS | ORDERED_DICT  # the names that a pickle of data may use


def _key(key):
    """A key of a dictionary or an item of a set: one whose hash costs little."""
    kind = type(key)
    if kind in SCALARS:
        return key
    if kind is tuple:
        parts, seen = [key], 0
        while parts:
            for part in parts.pop():
                seen += 1
                if seen > KEY_PARTS:
                    raise LimitExceededError(f"a key has more than {KEY_PARTS} parts")
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
        raise LimitExceededError(f"a key holds tuples more than {DEPTH} deep")
    for part in key:
        if type(part) is tuple:
            _depth_of_tuple(part, depth + 1)


def read_pickle(
    data,
    names=DATA,
    *,
    start=0,
    encoding="latin1",
    persistent=None,
    leaves=(),
    states=(),
    budget=None,
):
    """Interpret one pickle.

    Args:
        data: `bytes` or an `mmap`.
        names: dictionary of (module, name) to a `Function`, a `Name` or a constant; any other name
            is refused.
        start: where the pickle starts.
        encoding: of what was `str` in Python 2: "latin1", or "bytes", which leaves it as it is.
        persistent: function of a persistent id, for PyTorch's storages; None refuses them.
        leaves: further classes that the content may hold, which `names` and `persistent` made.
        states: classes whose state, such as attributes of a dictionary, is left out.
        budget: a `Budget`; by default one of the data's size.

    Returns:
        The content, a tree of at most `DEPTH` levels, and the place behind the pickle.

    Raises:
        UnsafePickleError: a name that is not known.
        ValueError: what is damaged, or asks for more than a file of its size may
            (`LimitExceededError`).
    """
    budget = budget or Budget(len(data))
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # an escape sequence that is none
        try:
            content, end = _interpret(data, names, start, encoding, persistent, states, budget)
        except (IndexError, struct.error):
            raise ValueError("the pickle is cut short or damaged") from None
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
                f"the pickle claims {count:,} bytes at {place:,}, of {size - place:,} that are left"
            )
        place += count
        return data[place - count : place]

    def line(longest=4096):
        nonlocal place
        end = data.find(b"\n", place, place + longest + 1)
        if end < 0:
            raise ValueError(f"the pickle is cut short or damaged at {place:,}")
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
                f"the pickle expects a {kind.__name__}; it holds a {type(stack[-1]).__name__}"
            )
        return stack[-1]

    def name(module, named):
        if type(module) is not str or type(named) is not str:
            raise ValueError("a name must be text")
        if (module, named) not in names:
            raise UnsafePickleError(f"{module[:80]}.{named[:80]}")
        return names[module, named]

    def called(function, arguments):
        if type(function) is not Function or type(arguments) is not tuple:
            told = (
                function.name if isinstance(function, (Function, Name)) else type(function).__name__
            )
            raise ValueError(f"the pickle calls a {told}")
        try:
            for argument in arguments:
                # The call copies its arguments, and a memoized argument can be passed many times.
                if isinstance(argument, (bytes, bytearray, str)):
                    budget.unpack(len(argument), "the pickle")
                elif isinstance(argument, (list, tuple)):
                    budget.take(len(argument), "the pickle")
            return function.make(*arguments)
        except TypeError:
            raise ValueError(f"{function.name} is given something else than it takes") from None

    def known(value):
        """A value that is whole: what is used again is no description that waits for its state."""
        if isinstance(value, _Pending):
            if value.value is None:
                raise ValueError("an array is used before it is described")
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
        # The commonest first.
        if code in b"K":  # BININT1
            stack.append(data[place])
            place += 1
        elif code in b"hj":  # BINGET, LONG_BINGET
            index = raw(1)[0] if code == 0x68 else _U4(raw(4))[0]
            if index not in memo:
                raise ValueError(f"the pickle uses the value {index:,}, which it has not made")
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
            stack.append(called(function, arguments))
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
            stack.append(called(function, tuple(items())))
        elif code in b"o":  # OBJ
            function, *arguments = items()
            stack.append(called(function, tuple(arguments)))
        elif code in b"p":  # PUT
            put(number(line()))
        elif code in b"g":  # GET
            index = number(line())
            if index not in memo:
                raise ValueError(f"the pickle uses the value {index:,}, which it has not made")
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
                raise ValueError("the pickle holds a text without quotes")
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
                raise ValueError("the pickle is of a protocol after 5")
        elif code == 0x95:  # FRAME
            if _U8(raw(8))[0] > size - place:
                raise LimitExceededError("the pickle is cut short: a frame reaches beyond it")
        elif code in b"Q" and persistent is not None:  # BINPERSID
            stack.append(persistent(stack.pop()))
        elif code in b".":  # STOP
            return known(_item(stack.pop())), place
        else:
            raise ValueError(
                f"the pickle holds the byte {code:#04x} at {place - 1:,}, which is no opcode of "
                "data"
            )


def _item(item):
    if item is _MARK:
        raise ValueError("the pickle is damaged")
    return item


def _long(part):
    if len(part) > INT_BYTES:
        raise LimitExceededError(
            f"an integer must have at most {INT_BYTES} bytes; received one of {len(part):,}"
        )
    return int.from_bytes(part, "little", signed=True)


def _check(content, leaves, budget):
    """The content is of `leaves`, numpy's and containers, is a tree when shared parts are copied,
    and is no larger then than the budget allows: whoever walks it is safe."""
    done, open_ = {}, set()  # id of a container -> (items, height)

    def visit(part, depth):
        if id(part) in done:
            return done[id(part)]
        if depth > DEPTH:
            raise LimitExceededError(
                f"the pickle holds containers more than {DEPTH} deep in each other"
            )
        if id(part) in open_:
            raise ValueError("the pickle holds a container that holds itself")
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
                        f"the pickle stands for more than {budget.items:,} items"
                    )
                if depth + height > DEPTH:
                    raise LimitExceededError(
                        f"the pickle holds containers more than {DEPTH} deep in each other"
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
        return "an array is used before it is described"
    return f"the pickle holds a {type(item).__name__} where data should be"
