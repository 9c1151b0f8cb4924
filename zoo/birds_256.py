"""Birds at 64, 128 and 256 pixels from captions (HDGAN).

    python -m zoo.birds_256                     drawn birds, minutes on a CPU
    python -m zoo.birds_256 --preset=long       the same for hours, after zoo.birds_64's long and longer ones
    python -m zoo.birds_256 --preset=longer     ... and on from there, each size led as those of 64 pixels alone were
    python -m zoo.birds_256 --preset=paper      the paper's run, once `python -m zoo.prepare birds` has its data
"""

from zoo import recipe, text_gan

RECIPE = text_gan.text_recipe(
    "birds_256",
    "Birds at 64, 128 and 256 pixels from captions (HDGAN).",
    {
        "quick": text_gan.SMALL | {"epochs": 4},
        "long": text_gan.LONG | text_gan.GUIDED | {
            "start": "runs/birds_64_longer", "epochs": 6, "halve_every": 2, "score_every": 2, "checkpoint_every": 1,
            "damsm_weight": 0.33,  # of each of three sizes
        },  # fmt: skip
        # DAMSM at its full weight once more at each size: at a third, captions lost against the discriminators.
        "longer": text_gan.LONG | text_gan.GUIDED | {
            "start": "runs/birds_256_long", "epochs": 4, "halve_every": 2, "score_every": 2, "checkpoint_every": 1,
        },  # fmt: skip
        "paper": text_gan.BIRDS,
        "noted": text_gan.NOTED | text_gan.BIRDS,
    },
)

if __name__ == "__main__":
    recipe.main(RECIPE)
