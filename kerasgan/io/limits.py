"""Limits of memory, items, nesting depth and time for reading one file.

Readers check these limits before they allocate memory. A valid file needs work in proportion to its
size, so each limit is a function of the file size, with a minimum for small compressed files.
"""

import time

MIB = 2**20
DEPTH = 64  # of containers in each other
FLOOR = 256 * MIB  # what any file may unpack to
RATIO = 100  # what compressed data may unpack to, in sizes of the file
SECONDS = 60  # for any file; a second more for each MiB


class LimitExceededError(ValueError):
    """Reading the file would take more memory or time than its size justifies."""


class Budget:
    """Remaining budget for reading one file.

    Args:
        size: Size of the file in bytes.
        seconds: Time limit. Defaults to `SECONDS` plus one second per MiB.
    """

    def __init__(self, size, seconds=None):
        self.size = size
        self.unpacked = max(FLOOR, RATIO * size)
        self.items = 10**6 + size
        self.end = time.monotonic() + (SECONDS + size / MIB if seconds is None else seconds)

    def unpack(self, count, what="the file"):
        """Spends `count` bytes of decompressed data."""
        if not 0 <= count <= self.unpacked:
            raise LimitExceededError(
                f"{what} unpacks to {count:,} bytes, and a file of {self.size:,} may to "
                f"{self.unpacked:,}"
            )
        self.unpacked -= count

    def take(self, count, what="the file"):
        """Spends `count` container items."""
        self.items -= count
        if self.items < 0:
            raise LimitExceededError(
                f"{what} holds more items than a file of {self.size:,} bytes can"
            )
        self.tick(what)

    def tick(self, what="the file"):
        """Raises `LimitExceededError` if the time limit has passed."""
        if time.monotonic() > self.end:
            raise LimitExceededError(
                f"{what} takes longer to read than a file of {self.size:,} bytes may"
            )


def check_stored(claimed, there, what):
    """Raises if uncompressed data claims more bytes than the file contains (`there`)."""
    if not 0 <= claimed <= there:
        raise LimitExceededError(
            f"{what} claims {claimed:,} bytes, and the file holds {there:,} of it"
        )


def check_depth(content, limit=DEPTH, what="the file"):
    """Raises if the containers of a tree, such as parsed JSON, are nested more than `limit`
    deep.
    """
    level, depth = [content], 0
    while level:
        if depth > limit:
            raise LimitExceededError(
                f"{what} holds containers more than {limit} deep in each other"
            )
        level = [
            item
            for part in level
            if isinstance(part, (dict, list, tuple))
            for item in (part.values() if isinstance(part, dict) else part)
        ]
        depth += 1
