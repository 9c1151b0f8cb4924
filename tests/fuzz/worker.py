"""Reads damaged folders that stdin names, and answers in JSON. Its memory is limited."""

import json
import os
import pathlib
import resource
import sys
import time
import warnings

LIMIT = 3 * 2**30  # In addition to the memory of the libraries.


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Other output.
    from tests.fuzz.corpus import readers

    known = readers()
    taken = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + LIMIT, taken + LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        reader, folder, name = json.loads(line)
        start = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                known[reader][1](pathlib.Path(folder))
                outcome = "fine", ""
            except Exception as error:  # The searched failure.
                text, shown = str(error), f"{type(error).__name__}: {error}"
                named = pathlib.Path(name).name in text or str(folder) in text
                clear = (
                    isinstance(error, (ValueError, OSError))
                    and "\n" not in text
                    and len(text) <= 300
                    and named
                )
                outcome = ("one line" if clear else "anything else"), shown[:1500]
        print(json.dumps([*outcome, time.monotonic() - start]), file=answers, flush=True)


if __name__ == "__main__":
    main()
