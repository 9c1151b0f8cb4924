"""Keeps the programs that JAX compiles in files, so that a recipe starts sooner the second time.

JAX reads the environment variables below when it is imported; the other backends ignore them.
"""

import hashlib
import importlib.util
import os
import pathlib
import platform

SETTINGS = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
LARGEST = 1 << 30  # Bytes. JAX deletes the programs that were not used for the longest time.


def keep_compilations() -> None:
    """Sets JAX's cache folder, `$KERASGAN_CACHE/jax`, unless `JAX_COMPILATION_CACHE_DIR` is set."""
    folder = _cache_folder() / "jax" / _processor()
    if "JAX_COMPILATION_CACHE_DIR" in os.environ or not _writable(folder):
        return
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if importlib.util.find_spec("filelock"):  # JAX needs it to limit the size.
        os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(LARGEST))


def _cache_folder():
    """`kerasgan.io.paths.cache_folder()`. Its package imports Keras, and with it JAX."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(
        os.environ.get("KERASGAN_CACHE") or pathlib.Path(base) / "kerasgan"
    ).expanduser()


def _processor():
    """A name for the kind of processor: programs of another kind may use missing instructions."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        lines = []
    kinds = sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    text = "\n".join([platform.machine(), *kinds])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _writable(folder):
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)
