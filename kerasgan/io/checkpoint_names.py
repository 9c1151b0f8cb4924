"""Names of checkpoint files, and the search for the files of an epoch in a folder.

A network file is named `<run>_<dataset>_<size>_<letter>_epoch_<n>.h5`.
"""

import math
import os
import re
from pathlib import Path
from typing import Any

from kerasgan.io import files, side_files
from kerasgan.io.checkpoint_file import CheckpointError
from kerasgan.io.paths import user_path

RESUME = "resume"  # The "letter" of the resume file.
PARTIAL = "partial"  # The "letter" of a file within an epoch.
NAME = re.compile(r"(?P<prefix>.+)_(?P<letter>[A-Za-z0-9]+)_epoch_(?P<epoch>\d+)\.h5")


def file_name(run: str, dataset: str, size: int, letter: str, epoch: int) -> str:
    """Returns the name of a file, `<run>_<dataset>_<size>_<letter>_epoch_<epoch>.h5`.

    Args:
        run: Name of the run: letters, digits, `_`, `.` and `-`.
        dataset: Name of the data set, of the same characters.
        size: Height and width of the images in pixels.
        letter: Letters of the network, such as `"G"` or `"D64"`, or `"resume"`.
        epoch: Number of finished epochs.
    """
    for part in (run, dataset):
        if not re.fullmatch(r"[\w.-]+", str(part)) or str(part).startswith("."):
            raise ValueError(
                "run and dataset may consist of letters, digits, '_', '.' and '-'; "
                f"received {part!r}"
            )
    return f"{run}_{dataset}_{int(size)}_{letter}_epoch_{int(epoch)}.h5"


def latest(folder: str | os.PathLike, letter: str = "G", run: str | None = None) -> Path | None:
    """Returns the newest file of one network in a folder, or `None`."""
    found = listed(folder, letter, run)
    return found[-1][1] if found else None


def epochs(
    folder: str | os.PathLike, letter: str, *, run: str, dataset: str, size: int
) -> set[int]:
    """Returns the epochs of all checkpoints of one network of a run in a folder.

    Args:
        folder: Folder of the checkpoints.
        letter, run, dataset, size: Arguments of `file_name`.
    """
    prefix = f"{run}_{dataset}_{size}"
    found = (
        NAME.fullmatch(path.name) for path in user_path(folder).glob(f"{prefix}_{letter}_*.h5")
    )
    return {int(match["epoch"]) for match in found if match and match["prefix"] == prefix}


def listed(
    folder: str | os.PathLike, letter: str, run: str | None = None
) -> list[tuple[int, Path]]:
    """Returns sorted `(epoch, path)` of one letter. Raises if the folder holds several runs."""
    found = [
        (match, path)
        for path in user_path(folder).glob("*.h5")
        if (match := NAME.fullmatch(path.name)) and match["letter"] == letter
    ]
    if run is not None:
        found = [(match, path) for match, path in found if match["prefix"].startswith(f"{run}_")]
    prefixes = sorted({match["prefix"] for match, _ in found})
    if len(prefixes) > 1:
        raise CheckpointError(
            f"the run must be named because {folder} contains several: {', '.join(prefixes)}"
        )
    return sorted((int(match["epoch"]), path) for match, path in found)


def sibling(path: Path, letter: str) -> Path:
    """Returns the path of another network of the same epoch or preset."""
    match = NAME.fullmatch(path.name)
    return path.with_name(
        f"{match['prefix']}_{letter}_epoch_{match['epoch']}.h5" if match else f"{letter}.h5"
    )


def check_folder(folder: str | os.PathLike) -> None:
    """Creates a folder if needed. Raises `CheckpointError` if it is not writable."""
    folder = user_path(folder)
    try:
        files.make_folder(folder)
        probe = folder / f".write-{os.getpid()}"
        files.write_atomically(probe, b"")
        probe.unlink()
    except OSError as error:
        reason = str(error).rpartition(": ")[2]
        raise CheckpointError(
            f"the output folder must be writable; received {folder} ({reason})"
        ) from None


def mark_best(
    folder: str | os.PathLike, path: str | os.PathLike, metric: str, value: float
) -> None:
    """Records the best network file so far, with its metric and value, in `best.json`."""
    path = user_path(path)
    match = NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"path must be a network file of an epoch; received {path}")
    note = dict(file=path.name, epoch=int(match["epoch"]), metric=metric, value=float(value))
    side_files.write_json(user_path(folder) / "best.json", note)


def best(folder: str | os.PathLike) -> dict[str, Any] | None:
    """Returns the content of `best.json` (file, epoch, metric, value), or `None`."""
    return side_files.read_or_default(user_path(folder) / "best.json", _best)


def _best(path):
    note = side_files.json_object(path)
    match = NAME.fullmatch(str(note.get("file")))
    if (
        not match
        or not isinstance(note.get("metric"), str)
        or int(match["epoch"]) != note.get("epoch")
    ):
        raise ValueError("it must contain file, epoch, metric and value")
    if isinstance(note.get("value"), bool) or not math.isfinite(note["value"]):
        raise ValueError(f"value must be a finite number; it is {note['value']!r}")
    return note
