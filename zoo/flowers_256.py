"""Flowers at 64, 128 and 256 pixels from captions (HDGAN).

python -m zoo.flowers_256               the paper's run, once `python -m zoo.prepare flowers` has its data
"""

from zoo import recipe, text_gan

RECIPE = text_gan.text_recipe(
    "flowers_256",
    "Flowers at 64, 128 and 256 pixels from captions (HDGAN).",
    {
        "paper": {"data": "flowers", "text_encoder": ""},
        "noted": text_gan.NOTED | {"data": "flowers", "text_encoder": "", "critic_epochs": 0},
        "small": text_gan.SMALL | text_gan.OWN_VECTORS | {"data": "flowers"},
    },
)

if __name__ == "__main__":
    recipe.main(RECIPE)
