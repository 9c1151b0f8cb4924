"""Birds at 64 and 128 pixels from captions (HDGAN).

    python -m zoo.birds_128

Presets:

- `quick`: synthetic birds; minutes on a CPU.
- `paper`: the paper's settings and data (CUB). First `python -m zoo.prepare birds --source=FOLDER`.
- `training_notes`: the same data, with the settings of the training notes.
"""

from zoo import recipe, text_gan

RECIPE = text_gan.text_recipe(
    "birds_128",
    "Birds at 64 and 128 pixels from captions (HDGAN).",
    {
        "quick": text_gan.SMALL | {"sizes": "64,128", "epochs": 5},
        "paper": text_gan.BIRDS | {"sizes": "64,128"},
        "training_notes": text_gan.TRAINING_NOTES | text_gan.BIRDS | {"sizes": "64,128"},
    },
    doc=__doc__,
    former_presets={"noted": "training_notes"},
)


def main() -> None:
    recipe.main(RECIPE)


if __name__ == "__main__":
    main()
