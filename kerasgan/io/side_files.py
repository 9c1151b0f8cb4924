"""Files beside a run's checkpoints that nothing depends on: pictures, logs, notes, settings, versions, pages.

A damaged one never stops a run: it is read as if it were not there, with a note, and written anew where it can be.
What is not a file and stands where one goes is moved aside.
"""

import os
import pathlib
import sys

from kerasgan.io import files
from kerasgan.io.reading import parse_json


def read_or_default(path, read, default=None, notes=None):
    """`read(path)`; of a file that is not there `default`, and of a damaged one `default` and a note.

    Args:
        path: the file.
        read: a function of the path; whatever it raises is the file's damage.
        default: what stands for the file.
        notes: a list to which the note is added; None prints it.
    """
    path = pathlib.Path(path)
    if not os.path.lexists(path):
        return default
    try:
        return read(path)
    except Exception as error:  # a decoder raises what it likes; KeyboardInterrupt is no Exception
        report_damaged(path, error, notes)
        return default


def report_damaged(path, error, notes=None):
    """Notes that a file is left out, and why."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:150]
    line = f"{pathlib.Path(path).name} is left out, since it is damaged: {reason}"
    if notes is None:
        print(f"note: {line} ({path})", file=sys.stderr)
    else:
        notes.append(line)


def json_object(path):
    """Reads a JSON file that holds an object, a dictionary; raises ValueError for any other."""
    found = parse_json(pathlib.Path(path).read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"it must hold a JSON object; it holds a {type(found).__name__}")
    return found


def clear_path(path, folder=False):
    """Moves aside what stands at `path` and is no file (with `folder`: no folder), and returns the path."""
    path = pathlib.Path(path)
    wrong = path.exists() and not path.is_dir() if folder else path.is_dir()
    if wrong:
        set_aside(path)
    return path


def set_aside(path):
    """Renames what is damaged or no file to `<name>.aside`, and says so."""
    path = pathlib.Path(path)
    taken = (path.with_name(f"{path.name}.aside{n or ''}") for n in range(1000))
    aside = next(other for other in taken if not os.path.lexists(other))
    path.rename(aside)
    print(f"note: {path} was damaged or of another kind; it is now {aside.name}", file=sys.stderr)


def write(path, content):
    """`files.write_atomically`, after `clear_path`."""
    files.write_atomically(clear_path(path), content)


def write_json(path, values):
    """`files.write_json`, after `clear_path`."""
    files.write_json(clear_path(path), values)
