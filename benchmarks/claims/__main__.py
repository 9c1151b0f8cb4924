"""`python -m benchmarks claims [ID …]`: runs the claims' experiments, or goes on with them.

python -m benchmarks claims                       all that this machine can, the cheapest first, three seeds each
python -m benchmarks claims mnist-randn --seeds=5
python -m benchmarks claims --budget=2            two epochs each: whether they run, not what they find
nohup python -m benchmarks claims > claims.log &  in the background; a line a run
"""

from absl import flags

from benchmarks.claims import runner
from zoo import recipe

FLAGS = flags.FLAGS


def shell(arguments):
    runner.run(arguments[1:], FLAGS.seeds, FLAGS.budget, FLAGS.runs)


if __name__ == "__main__":
    flags.DEFINE_integer("seeds", 3, "runs of an arm", lower_bound=1)
    flags.DEFINE_integer(
        "budget", None, "epochs of each training, in place of the claim's own", lower_bound=1
    )
    flags.DEFINE_string("runs", str(runner.RUNS), "folder of the runs' folders")
    recipe.start(shell)
