"""Damages files of each kind by seed and counts the outcomes of reading them.

A case is a reader, a seed and an index; these three repeat it. The reader runs in a process of its
own with limits of memory and time. A process that dies or hangs is replaced.
"""

import collections
import json
import math
import os
import pathlib
import random
import select
import shutil
import subprocess
import sys
import tempfile

from tests.fuzz import corpus, mutators

ROOT = pathlib.Path(__file__).parents[2]
SECONDS = 30  # Seconds for one case.
FINE, CLEAR, ELSE = "fine", "one line", "anything else"


class Worker:
    def __init__(self, files):
        self.environment = {
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
            "FUZZ_CORPUS": str(files),
            "PYTHONPATH": str(ROOT),
        }
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker"],
            cwd=ROOT,
            env=self.environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        if self.answer(180) is None:
            raise RuntimeError("the worker does not start")

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None

    def answer(self, seconds):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else ""
        return line or None

    def read(self, reader, folder, name):
        """Returns (class, message) of one case."""
        if self.process is None:
            self.start()
        try:
            self.process.stdin.write(json.dumps([reader, str(folder), name]) + "\n")
            self.process.stdin.flush()
            line = self.answer(SECONDS)
        except BrokenPipeError:
            line = None
        if line is None:
            code = self.process.poll()
            self.stop()
            return ELSE, "it hangs" if code is None else f"it died, {code}"
        return tuple(json.loads(line)[:2])


def damage(files, reader, names, seed, index, target):
    """Writes one case to a folder. Returns the name of the damaged file."""
    chance = random.Random(f"{seed} {reader} {index}")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(corpus.folder_of(files, reader), target)
    name = chance.choice(names)
    path = target / name
    if (
        path.suffix == ".h5"
        and reader in ("network", "model", "resume", "preset")
        and chance.random() < 0.5
    ):
        mutators.damaged_checkpoint(path, chance)
    else:
        path.write_bytes(mutators.of_kind(name, path.read_bytes(), chance))
    return name


def run(cases, seed=0, only=None, start=0, progress=False):
    """Runs `cases` cases in total, of all readers or of those in `only`. Readers that build
    networks get fewer.

    Returns:
        reader -> Counter of classes; and a list of (command that repeats it, message) of "anything
        else".
    """
    with tempfile.TemporaryDirectory() as folder:
        files = pathlib.Path(folder) / "corpus"
        files.mkdir()
        corpus.build(files)
        known = corpus.readers()
        chosen = only or list(known)
        found, bad = collections.defaultdict(collections.Counter), []
        shares = {reader: 1 / 6 if reader in corpus.SLOW else 1 for reader in chosen}
        with Worker(files) as worker:
            for reader in chosen:
                for index in range(
                    start, start + math.ceil(cases * shares[reader] / sum(shares.values()))
                ):
                    target = pathlib.Path(folder) / "case"
                    name = damage(files, reader, known[reader][0], seed, index, target)
                    kind, message = worker.read(reader, target, name)
                    found[reader][kind] += 1
                    if kind == ELSE:
                        command = f"python -m tests.fuzz --seed={seed} --readers={reader} --start={index} --cases=1"  # noqa: E501
                        bad.append((command, f"{name}: {message}"))
                        if progress:
                            print(f"{command}\n    {name}: {message}", flush=True)
                if progress:
                    print(reader, dict(found[reader]), flush=True)
    return found, bad


def table(found):
    rows = [f"{'reader':14} {FINE:>8} {CLEAR:>9} {ELSE:>14}"]
    total = sum(found.values(), collections.Counter())
    rows += [
        f"{name:14} {c[FINE]:8} {c[CLEAR]:9} {c[ELSE]:14}"
        for name, c in [*found.items(), ("all", total)]
    ]
    return "\n".join(rows)
