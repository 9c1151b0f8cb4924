"""Birds at 64 pixels from captions: HDGAN's first scale alone, and the notes' two small models.

    python -m zoo.birds_64                       drawn birds, minutes on a CPU
    python -m zoo.birds_64 --preset=small_skip   the notes' rate 0.006 with the skip connection; small_plain: 0.002
"""

from zoo import recipe, text_gan

RECIPE = text_gan.text_recipe(
    "birds_64",
    "Birds at 64 pixels from captions: HDGAN's first scale alone, and the notes' two small models.",
    {
        "quick": text_gan.SMALL | {"sizes": "64", "epochs": 5},
        "long": text_gan.LONG | {"sizes": "64"},
        # At the full rate once more: DAMSM by now finds the captions of fakes more often than of birds.
        "longer": text_gan.LONG | text_gan.GUIDED | {
            "sizes": "64", "start": "runs/birds_64_long", "epochs": 12, "halve_every": 6, "score_every": 3,
        },  # fmt: skip
        "paper": text_gan.BIRDS | {"sizes": "64"},
        "small_skip": text_gan.BIRDS | {"sizes": "64", "batch_size": 16, "learning_rate": 6e-3, "skip": True},
        "small_plain": text_gan.BIRDS | {"sizes": "64", "batch_size": 16, "learning_rate": 2e-3},
    },
)

if __name__ == "__main__":
    recipe.main(RECIPE)
