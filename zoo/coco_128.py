"""COCO at 64 and 128 pixels from captions (HDGAN).

    python -m zoo.prepare coco --source=FOLDER
    python -m zoo.coco_128

Presets:

- `paper`: the settings of the paper's released code.
- `small`: narrow networks for small machines.
"""

from zoo import recipe, text_gan

RECIPE = text_gan.text_recipe(
    "coco_128",
    "COCO at 64 and 128 pixels from captions (HDGAN).",
    {
        "paper": text_gan.COCO | {"sizes": "64,128"},
        "small": text_gan.SMALL | text_gan.COCO | text_gan.OWN_EMBEDDINGS | {"sizes": "64,128"},
    },
    doc=__doc__,
)


def main() -> None:
    recipe.main(RECIPE)


if __name__ == "__main__":
    main()
