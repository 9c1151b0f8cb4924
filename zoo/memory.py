"""Memory of the machine and of this process."""

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
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        lines = []
    if own := [line.split()[1] for line in lines if line.startswith("VmHWM:")]:
        return int(own[0]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
