"""Compares trainings of tiny models on one device with trainings on two.

    python -m tests.distribution.compare [MODEL ...]

trains every model for three steps of SGD with the backend of `KERAS_BACKEND`, and writes the
largest differences to `benchmarks/results/devices.json`. `python -m benchmarks tables` writes them
into the guide "Several devices".
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from zoo import launch

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "devices.json"
NAME = keras.backend.backend()
TOGETHER = 4  # Number of models per process.
FEW = ["conditional", "cooperative"]
REST = [
    "training_notes",
    "birds",
    "style",
    "style_classes",
    "explainer",
    "explainer_distance",
    "alternating",
    "matching",
    "inferring",
    "variational",
    "flow",
    "projected",
    "posterior",
    "joint",
    "parts",
    "robust_encoder",
]


def environment(**changes):
    own = {"KERAS_BACKEND": NAME, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return os.environ | own | changes


def on_devices(script, devices, *arguments, seconds=1200, jax_processes=False):
    """Runs a script of this folder on one or two devices.

    On JAX, one process has both devices, unless `jax_processes` asks for one process per device.
    """
    places = [{}]
    if devices > 1 and NAME == "jax" and not jax_processes:
        places = [{"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}]
    elif devices > 1:
        places = launch.environments(devices)
    command = [sys.executable, str(ROOT / "tests" / "distribution" / script), *map(str, arguments)]
    processes = [
        subprocess.Popen(
            command,
            env=environment(**place),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for place in places
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=seconds)
            assert process.returncode == 0, errors[-2000:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def trained(folder, devices, models, **options):
    """Trains models. Returns a dict of arrays for each model and process."""
    folder.mkdir()
    on_devices("steps.py", devices, folder, devices, *models, **options)
    return {path.stem: dict(np.load(path)) for path in folder.glob("*.npz")}


def differences(folder, models, **options):
    """Returns the largest differences of each model between one device and two.

    `state` is the largest absolute difference of weights, moving averages, optimizer states, seeds,
    counters and queues on any process; `logs` the largest relative difference of losses and
    metrics. An array that exists on one side only counts as infinite.
    """
    one, two = (trained(folder / f"{k}", k, models, **options) for k in (1, 2))
    assert len(one) == len(models)
    several = NAME != "jax" or options.get("jax_processes")
    assert len(two) == len(models) * (2 if several else 1)
    found = {model: {"state": 0.0, "logs": 0.0} for model in models}
    for name, arrays in two.items():
        model = name.rpartition("_")[0]
        expected = one[f"{model}_0"]
        assert arrays.keys() == expected.keys()
        for key, value in expected.items():
            value, other = value.astype("float64"), arrays[key].astype("float64")
            kind = "logs" if key.startswith("log:") else "state"
            scale = np.maximum(1.0, np.abs(value)) if kind == "logs" else 1.0
            worst = float(np.max(np.abs(other - value) / scale, initial=0.0))
            found[model][kind] = max(found[model][kind], worst if worst == worst else np.inf)
    return found


def main(models):
    for start in range(0, len(models), TOGETHER):
        group = models[start : start + TOGETHER]
        with tempfile.TemporaryDirectory() as folder:
            found = differences(Path(folder), group)
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        for model in group:
            results.setdefault(model, {})[NAME] = found[model]
            print(model, NAME, found[model], flush=True)
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:] or FEW + REST)
