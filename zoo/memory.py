"""Memory of the machine and of this process."""

import contextlib
import os
import resource
import sys
from pathlib import Path


def check(size: float, what: str) -> None:
    """Raises `ValueError` if something needs more memory than this machine has.

    Linux promises memory that does not exist and kills the process when it is used.

    Args:
        size: Number of bytes.
        what: What needs them, the beginning of the message.
    """
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > there:
        raise ValueError(
            f"{what} would take about {size / 1e9:,.0f} GB of memory; this machine has "
            f"{there / 1e9:,.0f} GB"
        )


def peak_mib() -> float:
    """Returns the peak resident memory of this process in MiB.

    On Linux, `getrusage` also counts the memory of the parent before `exec`, so `/proc` is
    preferred.
    """
    if own := peak_mib_of("self"):
        return own
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def peak_mib_of(process: int | str) -> float | None:
    """Returns the peak resident memory of a process in MiB.

    It is `None` if the process has ended, and on other systems than Linux.
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    kib = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return kib[0] / 1024 if kib else None  # A process that has ended has no memory.


def children(process: int) -> list[int]:
    """Returns the ids of the processes that a process has started, on Linux."""
    found: list[int] = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):  # One file per thread.
        with contextlib.suppress(OSError):  # The thread or the process has ended.
            found += map(int, path.read_text().split())
    return found
