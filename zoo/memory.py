"""Peak memory of a process."""

import resource
import sys
from pathlib import Path


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
