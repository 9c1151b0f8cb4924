"""Limits of memory, items, nesting depth and time for reading one file.

Readers check these limits before they allocate memory. A valid file needs work in proportion to its
size, so each limit is a function of the file size, with a minimum for small compressed files.
"""

import time
from typing import Any

MIB = 2**20
DEPTH = 64  # Maximum nesting depth of containers.
FLOOR = 256 * MIB  # Unpacked size that every file may have.
RATIO = 100  # Maximum ratio of unpacked size to file size.
SECONDS = 60  # Time limit of every file, plus one second per MiB.


class LimitExceededError(ValueError):
    """Reading the file would take more memory or time than its size justifies."""


class Budget:
    """Remaining budget for reading one file.

    Args:
        size: Size of the file in bytes.
        seconds: Time limit. Defaults to `SECONDS` plus one second per MiB.
    """

    def __init__(self, size: int, seconds: float | None = None):
        self.size = size
        self.unpacked = max(FLOOR, RATIO * size)
        self.items = 10**6 + size
        self.end = time.monotonic() + (SECONDS + size / MIB if seconds is None else seconds)

    def unpack(self, count: int, what: str = "the file") -> None:
        """Spends `count` bytes of decompressed data."""
        if not 0 <= count <= self.unpacked:
            raise LimitExceededError(
                f"{what} unpacks to {count:,} bytes; a file of {self.size:,} bytes may unpack to "
                f"{self.unpacked:,}"
            )
        self.unpacked -= count

    def take(self, count: int, what: str = "the file") -> None:
        """Spends `count` container items."""
        self.items -= count
        if self.items < 0:
            raise LimitExceededError(
                f"{what} contains more items than a file of {self.size:,} bytes can"
            )
        self.tick(what)

    def tick(self, what: str = "the file") -> None:
        """Raises `LimitExceededError` if the time limit has passed."""
        if time.monotonic() > self.end:
            raise LimitExceededError(
                f"{what} takes longer to read than a file of {self.size:,} bytes may"
            )


def check_stored(claimed: int, there: int, what: str) -> None:
    """Raises if uncompressed data claims more bytes than the file contains (`there`)."""
    if not 0 <= claimed <= there:
        raise LimitExceededError(
            f"{what} claims {claimed:,} bytes; the file contains {there:,} of them"
        )


def check_depth(content: Any, limit: int = DEPTH, what: str = "the file") -> None:
    """Raises if the containers of a tree, such as parsed JSON, have more than `limit` levels."""
    level, depth = [content], 0
    while level:
        if depth > limit:
            raise LimitExceededError(
                f"{what} must have at most {limit} levels of nested containers"
            )
        level = [
            item
            for part in level
            if isinstance(part, (dict, list, tuple))
            for item in (part.values() if isinstance(part, dict) else part)
        ]
        depth += 1
