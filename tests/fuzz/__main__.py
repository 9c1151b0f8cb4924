"""python -m tests.fuzz --cases=5000 --seed=1 [--readers=network,keras] [--start=0]: prints the
table and the failures.
"""

import argparse
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main():
    from tests.fuzz.harness import run, table

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--readers", default="")
    arguments = parser.parse_args()
    only = [name for name in arguments.readers.split(",") if name]
    found, bad = run(arguments.cases, arguments.seed, only, arguments.start, progress=True)
    print(table(found))
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
