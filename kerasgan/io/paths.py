"""Paths that a user passes to the Python API."""

import os
import pathlib


def user_path(path: str | os.PathLike) -> pathlib.Path:
    """Returns `path` as a `pathlib.Path` with a leading `~` replaced by the home folder.

    Every public function that takes a path from the user calls this function first.
    """
    return pathlib.Path(path).expanduser()


def cache_folder() -> pathlib.Path:
    """Returns the folder of fetched files and compiled steps: `$KERASGAN_CACHE`, or `kerasgan` in
    the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return user_path(os.environ.get("KERASGAN_CACHE") or pathlib.Path(base) / "kerasgan")
