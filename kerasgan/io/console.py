"""Console output that starts on a new line, even after an unfinished progress bar."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, TextIO


class _Followed:
    """A text stream that records whether its last line ended with a newline."""

    def __init__(self, stream: TextIO):
        self.stream, self.open = stream, False

    def write(self, text: str) -> int:
        if text:
            self.open = not text.endswith("\n")
        return self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def track_lines() -> Iterator[None]:
    """Context manager in which `end_line` knows whether the current line is unfinished."""
    before = sys.stdout
    sys.stdout = tracked = _Followed(before)
    try:
        yield
    finally:
        if sys.stdout is tracked:
            sys.stdout = before


def end_line() -> None:
    """Ends an unfinished line on standard output."""
    if getattr(sys.stdout, "open", False) is True:
        sys.stdout.write("\n")
        sys.stdout.flush()


def print_error(line: str) -> None:
    """Prints a line to standard error, after ending the current line."""
    end_line()
    print(line, file=sys.stderr, flush=True)
