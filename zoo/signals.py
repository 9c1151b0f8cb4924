"""Signals that end a process do what Ctrl-C does: SIGTERM (kill, schedulers) and SIGHUP (a closed terminal)."""

import contextlib
import signal
import threading


@contextlib.contextmanager
def as_interrupts():
    """Within, SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread; what ignores SIGHUP (nohup) still does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = {}
    for name in ("SIGTERM", "SIGHUP"):  # SIGHUP is not on Windows
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
