"""Files with one record per finished run, and the runs that are still missing."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.reproduction.recorded import current
from zoo import lazy

files = lazy.module("kerasgan.io.files")


def read(path: Path) -> list[dict]:
    """Read the records of a file, under current names. An absent file has no records.

    Raises:
        ValueError: If the file is not a list of records.
    """
    return current(_read(path))


def _read(path: Path) -> list[dict]:
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text())
        if not all(isinstance(record, dict) for record in found):
            raise ValueError("a record is not a dictionary")
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} is broken ({str(error).splitlines()[0]}); repair or delete it"
        ) from None
    return found


def complete(path: Path, wanted: Iterable[dict], make: Callable[..., dict]) -> None:
    """Make the records that are missing in a file.

    Runs take long, so the file is read again after each run: records that other processes have
    added in the meantime are kept, except one of the same run.

    Args:
        path: File of the records.
        wanted: Fields that identify each run.
        make: Function of these fields, as keyword arguments, that returns the rest of the record.
    """
    for fields in wanted:
        if any(fields.items() <= record.items() for record in _read(path)):
            print(f"{', '.join(f'{name} {value}' for name, value in fields.items())}: done")
            continue
        made = make(**fields)
        others = [record for record in _read(path) if not fields.items() <= record.items()]
        files.write_json(path, [*others, fields | made])


def numbers(flag: str, words: Sequence[str]) -> list[int]:
    """Return the integers of a flag with a comma-separated list.

    Raises:
        ValueError: If a word is no integer.
    """
    try:
        return [int(word) for word in words]
    except ValueError:
        raise ValueError(
            f"--{flag} must be whole numbers, such as 0,1,2; received {','.join(words)}"
        ) from None
