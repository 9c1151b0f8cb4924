"""One-line error messages for files that cannot be read: rule, file name, reason."""

import codecs
import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kerasgan.io.limits import MIB, LimitExceededError, check_depth
from kerasgan.io.paths import user_path

LONGEST = 300  # Maximum length of a message in characters.
JSON_DEPTH = 200  # The configuration of a model of models has about 60 levels.
JSON_BYTES = 4096 * MIB  # COCO's largest annotations have 450 MiB.


def one_line(text: object, longest: int = LONGEST) -> str:
    """Returns the text in one line of at most `longest` characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return text if len(text) <= longest else text[: longest - 4].rstrip() + " ..."


def short_path(path: object, longest: int = 160) -> str:
    """Returns the path for a message. Long paths are shortened at the start."""
    text = one_line(path, 10**6)
    return text if len(text) <= longest else "..." + text[3 - longest :]


def reason(error: Exception, longest: int = LONGEST) -> str:
    """Returns the message of an exception in one line, without Keras' copy of the configuration."""
    text = str(error).strip("'\" \n\t")
    for tail in (" Full object config", "\n\nconfig=", "Full config"):
        text = text.split(tail)[0]
    text = one_line(text, longest)
    if isinstance(error, (KeyError, AttributeError, IndexError, TypeError)) or not text:
        text = one_line(f"{type(error).__name__} {text}", longest)
    return text


@contextlib.contextmanager
def reading(
    path: str | os.PathLike,
    rule: str,
    kind: type[ValueError] = ValueError,
    others: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Context manager that converts exceptions to `<rule>; received <path> (<reason>)`.

    Exceptions of type `kind` that already name the file pass through, shortened to one line if
    needed. So do exceptions of a `kind` other than `ValueError`. Warnings of the reading libraries
    are errors here, because they indicate damage.

    Args:
        path: Path of the file.
        rule: Requirement on the file, such as "statistics must be an .npz file with mu and sigma".
            If it contains `{path}`, the message is `<rule>: <reason>`.
        kind: `ValueError` or a subclass, the type of the new exception.
        others: Further exception types that pass through if they name the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SyntaxWarning)
            warnings.filterwarnings(
                "error", category=DeprecationWarning, module=r"kerasgan\.io|numpy"
            )
            yield
    except Exception as error:  # Damaged files raise many types of exceptions.
        named = Path(path).name in str(error)
        if (
            isinstance(error, kind)
            and (named or kind is not ValueError)
            or named
            and isinstance(error, others)
        ):
            if len(str(error)) <= LONGEST and "\n" not in str(error):
                raise
            raise type(error)(_cut(str(error), path)) from None
        raise kind(refusal(rule, path, error)) from None


def refusal(rule: str, path: str | os.PathLike, error: Exception) -> str:
    """Returns `<rule>; received <path> (<reason>)` in at most `LONGEST` characters."""
    place = short_path(path)
    if "{path}" in rule:
        rule = rule.replace("{path}", place)
        return f"{rule}: {reason(error, LONGEST - len(rule) - 2)}"
    rule = one_line(rule, LONGEST - len(place) - 50)
    return f"{rule}; received {place} ({reason(error, LONGEST - len(rule) - len(place) - 14)})"


def _cut(text, path):
    """Shortens a message so that it still names the file."""
    text = one_line(text.replace(str(path), short_path(path)), 10**6)
    if len(text) <= LONGEST or short_path(path) in text[: LONGEST - 4]:
        return one_line(text)
    return one_line(f"{short_path(path)}: {text}")


def json_parts(content: Any) -> Iterator[Any]:
    """Yields every value in parsed JSON, containers before their parts. It does not recurse."""
    waiting = [content]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, dict):
            waiting.extend(part.values())


def parse_json(text: str | bytes, what: str = "the JSON") -> Any:
    """Parses JSON with limits of length and depth (`JSON_BYTES`, `JSON_DEPTH`).

    Args:
        text: JSON text.
        what: Name of the text in messages.

    Raises:
        LimitExceededError: The text is too long, or its containers are nested too deeply.
        ValueError: The text is not JSON.
    """
    if len(text) > JSON_BYTES:
        raise LimitExceededError(
            f"{what} has {len(text):,} characters; at most {JSON_BYTES:,} are read"
        )
    try:
        content = json.loads(text)
    except RecursionError:
        raise LimitExceededError(
            f"{what} must have at most {JSON_DEPTH} levels of nested containers"
        ) from None
    check_depth(content, JSON_DEPTH, what)
    return content


def sha256(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(user_path(path), "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def read_json(
    path: str | os.PathLike, rule: str, kind: type[ValueError] = ValueError, shape: type = object
) -> Any:
    """Reads a JSON file in UTF-8, or in UTF-16 with a byte order mark.

    Args:
        path: Path of the file.
        rule: Requirement on the file for error messages, see `reading`.
        kind: Type of the exception, `ValueError` or a subclass.
        shape: Required type of the content, such as `dict`.

    Raises:
        OSError: The file does not exist.
        ValueError: The content is not JSON, nested too deeply or not a `shape`. The exception has
            the type `kind`.
    """
    data = user_path(path).read_bytes()
    with reading(path, rule, kind):
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        content = parse_json(data.decode("utf-16" if wide else "utf-8-sig"))
        if not isinstance(content, shape):
            raise TypeError(f"it contains a {type(content).__name__}")
    return content
