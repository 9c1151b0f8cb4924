"""The most memory that a process has had."""

import resource
import sys
from pathlib import Path


def peak_mib():
    """Of this process, in MiB. (Linux hands `getrusage` of a new program down from its parent.)"""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        lines = []
    if own := [line.split()[1] for line in lines if line.startswith("VmHWM:")]:
        return int(own[0]) / 1024
    unit = (
        1 if sys.platform == "darwin" else 1024
    )  # ru_maxrss is in bytes on macOS, in KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
