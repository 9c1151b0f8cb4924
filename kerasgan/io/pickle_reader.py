"""Reads pickles without Python's unpickler and without calling anything in a file.

Only the opcodes of data are interpreted. They yield `None`, booleans, numbers, text, bytes, lists,
tuples, dictionaries, sets, and NumPy arrays and scalars of plain numbers, booleans and fixed-length
text. Arrays are made from their description in the pickle, see
`kerasgan.io.pickle_values`. NumPy's `__setstate__` is not used,
since it trusts the flags, offsets and addresses in a file. Every size in the file is compared with
the size of the file before memory is allocated.

Opcodes: https://github.com/python/cpython/blob/main/Lib/pickletools.py.
"""

import codecs
import struct
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from kerasgan.io.limits import DEPTH, Budget, LimitExceededError
from kerasgan.io.pickle_values import DATA, SCALARS, Function, Name, Pending, check_key

INT_BYTES = 16  # Maximum size of an integer. PyTorch's magic number has 10 bytes.
LEAVES = {*SCALARS, bytearray}


class UnsafePickleError(ValueError):
    """A pickle contains a name that is not allowed."""


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
        if isinstance(value, Pending):
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
            stack.append({check_key(pairs[i]): pairs[i + 1] for i in range(0, len(pairs), 2)})
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
            top(dict)[check_key(key)] = _item(value)
        elif code in b"u":  # SETITEMS
            pairs = items()
            target = top(dict)
            for i in range(0, len(pairs), 2):
                target[check_key(pairs[i])] = pairs[i + 1]
        elif code == 0x90:  # ADDITEMS
            found = items()
            top(set).update(map(check_key, found))
        elif code == 0x91:  # FROZENSET
            stack.append(frozenset(map(check_key, items())))
        elif code in b"R" or code == 0x81:  # REDUCE, NEWOBJ
            arguments, function = stack.pop(), stack.pop()
            stack.append(call(function, arguments))
        elif code in b"b":  # BUILD
            state, target = stack.pop(), stack.pop()
            if isinstance(target, Pending) and target.value is None:
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
    if isinstance(item, Pending):
        return "an array is used before its state is known"
    return f"the pickle must contain data only; it contains a {type(item).__name__}"
