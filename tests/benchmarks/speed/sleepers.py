"""Cases of programs that only sleep. The processes of test_speed.py import this file."""

import time


def sleeper(seconds):
    print("what a library prints is not an answer")
    return lambda: time.sleep(seconds)


def broken():
    raise SystemExit(3)


def raises():
    raise ValueError(f'no such size\n  File "{__file__}", line 1')


CASES = {
    "sleep": {"slow": lambda: sleeper(0.03), "fast": lambda: sleeper(0.01)},
    "limits": {
        "fast": lambda: sleeper(0.01),
        "hangs": lambda: sleeper(60),
        "raises": raises,
    },
    "raises": {"slow": lambda: sleeper(0.03), "raises": raises},
    "broken": {"slow": lambda: sleeper(0.03), "broken": broken},
}
