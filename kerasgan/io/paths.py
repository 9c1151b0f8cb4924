"""Paths that a user passes to the Python API."""

import os
import pathlib


def user_path(path: str | os.PathLike) -> pathlib.Path:
    """Returns `path` as a `pathlib.Path` with a leading `~` replaced by the home folder.

    Every public function that takes a path from the user calls this function first.
    """
    return pathlib.Path(path).expanduser()
