"""COCO at 64 pixels from captions (HDGAN).

python -m zoo.coco_64                   once `python -m zoo.prepare coco` has its data
"""

from zoo import recipe, text_gan

RECIPE = text_gan.text_recipe(
    "coco_64",
    "COCO at 64 pixels from captions (HDGAN).",
    {
        "paper": text_gan.COCO | {"sizes": "64"},
        "small": text_gan.SMALL | text_gan.COCO | text_gan.OWN_VECTORS | {"sizes": "64"},
    },
)

if __name__ == "__main__":
    recipe.main(RECIPE)
