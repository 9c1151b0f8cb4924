"""Flowers at 64, 128 and 256 pixels from captions (HDGAN).

    python -m zoo.prepare flowers --source=FOLDER
    python -m zoo.flowers_256

Presets:

- `paper`: the paper's settings.
- `training_notes`: the settings of the training notes.
- `small`: narrow networks for small machines.
"""

from zoo import recipe, text_gan

RECIPE = text_gan.text_recipe(
    "flowers_256",
    "Flowers at 64, 128 and 256 pixels from captions (HDGAN).",
    {
        "paper": {"data": "flowers", "text_encoder": ""},
        "training_notes": text_gan.TRAINING_NOTES
        | {"data": "flowers", "text_encoder": "", "critic_epochs": 0},
        "small": text_gan.SMALL | text_gan.OWN_EMBEDDINGS | {"data": "flowers"},
    },
    doc=__doc__,
    former_presets={"noted": "training_notes"},
)


def main() -> None:
    recipe.main(RECIPE)


if __name__ == "__main__":
    main()
