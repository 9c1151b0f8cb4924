"""Hides the log lines of TensorFlow, XLA and CUDA in command line tools.

TensorFlow's C++ code writes lines such as `I0000 00:00:1795722117.002564 17096 port.cc:153] oneDNN
custom operations are on` to file descriptor 2, even if TF_CPP_MIN_LOG_LEVEL is 3. A thread reads
this descriptor, drops such lines and passes on all others. Python's own `sys.stderr` bypasses it.
"""

import atexit
import logging
import os
import re
import sys
import threading

_LOG_LINE = re.compile(
    rb"[IWE]\d{4} \d\d:\d\d:\d+\.\d+|"  # absl
    rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] |"  # TensorFlow
    rb"WARNING: All log messages before absl::InitializeLog"
)


def hide_framework_logs() -> None:
    """Filters file descriptor 2 of this process. It must run before TensorFlow is imported.

    Nothing is filtered if TF_CPP_MIN_LOG_LEVEL is 0 to 2, if TensorFlow is imported already, or
    if `sys.stderr` is not file descriptor 2 (in tests and notebooks).
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3") < "3":  # The user wants the log lines.
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # Warnings of its Python code.
    if os.name != "posix" or "tensorflow" in sys.modules or not _is_descriptor_2():
        return
    sys.stderr.flush()
    original = os.dup(2)
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    os.close(writer)
    sys.stderr = os.fdopen(os.dup(original), "w", buffering=1, errors="backslashreplace")
    thread = threading.Thread(target=_forward, args=(reader, original), daemon=True)
    thread.start()
    atexit.register(_restore, original, thread)


def _is_descriptor_2():
    try:
        return sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):
        return False


def _forward(reader, target):
    """Copies lines that are no log lines from one descriptor to another, until the end."""
    rest = b""
    while data := os.read(reader, 65536):
        *lines, rest = (rest + data).split(b"\n")
        kept = [line + b"\n" for line in lines if not _LOG_LINE.match(line)]
        if rest and not _LOG_LINE.match(rest) and not rest.startswith((b"I", b"W", b"E", b"2")):
            kept.append(rest)  # a progress line without its end
            rest = b""
        if kept:
            os.write(target, b"".join(kept))
    if rest and not _LOG_LINE.match(rest):
        os.write(target, rest)


def _restore(original, thread):
    """Closes the pipe and waits until all lines are copied."""
    os.dup2(original, 2)
    thread.join(timeout=1)
