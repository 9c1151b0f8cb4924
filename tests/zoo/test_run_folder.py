"""Folder of a run: stopped by a signal, in use by another process, with damaged files in it."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from kerasgan.io import console, locks
from zoo import launch

ROOT = pathlib.Path(__file__).resolve().parents[2]
ARGUMENTS = [
    "-u",
    "-m",
    "zoo.mnist_gan",
    "--model=best",
    "--width=2",
    "--score_every=0",
    "--batch_size=64",
]


def default_signals():
    """Undoes `nohup` and the `&` of a shell, under which a process ignores these signals."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def start(folder, *more):
    return subprocess.Popen(
        [sys.executable, *ARGUMENTS, f"--folder={folder}", *more],
        cwd=ROOT,
        env=dict(os.environ),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=default_signals,
    )


def test_sigterm_leaves_a_run_that_resumes_and_a_second_process_raises(tmp_path):
    folder = tmp_path / "it's a run"
    with start(folder, "--epochs=1000") as first:
        end = time.monotonic() + 120
        while not list((folder / "checkpoints").glob("*resume*.h5")) and time.monotonic() < end:
            assert first.poll() is None, first.stderr.read()
            time.sleep(0.1)
        with start(folder, "--epochs=1000") as second:
            _, errors = second.communicate()
            assert second.returncode == 1
        line = errors.strip().splitlines()[-1]
        assert line.startswith(
            f"error: {folder} is written to by process {first.pid} on {os.uname().nodename}"
        )
        first.send_signal(signal.SIGTERM)
        out, errors = first.communicate(timeout=60)
        assert first.returncode == launch.PREEMPTED and "Traceback" not in errors
        assert any(
            line.endswith(f"; the same command resumes {folder}") for line in errors.splitlines()
        )
        assert out.endswith("\n")  # The line of the progress bar is ended first.
    assert "Curves" in (folder / "index.html").read_text() and not (folder / locks.NAME).exists()
    command = json.loads((folder / "settings.json").read_text())["command"]
    assert command.startswith("python -m zoo.mnist_gan --model=best") and "folder" not in command


@pytest.mark.nightly
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_every_signal(tmp_path, number):
    with start(tmp_path / "run", "--epochs=1000") as run:
        while not (tmp_path / "run" / "log.csv").exists():
            time.sleep(0.1)
        run.send_signal(number)
        _, errors = run.communicate(timeout=60)
        expected = launch.PREEMPTED if number == signal.SIGTERM else 130
        assert run.returncode == expected and "; the same command resumes" in errors


def test_an_error_starts_a_new_line(capsys):
    with console.track_lines():
        print("\r1/7 ====>", end="")
        console.print_error("error: one")
        console.print_error("error: two")
    assert capsys.readouterr() == ("\r1/7 ====>\n", "error: one\nerror: two\n")
