"""Birds at 64, 128 and 256 pixels from captions (HDGAN).

    python -m zoo.birds_256
    python -m zoo.birds_256 --preset=full

Presets:

- `quick`: synthetic birds; minutes on a CPU.
- `full`: a ProjectedTextGAN on synthetic birds instead, trained in stages of growing size; 3.5
  hours on one core. Its flags are those of `--preset=full --help`.
- `fast`: the same at 64 pixels only; 11 minutes on two cores.
- `stage4`: synthetic birds; hours on a CPU. It starts from the run of `stage3` of `zoo.birds_64`.
- `paper`: the paper's settings and data (CUB). First `python -m zoo.prepare birds --source=FOLDER`.
- `training_notes`: the same data, with the settings of the training notes.
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
    schedules=tuple(stages.SCHEDULES),
    former_presets={"long": "stage4", "noted": "training_notes"},
)


def main() -> None:
    stages.main(RECIPE)


if __name__ == "__main__":
    main()
