"""Birds at 64 pixels from captions: HDGAN's first scale alone, and the notes' two small models.

python -m zoo.birds_64                       drawn birds, minutes on a CPU
python -m zoo.birds_64 --preset=long         the same for hours; then longer and longest, each on from the last
python -m zoo.birds_64 --preset=small_skip   the notes' rate 0.006 with the skip connection; small_plain: 0.002
"""

from zoo import recipe, text_gan

RECIPE = text_gan.text_recipe(
    "birds_64",
    "Birds at 64 pixels from captions: HDGAN's first scale alone, and the notes' two small models.",
    {
        "quick": text_gan.SMALL | {"sizes": "64", "epochs": 5},
        # Shapes first: the guide, at its full weight from the start, leaves one picture a caption.
        "long": text_gan.LONG
        | {
            "sizes": "64",
            "epochs": 28,
            "halve_every": 15,
            "score_every": 5,
            "damsm_weight": 0.3,
        },
        "longer": text_gan.LONG
        | {
            "sizes": "64",
            "start": "runs/birds_64_long",
            "epochs": 24,
            "halve_every": 8,
            "score_every": 8,
        },
        # At the full rate the discriminator's losses stood still in `longer`; with a tenth of the penalty they fall.
        "longest": text_gan.LONG
        | {
            "sizes": "64",
            "start": "runs/birds_64_longer",
            "epochs": 20,
            "halve_every": 7,
            "score_every": 5,
            "penalty": 0.1,
        },
        "paper": text_gan.BIRDS | {"sizes": "64"},
        "small_skip": text_gan.BIRDS
        | {"sizes": "64", "batch_size": 16, "learning_rate": 6e-3, "skip": True},
        "small_plain": text_gan.BIRDS | {"sizes": "64", "batch_size": 16, "learning_rate": 2e-3},
    },
)

if __name__ == "__main__":
    recipe.main(RECIPE)
