"""One writer a folder: a lock that names its owner and does not outlive it.

The lock is the file `.lock` in the folder, with its owner's host, boot, process and the process'
start, under `flock` where the file system has it. Without, the owner's record decides: of this
host, whether that process still runs.
"""

import atexit
import contextlib
import errno
import json
import os
import pathlib
import platform

from kerasgan.io import files
from kerasgan.io.paths import user_path
from kerasgan.io.reading import parse_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

NAME = ".lock"
_held = {}  # real path of a folder -> [count, descriptor or None, process]


class LockedError(files.WriteError):
    """A folder that another process writes to: one line with its host and process."""


def _read(path):
    try:
        return pathlib.Path(path).read_text().strip()
    except (OSError, ValueError):
        return ""


def _started(process):
    """When a process started, in the system's ticks since boot: a process of the same number is
    another one.
    """
    told = _read(f"/proc/{process}/stat").rpartition(")")[2].split()
    return told[19] if len(told) > 19 and told[0] != "Z" else ""


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
    """Whether the owner runs no more, for certain. Of another host nobody knows."""
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
        pass  # it runs, as somebody else's
    return bool(owner["started"]) and owner["started"] != _started(owner["pid"])  # also a zombie's


def _refuse(folder, owner):
    who = f"process {owner['pid']} on {owner['host']}" if owner else "another process"
    raise LockedError(
        f"{folder} is written to by {who}; wait for it or stop it (if it runs no more, delete "
        f"{folder / NAME})"
    )


def _flock(descriptor):
    """True: locked; False: another has it; None: the file system has no such locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None


def acquire(folder):
    """Locks a folder, which is made if need be, for this process; each `acquire` wants its
    `release`.

    Raises:
        LockedError: if another process has it.
        WriteError: if the folder cannot be written to.
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
    """(True, the descriptor that holds the lock), or (False, None): try again."""
    with files.write_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if _flock(descriptor):
            if _same(descriptor, path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, json.dumps(_owner()).encode())
                return True, descriptor
            os.close(descriptor)  # its owner deleted it meanwhile
            return False, None
        os.close(descriptor)
    owner = _recorded(path)
    if owner is None or not _gone(owner):
        _refuse(folder, owner)
    path.unlink(missing_ok=True)  # a child of the dead owner holds it still
    return False, None


def _same(descriptor, path):
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _take_by_record(folder, path):
    """As `_take_by_flock`, on a file system without: who makes the file has the lock."""
    with files.write_errors(path):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            owner = _recorded(path)
            if owner is None or not _gone(owner):
                _refuse(folder, owner)
            stale = path.with_name(f"{NAME}.stale-{os.getpid()}")
            with contextlib.suppress(FileNotFoundError):
                os.rename(path, stale)  # of several that see it stale, one
                if _recorded(stale) != owner:  # another was faster, and this is its lock
                    os.rename(stale, path)
                    _refuse(folder, _recorded(path))
                stale.unlink()
            return False, None
        os.write(descriptor, json.dumps(_owner()).encode())
        os.close(descriptor)
    return True, None


def release(folder):
    """Gives back one `acquire`; the last one deletes the file."""
    key = os.path.realpath(user_path(folder))
    held = _held.get(key)
    if held is None or held[2] != os.getpid():  # a child's copy of its parent's
        return
    held[0] -= 1
    if held[0] == 0:
        del _held[key]
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(key, NAME))
        if held[1] is not None:
            os.close(held[1])


@contextlib.contextmanager
def locked(folder):
    """`acquire` and `release` around a block."""
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
