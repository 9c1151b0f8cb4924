"""Text files of captions in UTF-8 or UTF-16. Errors name the line and byte."""

import codecs
import os
import re
from pathlib import Path

from kerasgan.io.reading import one_line, short_path


def read_text(path: str | os.PathLike) -> str:
    """Reads a text file.

    Args:
        path: Path of the file. The encoding is UTF-8, with or without a byte order mark, or UTF-16
            with one.

    Returns:
        The text with unchanged line ends.

    Raises:
        ValueError: The encoding is another one, or the text contains NUL characters. The message
            names the file, the line and the byte.
    """
    return decode_text(Path(path).read_bytes(), short_path(path, 120))


def decode_text(data: bytes, where: str) -> str:
    """Decodes the content of a text file as `read_text` does; `where` names it in messages."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec utf-8-sig counts from behind the byte order mark.
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


def read_lines(path: str | os.PathLike) -> list[str]:
    """Reads the lines of a text file without their ends (\\n, \\r\\n or \\r).

    `str.splitlines` would also split at rarer characters, such as U+2028.
    """
    return re.split("\r\n|\n|\r", read_text(path))


def read_json_lines(path: str | os.PathLike) -> list[str]:
    """Reads the lines of a JSON-lines file, which end in \\n or \\r\\n.

    Other line separators may occur inside JSON strings.
    """
    return re.split("\r?\n", read_text(path))


def is_unicode(text: str) -> bool:
    """Returns whether the text can be encoded as UTF-8, that is, contains no lone surrogate."""
    try:
        text.encode()
        return True
    except UnicodeEncodeError:
        return False


def decode(value: str | bytes, where: str | os.PathLike) -> str:
    """Converts a text that a data set stores as `str` or UTF-8 `bytes` to `str`.

    Raises:
        ValueError: The value is neither. The message names `where`.
    """
    try:
        text = value.decode("utf-8") if isinstance(value, bytes) else value
        if isinstance(text, str) and "\0" not in text and is_unicode(text):
            return str(text)
    except UnicodeDecodeError:
        pass
    raise ValueError(
        f"names and captions must be text in UTF-8; {short_path(where)} has "
        f"{one_line(repr(value), 60)}"
    )
