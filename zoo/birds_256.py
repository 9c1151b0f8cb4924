"""Birds at 64, 128 and 256 pixels from captions (HDGAN).

python -m zoo.birds_256                  synthetic birds, minutes on a CPU
python -m zoo.birds_256 --preset=stage4  hours on a CPU, after stages 1 to 3 of zoo.birds_64
python -m zoo.birds_256 --preset=full    ProjectedTextGAN instead, in stages: see zoo.stages
python -m zoo.birds_256 --preset=paper   the paper's, after `python -m zoo.prepare birds`
"""

from zoo import stages, text_gan

RECIPE = text_gan.text_recipe(
    "birds_256",
    "Birds at 64, 128 and 256 pixels from captions (HDGAN).",
    {
        "quick": text_gan.SMALL | {"epochs": 4},
        "stage4": text_gan.STAGES
        | {
            "start": "runs/birds_64_stage3",
            "epochs": 14,
            "halve_every": 5,
            "score_every": 5,
            "r1_weight": 0.1,
        },
        "paper": text_gan.BIRDS,
        "training_notes": text_gan.TRAINING_NOTES | text_gan.BIRDS,
    },
    doc=__doc__,
    former_presets={"long": "stage4", "noted": "training_notes"},
)


def main() -> None:
    stages.main(RECIPE)


if __name__ == "__main__":
    main()
