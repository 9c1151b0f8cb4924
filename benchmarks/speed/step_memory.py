"""Peak memory of this process after each part of a program of a speed case.

    python -m benchmarks.speed.step_memory mnist_gan_noted kerasgan 4

The arguments are a case of `suite.CASES`, one of its programs, and a number of steps. The
environment chooses backend and threads: `KERAS_BACKEND`, `OMP_NUM_THREADS`, and for TensorFlow
`TF_NUM_INTEROP_THREADS`. The program writes no files.
"""

import importlib
import sys

from benchmarks.speed import suite
from zoo.memory import peak_mib


def main(case: str, program: str, steps: str) -> None:
    """Prints the peak memory in MiB after the import, the building, the first and the last step."""
    programs = suite.CASES.get(case, {})
    if program not in programs or not steps.isdigit():
        sys.exit(
            "the arguments must be a case, one of its programs "
            f"({', '.join(programs) or 'of the case'}) and a number of steps; received "
            f"{case} {program} {steps}"
        )
    importlib.import_module("torch" if program == "torch" else "keras")
    peaks = {"import": peak_mib()}
    step = programs[program]()
    peaks["built"] = peak_mib()
    for index in range(int(steps)):
        step()
        peaks["first step" if index == 0 else "last step"] = peak_mib()
    print(case, program, {name: round(peak) for name, peak in peaks.items()}, flush=True)


if __name__ == "__main__":
    main(*(sys.argv[1:] + ["", "", ""])[:3])
