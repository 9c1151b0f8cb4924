"""What reading one file may cost: bytes, items, depth and seconds. Each reader asks here before it allocates.

A file that is honest needs work in proportion to its size. So every limit follows from the size of the file, with a
floor for small files that are compressed.
"""

import time

MIB = 2**20
DEPTH = 64  # of containers in each other
FLOOR = 256 * MIB  # what any file may unpack to
RATIO = 100  # what compressed data may unpack to, in sizes of the file
SECONDS = 60  # for any file; a second more for each MiB


class LimitExceededError(ValueError):
    """A file asks for more work than one of its size can need."""


class Budget:
    """What is left of the work that a file may ask for.

    Args:
        size: the file's size in bytes.
        seconds: what reading may take; by default `SECONDS` and one for each MiB.
    """

    def __init__(self, size, seconds=None):
        self.size = size
        self.unpacked = max(FLOOR, RATIO * size)
        self.items = 10**6 + size
        self.end = time.monotonic() + (SECONDS + size / MIB if seconds is None else seconds)

    def unpack(self, count, what="the file"):
        """Spends `count` bytes of compressed data's result."""
        if not 0 <= count <= self.unpacked:
            raise LimitExceededError(
                f"{what} unpacks to {count:,} bytes, and a file of {self.size:,} may to {self.unpacked:,}"
            )
        self.unpacked -= count

    def take(self, count, what="the file"):
        """Spends `count` items of containers."""
        self.items -= count
        if self.items < 0:
            raise LimitExceededError(
                f"{what} holds more items than a file of {self.size:,} bytes can"
            )
        self.tick(what)

    def tick(self, what="the file"):
        """Raises where the time is over."""
        if time.monotonic() > self.end:
            raise LimitExceededError(
                f"{what} takes longer to read than a file of {self.size:,} bytes may"
            )


def check_stored(claimed, there, what):
    """Uncompressed data claims `claimed` bytes, and `there` are in the file."""
    if not 0 <= claimed <= there:
        raise LimitExceededError(
            f"{what} claims {claimed:,} bytes, and the file holds {there:,} of it"
        )


def check_depth(content, limit=DEPTH, what="the file"):
    """Raises where containers lie more than `limit` deep in each other; for trees, such as JSON's."""
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
