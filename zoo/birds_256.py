"""Birds at 64, 128 and 256 pixels from captions (HDGAN).

    python -m zoo.birds_256                     drawn birds, minutes on a CPU
    python -m zoo.birds_256 --preset=long       the same for hours, after zoo.birds_64's long, longer and longest
    python -m zoo.birds_256 --preset=full       frozen-feature discriminators, 64, 128 and 256 pixels in stages: 3 hours
    python -m zoo.birds_256 --preset=paper      the paper's run, once `python -m zoo.prepare birds` has its data
"""

from zoo import stages, text_gan

RECIPE = text_gan.text_recipe(
    "birds_256",
    "Birds at 64, 128 and 256 pixels from captions (HDGAN).",
    {
        "quick": text_gan.SMALL | {"epochs": 4},
        "long": text_gan.LONG | {
            "start": "runs/birds_64_longest", "epochs": 14, "halve_every": 5, "score_every": 5, "penalty": 0.1,
        },  # fmt: skip
        "paper": text_gan.BIRDS,
        "noted": text_gan.NOTED | text_gan.BIRDS,
    },
)

if __name__ == "__main__":
    stages.main(RECIPE)
