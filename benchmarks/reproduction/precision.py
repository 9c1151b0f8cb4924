"""Compares the scores of trainings in bfloat16 with those of trainings in float32.

    python -m benchmarks precision                   zoo.mnist_gan, preset quick, seeds 0, 1 and 2
    python -m benchmarks precision --seeds=0 flow    another recipe

Each run is `python -m zoo.RECIPE --preset=quick --seed=... --dtype_policy=...` in a folder below
--runs. An interrupted run continues from its checkpoint; a finished run is not repeated. Records
are written to benchmarks/results/precision.json.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

from benchmarks.reproduction import quality, records
from zoo import cli
from zoo.recipe import folder_name
from zoo.settings import Checked, setting

RESULTS = quality.RESULTS / "precision.json"
POLICIES = ("float32", "mixed_bfloat16")
RECIPES = ("mnist_gan", "conditional_vae", "flow", "coopnet", "stylegan2", "stylex")
PRESET = "quick"


def read() -> list[dict]:
    """Return the records. An absent file has no records."""
    return records.read(RESULTS)


def run(
    names: Sequence[str], seeds: Sequence[int], runs: str, results: pathlib.Path = RESULTS
) -> None:
    """Train the runs that have no record.

    Args:
        names: Names of recipes.
        seeds: Seeds of each recipe and dtype policy.
        runs: Folder of the runs.
        results: File of the records.
    """

    def make(recipe, seed, dtype_policy):
        folder = pathlib.Path(runs) / f"{folder_name(recipe, PRESET, seed)}_{dtype_policy}"
        folder.mkdir(parents=True, exist_ok=True)
        return quality.record(recipe, PRESET, seed, folder, [f"--dtype_policy={dtype_policy}"])

    wanted = [
        {"recipe": name, "seed": seed, "dtype_policy": policy}
        for name in names
        for seed in seeds
        for policy in POLICIES
    ]
    records.complete(results, wanted, make)


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    seeds: tuple[str, ...] = setting(("0", "1", "2"), "Seeds of each recipe and dtype policy.")
    runs: str = setting("runs", "Folder of the runs.")


def command(options: Options, names: list[str]) -> None:
    """Trains the runs that have no record, and prints the scores."""
    for name in names:
        if name not in RECIPES:
            raise ValueError(f"a recipe must be one of {', '.join(RECIPES)}; received {name!r}")
    run(names or ["mnist_gan"], records.numbers("seeds", options.seeds), options.runs)
    for each in read():
        scores = {name: round(value, 4) for name, value in each["scores"].items()}
        print(each["recipe"], each["dtype_policy"], "seed", each["seed"], scores)


def main() -> None:
    cli.main("benchmarks precision", Options, command, description=__doc__, usage="[RECIPE ...] ")


if __name__ == "__main__":
    main()
