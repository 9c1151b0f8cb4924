"""Runs the experiments on the claims of the training notes, or continues them.

python -m benchmarks claims                       all claims this machine can test, cheapest first
python -m benchmarks claims gan-normalise --seeds=9  two more seeds while undecided
python -m benchmarks claims --budget=2            two epochs each: a test of the experiments only
nohup python -m benchmarks claims > claims.log &  in the background, one line per run
"""

from absl import flags

from benchmarks.reproduction.claims import runner
from zoo import recipe

FLAGS = flags.FLAGS


def shell(arguments: list[str]) -> None:
    runner.run(arguments[1:], FLAGS.seeds, FLAGS.budget, FLAGS.runs)


if __name__ == "__main__":
    flags.DEFINE_integer(
        "seeds", 3, "Largest number of seeds; decided claims end at 3, 5, 7 or 9.", lower_bound=1
    )
    flags.DEFINE_integer(
        "budget", None, "Epochs of each training instead of the claim's own.", lower_bound=1
    )
    flags.DEFINE_string("runs", str(runner.RUNS), "Folder of the runs.")
    recipe.start(shell)
