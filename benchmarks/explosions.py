"""The notes' causes of explosions, forced on CoopNet and digits: what is said, what is taken back, what is left.

    python -m benchmarks.explosions                          the defaults and each cause, seeds 0, 1 and 2
    python -m benchmarks.explosions "sigma / 8" --seeds=0

Something like an hour and a half on two cores. Each run is `zoo.coopnet --preset=quick` at width 16, in a folder of its
own below --runs: killed, it goes on where it stopped, and a finished one is not run again. Records go to
benchmarks/results/explosions.json.
"""

import pathlib
import warnings

from absl import flags

from benchmarks import records, timing
from benchmarks.claims.training import curve, numbers, score_last
from kerasgan import callbacks
from zoo import coopnet, recipe

RESULTS = pathlib.Path(__file__).parent / "results" / "explosions.json"
BASE = {
    "width": 16,
    "epochs": 15,
    "noise_until": 5,
    "grid_every": 15,
    "checkpoint_every": 5,
    "score_every": 0,
}
# cause -> settings, and how its name begins; 0.007, 0.002, 10 and 0.016 are the preset's. The defaults run 2,046 steps.
CAUSES = {
    "defaults": ({"epochs": 33, "noise_until": 11}, ""),
    "descriptor rate x 10": ({"descriptor_rate": 0.07}, "the descriptor's learning rate"),
    "descriptor rate x 30": ({"descriptor_rate": 0.21}, "the descriptor's learning rate"),
    "step size x 8": ({"step_size": 0.016}, "step_size"),
    "steps x 6, step size x 2": ({"steps": 60, "step_size": 0.004}, "steps"),
    "sigma / 8": ({"sigma": 0.002}, "sigma"),
}


def record(cause, seed, folder, changes=None):
    """Trains one run, with further `changes` of its settings, and tells what came of it.

    Returns:
        A dictionary: `refused`, why the settings were, or None; `warned`, the lines before training; `rollbacks`;
        `stopped`, why training was, or None; `named`, the likeliest cause by the model's own account, which goes by
        the settings alone (None where none of them is beyond what was published), and `expected`, how the forced one's
        name begins; `scores`, of the last whole epoch, `generator_…` and `descriptor_…`, none without one; `curve`,
        settings, and where it was made.
    """
    chosen = BASE | CAUSES[cause][0] | (changes or {})
    settings = recipe.settings_of(coopnet.RECIPE, "quick", **chosen, seed=seed)
    found = dict.fromkeys(("refused", "stopped", "named")) | {
        "warned": [],
        "scores": {},
        "rollbacks": 0,
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            verdict, _, causes = coopnet.build(settings).causes().partition(": ")
        except ValueError as error:
            found["refused"] = str(error)
        else:
            found["named"] = causes.partition(" (")[0] if verdict == "likely cause" else None
            found |= _trained(settings, folder)
    found["warned"] = [*dict.fromkeys(str(warning.message) for warning in caught)]
    command = f'python -m benchmarks.explosions "{cause}" --seeds={seed}'
    return found | {
        "expected": CAUSES[cause][1],
        "command": command,
        "settings": chosen,
        "curve": curve(folder),
        **timing.provenance(),
    }


def _trained(settings, folder):
    try:
        scores = numbers(recipe.run(coopnet.RECIPE, settings, folder))
        return {"scores": scores, "rollbacks": int(curve(folder)[-1]["rollbacks"])}
    except callbacks.NonFiniteLossError as error:
        scores = numbers(score_last(coopnet.RECIPE, settings, folder)) if curve(folder) else {}
        return {
            "stopped": str(error),
            "scores": scores,
            "rollbacks": getattr(error, "rollbacks", 0),
        }


def read(results=RESULTS):
    """The records; none where nothing was run."""
    return records.read(results)


def run(causes, seeds, runs, results=RESULTS, changes=None):
    def make(cause, seed):
        folder = (
            pathlib.Path(runs) / f"{''.join(c if c.isalnum() else '_' for c in cause)}_seed{seed}"
        )
        folder.mkdir(parents=True, exist_ok=True)
        return record(cause, seed, folder, changes)

    records.complete(
        results, [{"cause": cause, "seed": seed} for seed in seeds for cause in causes], make
    )


def right(record):
    """Whether the model names the cause that was forced; None where none was, or the settings were refused."""
    if not record["expected"] or record["refused"]:
        return None
    return (record["named"] or "").startswith(record["expected"])


def shell(arguments):
    causes = arguments[1:] or list(CAUSES)
    for cause in causes:
        if cause not in CAUSES:
            raise ValueError(f"a cause must be one of {', '.join(CAUSES)}; received {cause}")
    run(causes, [int(seed) for seed in flags.FLAGS.seeds], flags.FLAGS.runs)
    for r in read():
        told = (
            "refused"
            if r["refused"]
            else f"{len(r['warned'])} warnings, {r['rollbacks']} roll-backs"
        )
        stopped, wrong = (
            ", stopped" if r["stopped"] else "",
            " (wrong)" if right(r) is False else "",
        )
        print(f"{r['cause']}, seed {r['seed']}: {told}{stopped}; likeliest: {r['named']}{wrong}")


if __name__ == "__main__":
    flags.DEFINE_list("seeds", ["0", "1", "2"], "of each cause")
    flags.DEFINE_string("runs", "runs/explosions", "folder of the runs' folders")
    recipe.start(shell)
