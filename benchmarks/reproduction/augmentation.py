"""Measures the effect of `--augment` (keras-cv) on a classifier trained with few images.

    python -m benchmarks augmentation                       each augmentation, seeds 0, 1, 2
    python -m benchmarks augmentation randaugment --seeds=0

Each run is `zoo.classifier` on 600 synthetic birds of 32 pixels; the classes are the three poses.
Held-out images are 1,000 birds of other species, clean and after each shift of `SHIFTS`. The shifts
were chosen before the runs. All runs take about ten minutes on one core. Records are written to
benchmarks/results/augmentation.json.
"""

import dataclasses
import pathlib
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.provenance import provenance
from benchmarks.reproduction import records
from zoo import classifier, cli, lazy
from zoo.settings import Checked, setting

keras = lazy.module("keras")
np = lazy.module("numpy")
images = lazy.module("kerasgan.images")
birds = lazy.module("kerasgan.datasets.synthetic_birds")

RESULTS = pathlib.Path(__file__).parents[1] / "results" / "augmentation.json"
BASE = {
    "data": "synthetic_birds",
    "classes": "pose",
    "size": 32,
    "num_images": 600,
    "batch_size": 32,
    "epochs": 12,
}
ARMS = ("none", "flip", "cutout", "randaugment")
HELD_OUT = 1000


def _noise(x, random):
    return x + random.normal(0.0, 0.2, x.shape).astype("float32")


def _blur(x, random):
    for axis in (1, 2, 1, 2):  # a box of 3 x 3 pixels, twice
        x = (np.roll(x, 1, axis) + x + np.roll(x, -1, axis)) / 3
    return x


def _occlusion(x, random):
    side = x.shape[1] // 3
    hidden = x.copy()
    for image, (top, left) in zip(
        hidden, random.integers(0, x.shape[1] - side, (len(x), 2)), strict=True
    ):
        image[top : top + side, left : left + side] = 0.0
    return hidden


# Changes of held-out images [N, H, W, C] in [-1, 1], as functions (images, random).
SHIFTS = {
    "noise": _noise,
    "darkness": lambda x, random: 0.5 * x - 0.4,
    "blur": _blur,
    "occlusion": _occlusion,
}


def held_out(size: int, count: int = HELD_OUT) -> dict[str, tuple[Any, Any]]:
    """Return images and labels of unseen species, clean and after each shift."""
    data = birds.synthetic_birds("test", count, size=size)
    labels = data.attributes[:, list(birds.ATTRIBUTES).index("pose")].astype("int32")
    clean = images.from_uint8(data.images)
    shifted = {
        name: np.clip(shift(clean, np.random.default_rng(0)), -1.0, 1.0)
        for name, shift in SHIFTS.items()
    }
    return {name: (x, labels) for name, x in ({"clean": clean} | shifted).items()}


def record(augment: str, seed: int, changes: dict | None = None, count: int = HELD_OUT) -> dict:
    """Train one classifier and return its record.

    Args:
        augment: One of `ARMS`, a value of `--augment`.
        seed: Seed of the weights, the order and the augmentation.
        changes: Changes of the settings `BASE`.
        count: Number of held-out images.

    Returns:
        Dict with the `accuracy` on clean and on shifted held-out images, `processor_seconds` of the
        training, `settings`, `command` and the provenance.
    """
    keras.backend.clear_session()
    chosen = BASE | (changes or {})
    begin = time.process_time()
    network, _ = classifier.train(classifier.Settings(**chosen, augment=augment, seed=seed))
    seconds = time.process_time() - begin
    accuracy = {
        name: round(float(np.mean(network.predict(x, 200, verbose=0).argmax(-1) == labels)), 4)
        for name, (x, labels) in held_out(chosen["size"], count).items()
    }
    return {
        "accuracy": accuracy,
        "held_out": count,
        "processor_seconds": round(seconds, 1),
        "settings": chosen,
        "command": f"python -m benchmarks augmentation {augment} --seeds={seed}",
        **provenance(),
    }


def read(results: pathlib.Path = RESULTS) -> list[dict]:
    """Return the records. An absent file has no records."""
    return records.read(results)


def run(
    arms: Sequence[str],
    seeds: Sequence[int],
    results: pathlib.Path = RESULTS,
    changes: dict | None = None,
    count: int = HELD_OUT,
) -> None:
    """Train the runs that have no record; see `record` for the arguments."""
    records.complete(
        results,
        [{"augment": arm, "seed": seed} for seed in seeds for arm in arms],
        lambda augment, seed: record(augment, seed, changes, count),
    )


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    seeds: tuple[str, ...] = setting(("0", "1", "2"), "Seeds of each augmentation.")


def command(options: Options, arms: list[str]) -> None:
    """Trains the runs that have no record, and prints all records."""
    for arm in arms:
        if arm not in ARMS:
            raise ValueError(f"Unknown augmentation {arm}. Expected one of {', '.join(ARMS)}.")
    run(arms or list(ARMS), records.numbers("seeds", options.seeds))
    for r in read():
        print(f"{r['augment']}, seed {r['seed']}: {r['accuracy']}")


def main() -> None:
    cli.main(
        "benchmarks augmentation",
        Options,
        command,
        description=__doc__,
        usage="[AUGMENTATION ...] ",
    )


if __name__ == "__main__":
    main()
