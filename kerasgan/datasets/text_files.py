"""Text files of captions: UTF-8 or UTF-16, read exactly or refused with the place."""

import codecs
import re
from pathlib import Path

from kerasgan.io.reading import one_line, short_path


def read_text(path):
    """Read a text file.

    Args:
        path: path of the file: UTF-8, with or without a byte order mark, or UTF-16 with one.

    Returns:
        The text, with its line ends as they are.

    Raises:
        ValueError: another encoding, or NUL characters. One line that names the file, the line and the byte.
    """
    data = Path(path).read_bytes()
    where = short_path(path, 120)
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from behind the mark.
        place = error.start + (3 if data.startswith(codecs.BOM_UTF8) else 0)
        line = data[:place].count(b"\n") + 1
        raise ValueError(
            f"a text file must be UTF-8, or UTF-16 with a byte order mark; {where}, line {line}, "
            f"byte {place}: {data[place : place + 1].hex() or 'cut off'} is neither"
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ValueError(
            f"a text file must be UTF-8, or UTF-16 with a byte order mark; {where}, line {line}: "
            "it holds NUL characters"
        )
    return text


def read_lines(path):
    """The lines of a text file without their ends: \\n, \\r\\n or \\r, not the rarer ones of `str.splitlines`."""
    return re.split("\r\n|\n|\r", read_text(path))


def read_json_lines(path):
    """The lines of a file of JSON lines, which end in \\n or \\r\\n: what else looks like an end may be in a text."""
    return re.split("\r?\n", read_text(path))


def decode(value, where):
    """A text that a data set holds as str or as UTF-8 bytes -> str. Raises ValueError where it is neither."""
    try:
        text = value.decode("utf-8") if isinstance(value, bytes) else value
        if isinstance(text, str) and "\0" not in text:
            return str(text)
    except UnicodeDecodeError:
        pass
    raise ValueError(
        f"names and captions must be text in UTF-8; {short_path(where)} has {one_line(repr(value), 60)}"
    )
