"""COCO at 64 and 128 pixels from captions (HDGAN).

python -m zoo.coco_128                  once `python -m zoo.prepare coco` has its data
"""

from zoo import recipe, text_gan

RECIPE = text_gan.text_recipe(
    "coco_128",
    "COCO at 64 and 128 pixels from captions (HDGAN).",
    {
        "paper": text_gan.COCO | {"sizes": "64,128"},
        "small": text_gan.SMALL | text_gan.COCO | text_gan.OWN_VECTORS | {"sizes": "64,128"},
    },
)

if __name__ == "__main__":
    recipe.main(RECIPE)
