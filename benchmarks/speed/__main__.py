"""Measures training steps and metrics against their baselines.

    python -m benchmarks speed                       every case, 12 timed steps, 2 threads
    python -m benchmarks speed --steps=40 mnist_gan_noted
    python -m benchmarks speed mnist_gan_by_batch    step time at several sizes; see `suite.SCALES`
    python -m benchmarks speed --check               a fast subset against the recorded ratios

Results are written to benchmarks/results/speed.json, one record per case with its command, commit,
machine and package versions; those of `--backend=torch` to speed_torch.json. The benchmark needs
the `torch` extra and an otherwise idle machine. A case takes about a minute on two cores; `attfind`
takes eight, because its baseline needs 10 to 20 seconds per step. Some cases need packages that no
extra installs: `inception`, `*_torch_fidelity` and `*_clean_fid` need
`pip install --no-deps torch-fidelity clean-fid`; `frechet_root`, `fd_infinity`, `vendi_score` and
`fid_clean_fid` need SciPy.

`--check` writes nothing. It exits with status 1 if the median ratio of a case is below the smallest
ratio that was recorded for it.

Cases whose names end in `_lean` compare with the fastest eager program that we know. The case of
the same name without the ending compares with a program that follows the published code.
"""

import dataclasses

from zoo import cli, lazy
from zoo.settings import Checked, setting

suite = lazy.module("benchmarks.speed.suite")


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    steps: int = setting(12, "Number of timed steps of each program.", least=4)
    warmup: int = setting(3, "Number of steps before the first timed block.", least=1)
    programs: str = setting("", "Comma-separated programs to compare; all of a case if empty.")
    limit: int = setting(
        900, "Seconds until the end of the warm-up for compiled PyTorch and JAX.", least=1
    )
    block: int = setting(
        2, "Number of consecutive timed steps of one program before the other one runs.", least=1
    )
    threads: int = setting(2, "Number of threads of each program.", least=1)
    backend: str = setting(
        "tensorflow", "Keras backend of kerasgan.", choices=("tensorflow", "jax", "torch")
    )
    check: bool = setting(False, "Compare a fast subset, or the cases, with the recorded ratios.")


def command(options: Options, cases: list[str]) -> None:
    """Measures the cases."""
    settings = dataclasses.asdict(options)
    if settings.pop("check"):
        if settings.pop("programs"):
            raise ValueError("--check compares the recorded programs; received --programs")
        suite.check(cases, **settings)
    else:
        suite.main(cases, **settings)


def main() -> None:
    cli.main("benchmarks speed", Options, command, description=__doc__, usage="[CASE ...] ")


if __name__ == "__main__":
    main()
