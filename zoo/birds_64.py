"""Birds at 64 pixels from captions: the first resolution of HDGAN, and small models.

    python -m zoo.birds_64
    python -m zoo.birds_64 --preset=stage1

Presets:

- `quick`: synthetic birds; minutes on a CPU.
- `stage1`, `stage2`, `stage3`: synthetic birds; hours on a CPU. `stage2` starts from the run of
  `stage1`, and `stage3` from that of `stage2`.
- `paper`: the paper's settings and data (CUB). First `python -m zoo.prepare birds --source=FOLDER`.
- `small_skip`, `small_plain`: small models of the training notes on the paper's data, with and
  without the skip connection, at learning rates of 0.006 and 0.002.
"""

from zoo import recipe, text_gan

RECIPE = text_gan.text_recipe(
    "birds_64",
    "Birds at 64 pixels from captions: the first scale of HDGAN, and the small models of the "
    "training notes.",
    {
        "quick": text_gan.SMALL | {"sizes": "64", "epochs": 5},
        # Shapes first: with the full DAMSM weight from the start, every caption gets a single
        # image.
        "stage1": text_gan.STAGES
        | {
            "sizes": "64",
            "epochs": 28,
            "halve_every": 15,
            "score_every": 5,
            "damsm_weight": 0.3,
        },
        "stage2": text_gan.STAGES
        | {
            "sizes": "64",
            "start": "runs/birds_64_stage1",
            "epochs": 24,
            "halve_every": 8,
            "score_every": 8,
        },
        # At the full R1 weight, the discriminator losses did not change in stage 2. With a tenth
        # they fall.
        "stage3": text_gan.STAGES
        | {
            "sizes": "64",
            "start": "runs/birds_64_stage2",
            "epochs": 20,
            "halve_every": 7,
            "score_every": 5,
            "r1_weight": 0.1,
        },
        "paper": text_gan.BIRDS | {"sizes": "64"},
        "small_skip": text_gan.BIRDS
        | {"sizes": "64", "batch_size": 16, "learning_rate": 6e-3, "skip": True},
        "small_plain": text_gan.BIRDS | {"sizes": "64", "batch_size": 16, "learning_rate": 2e-3},
    },
    doc=__doc__,
    former_presets={"long": "stage1", "longer": "stage2", "longest": "stage3"},
)


def main() -> None:
    recipe.main(RECIPE)


if __name__ == "__main__":
    main()
