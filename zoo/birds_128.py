"""Birds at 64 and 128 pixels from captions (HDGAN).

python -m zoo.birds_128                 drawn birds, minutes on a CPU
"""

from zoo import recipe, text_gan

RECIPE = text_gan.text_recipe(
    "birds_128",
    "Birds at 64 and 128 pixels from captions (HDGAN).",
    {
        "quick": text_gan.SMALL | {"sizes": "64,128", "epochs": 5},
        "paper": text_gan.BIRDS | {"sizes": "64,128"},
        "noted": text_gan.NOTED | text_gan.BIRDS | {"sizes": "64,128"},
    },
)

if __name__ == "__main__":
    recipe.main(RECIPE)
