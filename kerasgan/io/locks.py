"""Lock of a folder that allows one writing process, names it, and does not outlive it.

The lock is the file `.lock` in the folder. It contains its owner's host, boot id, process id and
start time of the process. The owner holds an `flock` on it if the file system supports that.
Otherwise this record alone decides: a lock of this host is stale if its process no longer runs.
"""

import atexit
import contextlib
import errno
import json
import os
import pathlib
import platform
from collections.abc import Iterator

from kerasgan.io import files
from kerasgan.io.paths import user_path
from kerasgan.io.reading import parse_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"
# Real path of a folder -> [count, descriptor or None, process].
_held: dict[str, list] = {}


class LockedError(files.WriteError):
    """Another process writes to the folder. The message names its host and process id."""


def _read(path):
    try:
        return pathlib.Path(path).read_text().strip()
    except (OSError, ValueError):
        return ""


def _started(process):
    """Returns when a process started, in ticks since boot. It tells apart processes of equal id."""
    fields = _read(f"/proc/{process}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else ""


def _owner():
    process = os.getpid()
    return {
        "host": platform.node(),
        "boot": _read("/proc/sys/kernel/random/boot_id"),
        "pid": process,
        "started": _started(process),
    }


def _recorded(path):
    try:
        found = parse_json(path.read_text(), "the lock")
        return {
            "host": str(found["host"]),
            "boot": str(found["boot"]),
            "pid": int(found["pid"]),
            "started": str(found["started"]),
        }
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _gone(owner):
    """Returns whether the owner has certainly ended. A process of another host counts as alive."""
    here = _owner()
    if owner["host"] != here["host"]:
        return False
    if owner["boot"] != here["boot"]:
        return True
    try:
        os.kill(owner["pid"], 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        pass  # The process belongs to another user.
    # A zombie has no start time, so its lock is stale too.
    return bool(owner["started"]) and owner["started"] != _started(owner["pid"])


def _refuse(folder, owner):
    who = f"process {owner['pid']} on {owner['host']}" if owner else "another process"
    raise LockedError(
        f"{folder} is written to by {who}; wait for it or stop it (if it no longer runs, delete "
        f"{folder / NAME})"
    )


def _flock(descriptor):
    """Returns `True` if locked, `False` if another process has it, `None` if not supported."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None


def acquire(folder: str | os.PathLike) -> None:
    """Locks a folder for this process. The folder is created if needed.

    Each call needs a matching call of `release`.

    Raises:
        LockedError: Another process has the lock.
        WriteError: The folder cannot be written to.
    """
    folder = files.make_folder(folder)
    key = os.path.realpath(folder)
    if key in _held and _held[key][2] == os.getpid():
        _held[key][0] += 1
        return
    take = _take_by_flock if _has_flock(folder) else _take_by_record
    for _ in range(100):
        taken, descriptor = take(folder, folder / NAME)
        if taken:
            _held[key] = [1, descriptor, os.getpid()]
            files.sweep(folder)
            return
    _refuse(folder, None)


def _has_flock(folder):
    probe = folder / f"{NAME}.{os.getpid()}"
    with files.write_errors(folder / NAME):
        descriptor = os.open(probe, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        return _flock(descriptor) is not None
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)


def _take_by_flock(folder, path):
    """Returns `(True, descriptor that holds the lock)`, or `(False, None)` to try again."""
    with files.write_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if _flock(descriptor):
            if _same(descriptor, path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, json.dumps(_owner()).encode())
                return True, descriptor
            os.close(descriptor)  # Its owner deleted it in the meantime.
            return False, None
        os.close(descriptor)
    owner = _recorded(path)
    if owner is None or not _gone(owner):
        _refuse(folder, owner)
    path.unlink(missing_ok=True)  # A child process of the dead owner still holds it.
    return False, None


def _same(descriptor, path):
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _take_by_record(folder, path):
    """`_take_by_flock` for file systems without `flock`: creating the file takes the lock."""
    with files.write_errors(path):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            owner = _recorded(path)
            if owner is None or not _gone(owner):
                _refuse(folder, owner)
            stale = path.with_name(f"{NAME}.stale-{os.getpid()}")
            with contextlib.suppress(FileNotFoundError):
                os.rename(path, stale)  # Only one of several processes succeeds.
                if _recorded(stale) != owner:  # This is the new lock of a faster process.
                    os.rename(stale, path)
                    _refuse(folder, _recorded(path))
                stale.unlink()
            return False, None
        os.write(descriptor, json.dumps(_owner()).encode())
        os.close(descriptor)
    return True, None


def release(folder: str | os.PathLike) -> None:
    """Undoes one `acquire`. The last one deletes the lock file."""
    key = os.path.realpath(user_path(folder))
    held = _held.get(key)
    if held is None or held[2] != os.getpid():  # A child process inherits its parent's table.
        return
    held[0] -= 1
    if held[0] == 0:
        del _held[key]
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(key, NAME))
        if held[1] is not None:
            os.close(held[1])


@contextlib.contextmanager
def locked(folder: str | os.PathLike) -> Iterator[None]:
    """Context manager that calls `acquire` and `release`."""
    acquire(folder)
    try:
        yield
    finally:
        release(folder)


@atexit.register
def _release_all():
    for key in list(_held):
        _held[key][0] = 1
        release(key)
