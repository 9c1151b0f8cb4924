"""Bird Fréchet distance of a perfect generator.

    python -m benchmarks bird_bound

A caption of a test bird names about half of its attributes. A generator has never seen the test
species, so it can only choose the others at random. This command does the same, renders the birds
with the renderer of the data set, and measures their distance to the test birds. The record is
written to benchmarks/results/bird_bound.json.
"""

import dataclasses

import numpy as np

from benchmarks.provenance import provenance
from benchmarks.reproduction.quality import RESULTS
from zoo import cli, lazy
from zoo.command import shell_command
from zoo.settings import Checked, setting

files = lazy.module("kerasgan.io.files")
frechet = lazy.module("kerasgan.metrics.frechet")
images = lazy.module("kerasgan.images")
protocol = lazy.module("kerasgan.metrics.protocols.birds")
bird_attributes = lazy.module("kerasgan.metrics.protocols.bird_attributes")
synthetic = lazy.module("kerasgan.datasets.synthetic_birds")

COUNT, BATCH = 1000, 50  # Number of images, as in `zoo.evaluate --samples=1000`, and per batch.


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    size: int = setting(256, "Side of the images in pixels.", choices=(64, 128, 256))
    seed: int = setting(1, "Seed of the attributes that the captions do not name.", least=0)


def completed(requested: np.ndarray, seed: int) -> np.ndarray:
    """Return attributes whose unnamed values are random, int `[N, 7]`.

    The result has no color combination of a test species, unless the caption names it.

    Args:
        requested: Attributes that captions name, int `[N, 7]`. Unnamed ones are negative.
        seed: Seed.
    """
    random = np.random.default_rng(seed)
    limits = [len(values) for values in synthetic.ATTRIBUTES.values()]
    unseen = synthetic.attributes.unseen_colors()

    def bird(named):
        while True:
            attributes = np.where(named >= 0, named, random.integers(limits))
            if tuple(attributes[:3].tolist()) not in unseen or (named[:3] >= 0).all():
                return attributes

    return np.stack([bird(named) for named in requested])


def bound(size: int, seed: int) -> dict[str, float]:
    """Return the distance, its floor and their ratio, as `zoo.evaluate` does for a generator."""
    classifier, _ = bird_attributes.load_bird_attribute_classifier()
    birds, real, floor = protocol.reference(classifier, None, size)
    captions = protocol.pick(birds.captions, COUNT)
    attributes = completed(np.stack([*map(synthetic.parse_caption, captions)]), seed)
    side = size * 19 // 16
    inner = slice((side - size) // 2, (side - size) // 2 + size)

    def batch(start):
        rendered = (
            synthetic.draw_bird(attributes[i], (seed, COUNT, i), side)[inner, inner]
            for i in range(start, start + BATCH)
        )
        return {size: images.from_uint8(np.stack([*rendered]))}

    found = protocol.measure(classifier, None, map(batch, range(0, COUNT, BATCH)))
    distance = frechet.frechet_distance(
        *(frechet.statistics(each["features"]) for each in (found, real))
    )
    return {
        "bird_frechet_distance": distance,
        "bird_frechet_floor": floor,
        "bird_frechet_ratio": distance / floor,
    }


def command(options: Options) -> None:
    """Measures and writes the record."""
    scores = bound(options.size, options.seed)
    about = {"command": shell_command("benchmarks bird_bound")} | provenance()
    files.write_json(
        RESULTS / "bird_bound.json", scores | dataclasses.asdict(options) | about, indent=1
    )
    print(", ".join(f"{name} {value:.2f}" for name, value in scores.items()))


def main() -> None:
    cli.main("benchmarks bird_bound", Options, command, description=__doc__)


if __name__ == "__main__":
    main()
