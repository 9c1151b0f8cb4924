"""Auxiliary files of a run: images, logs, `best.json`, settings, versions, HTML pages.

A damaged auxiliary file never stops a run. It is treated as missing, a note is printed, and it is
written again when possible. A folder in the place of such a file is renamed.
"""

import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

from kerasgan.io import files
from kerasgan.io.paths import user_path
from kerasgan.io.reading import parse_json


def read_or_default(
    path: str | os.PathLike,
    read: Callable[[pathlib.Path], Any],
    default: Any = None,
    notes: list[str] | None = None,
) -> Any:
    """Returns `read(path)`, or `default` if the file is missing or damaged.

    Args:
        path: Path of the file.
        read: Function of the path. Any exception it raises means that the file is damaged.
        default: Value for a missing or damaged file.
        notes: List that receives a note about damage. `None` prints the note.
    """
    path = user_path(path)
    if not os.path.lexists(path):
        return default
    try:
        return read(path)
    except Exception as error:  # Decoders raise many types of exceptions.
        report_damaged(path, error, notes)
        return default


def report_damaged(
    path: str | os.PathLike, error: Exception, notes: list[str] | None = None
) -> None:
    """Records or prints that a damaged file is ignored, and why."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:150]
    line = f"{pathlib.Path(path).name} is left out because it is damaged: {reason}"
    if notes is None:
        print(f"note: {line} ({path})", file=sys.stderr)
    else:
        notes.append(line)


def json_object(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a JSON file whose content must be an object. Raises `ValueError` otherwise."""
    found = parse_json(user_path(path).read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"it must contain a JSON object; it contains a {type(found).__name__}")
    return found


def clear_path(path: str | os.PathLike, folder: bool = False) -> pathlib.Path:
    """Renames what occupies `path` if it is not a file (or not a folder), and returns the path."""
    path = user_path(path)
    wrong = path.exists() and not path.is_dir() if folder else path.is_dir()
    if wrong:
        set_aside(path)
    return path


def set_aside(path: str | os.PathLike) -> None:
    """Renames a damaged file to `<name>.aside` and prints a note."""
    path = user_path(path)
    taken = (path.with_name(f"{path.name}.aside{n or ''}") for n in range(1000))
    aside = next(other for other in taken if not os.path.lexists(other))
    path.rename(aside)
    print(f"note: {path} was damaged or not a file; it was renamed {aside.name}", file=sys.stderr)


def write(path: str | os.PathLike, content: files.Content) -> None:
    """`files.write_atomically`, after `clear_path`."""
    files.write_atomically(clear_path(path), content)


def write_json(path: str | os.PathLike, values: Any) -> None:
    """`files.write_json`, after `clear_path`."""
    files.write_json(clear_path(path), values)
