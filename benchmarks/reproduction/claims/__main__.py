"""Runs the experiments on the claims of the training notes, or continues them.

    python -m benchmarks claims                       all claims this machine can test
    python -m benchmarks claims gan-normalise --seeds=9   two more seeds while undecided
    python -m benchmarks claims --budget=2            two epochs each: only tests the experiments
    nohup python -m benchmarks claims > claims.log &  in the background, one line per run

The cheapest claims run first.
"""

import dataclasses

from zoo import cli, lazy
from zoo.settings import Checked, setting

runner = lazy.module("benchmarks.reproduction.claims.runner")


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    seeds: int = setting(
        3, "Largest number of seeds: two more at a time while a claim is undecided.", least=1
    )
    budget: int | None = setting(
        None, "Number of epochs of each training, instead of that of the claim.", least=1
    )
    runs: str = setting("runs/claims", "Folder of the runs.")


def command(options: Options, ids: list[str]) -> None:
    """Runs the experiments."""
    runner.run(ids, options.seeds, options.budget, options.runs)


def main() -> None:
    cli.main("benchmarks claims", Options, command, description=__doc__, usage="[ID ...] ")


if __name__ == "__main__":
    main()
