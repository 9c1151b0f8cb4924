"""Starts one process per device on this machine, for `--devices`.

Launchers such as `torchrun` and Slurm, and `TF_CONFIG`, do the same for several machines. They need
nothing from this module.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time

from zoo import lazy

keras = lazy.module("keras")

LAUNCHED = ("TF_CONFIG", "WORLD_SIZE")
PREEMPTED = 75  # exit status after SIGTERM: the same command resumes (EX_TEMPFAIL of sysexits.h)
GRACE = 5.0  # seconds in which the other processes can report the same error


def needed(devices: int) -> bool:
    """Returns whether this process must start one process for each of its devices."""
    launched = any(name in os.environ for name in LAUNCHED)
    return devices > 1 and not launched and keras.backend.backend() != "jax"


def run(devices: int) -> int:
    """Runs this command once per device and waits for all processes.

    If one process fails, the others are stopped. SIGTERM is passed on to all.

    Returns:
        The exit status of the first process that failed, or 0.
    """
    command = [sys.executable, *sys.orig_argv[1:]]
    processes = [
        subprocess.Popen(command, env=os.environ | environment)
        for environment in environments(devices)
    ]
    # A terminal sends Ctrl-C to all processes, so SIGINT is not passed on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: _signal_all(processes, number))
    return _wait(processes)


def environments(devices: int) -> list[dict[str, str]]:
    """Returns the environment variables that tell each process its place."""
    workers = [f"localhost:{port}" for port in _free_ports(devices)]
    if keras.backend.backend() == "jax":
        name = "KERAS_DISTRIBUTION_{}".format
        shared = {name("JOB_ADDRESSES"): ",".join(workers), name("NUM_PROCESSES"): str(devices)}
        return [shared | {name("PROCESS_ID"): str(i)} for i in range(devices)]
    if keras.backend.backend() == "torch":
        port = workers[0].rpartition(":")[2]
        address = {"MASTER_ADDR": "localhost", "MASTER_PORT": port, "WORLD_SIZE": str(devices)}
        return [address | {"RANK": str(i), "LOCAL_RANK": str(i)} for i in range(devices)]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = [str(i) for i in range(devices)] if visible is None else visible.split(",")
    places = []
    for index in range(devices):
        task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        gpu = gpus[index] if index < len(gpus) else ""
        places.append({"TF_CONFIG": json.dumps(task), "CUDA_VISIBLE_DEVICES": gpu})
    return places


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _wait(processes):
    while True:
        codes = [process.poll() for process in processes]
        failed = [(i, code) for i, code in enumerate(codes) if code not in (None, 0, PREEMPTED)]
        if failed:
            index, code = failed[0]
            if code < 0 or index:  # The first process reports its own errors.
                name = signal.Signals(-code).name if code < 0 else f"status {code}"
                print(f"process {index} of {len(processes)} ended with {name}", file=sys.stderr)
            _stop(processes)
            return code if code > 0 else 128 - code
        if None not in codes:
            return max(codes)
        time.sleep(0.2)


def _stop(processes):
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        time.sleep(0.2)
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def _signal_all(processes, number):
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)
