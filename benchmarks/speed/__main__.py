"""Measures training steps and metrics against their baselines.

    python -m benchmarks.speed                       every case, 12 timed steps, 2 threads
    python -m benchmarks.speed --steps=40 mnist_gan_noted
    python -m benchmarks.speed mnist_gan_by_batch    step time at several sizes; see `suite.SCALES`

Results are written to benchmarks/results/speed.json, one record per case with its command, commit,
machine and package versions. The benchmark needs the `torch` extra and an otherwise idle machine.
A case takes about a minute on two cores; `attfind` takes eight, because its baseline needs 10 to 20
seconds per step. Two cases need packages that no extra installs: `inception` needs torch-fidelity
(`pip install --no-deps torch-fidelity`) and `frechet_root` needs SciPy.

Cases whose names end in `_lean` compare with the fastest eager program that we know. The case of
the same name without the ending compares with a program that follows the published code.
"""

from absl import app, flags

from benchmarks.speed import suite

STEPS = flags.DEFINE_integer("steps", 12, "Timed steps of each program.", lower_bound=10)
BLOCK = flags.DEFINE_integer(
    "block", 2, "Consecutive timed steps of one program before the other one runs.", lower_bound=1
)
THREADS = flags.DEFINE_integer("threads", 2, "Threads of each program.", lower_bound=1)
BACKEND = flags.DEFINE_enum(
    "backend", "tensorflow", ["tensorflow", "jax", "torch"], "Keras backend of kerasgan."
)


def shell(arguments: list[str]) -> None:
    settings = {
        "steps": STEPS.value,
        "block": BLOCK.value,
        "threads": THREADS.value,
        "backend": BACKEND.value,
    }
    try:
        suite.main(arguments[1:], **settings)
    except (ValueError, RuntimeError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    app.run(shell)
