"""The shell's output: a line that begins on a line of its own, whatever stands on the present one."""

import contextlib
import sys


class _Followed:
    """A text stream that remembers whether its last line was ended; a progress bar's is not."""

    def __init__(self, stream):
        self.stream, self.open = stream, False

    def write(self, text):
        if text:
            self.open = not text.endswith("\n")
        return self.stream.write(text)

    def __getattr__(self, name):
        return getattr(self.stream, name)


@contextlib.contextmanager
def track_lines():
    """Within, `end_line` knows whether standard output is in the middle of a line."""
    before = sys.stdout
    sys.stdout = tracked = _Followed(before)
    try:
        yield
    finally:
        if sys.stdout is tracked:
            sys.stdout = before


def end_line():
    """Ends a line that is open on standard output."""
    if getattr(sys.stdout, "open", False) is True:
        sys.stdout.write("\n")
        sys.stdout.flush()


def print_error(line):
    """Prints a line to standard error, on a line of its own."""
    end_line()
    print(line, file=sys.stderr, flush=True)
