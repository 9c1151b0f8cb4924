"""Makes `projected_text_gan_birds.png`: 96 captions of unseen species, not selected, with their
images. The captions of the upper four rows name no pose.

python docs/pictures/make_bird_sheet.py [PRESET [FILE.png [SIDE]]]

`FILE.txt` lists the captions, for readers who count which images show their bird. They see images
of side 128.
"""

import pathlib
import sys

import numpy as np

from kerasgan import images
from kerasgan.datasets.synthetic_birds import ATTRIBUTES, parse_caption, synthetic_birds
from kerasgan.models.projected_text_gan import ProjectedTextGAN

COLUMNS, HALF = 12, 48


def captions():
    """48 captions that name no pose, then 48 that name one, each of another test bird."""
    birds, random = synthetic_birds("test", 500, size=None), np.random.default_rng(0)
    pose, found = list(ATTRIBUTES).index("pose"), {True: [], False: []}
    for index in random.permutation(len(birds)):
        own = list(birds.captions[index])
        random.shuffle(own)
        for caption in own:
            chosen = found[parse_caption(caption)[pose] >= 0]
            if len(chosen) < HALF:
                chosen.append(caption)
                break
    return found[False] + found[True]


def main(preset="projected_text_gan_synthetic_birds_256", file=None, side=64):
    folder = pathlib.Path(__file__).parents[1] / "reproduction"
    path = pathlib.Path(file or folder / "projected_text_gan_birds.png")
    texts = captions()
    pictures = ProjectedTextGAN.from_preset(preset).sample(captions=texts, seed=5)
    side = int(side)
    factor = pictures.shape[1] // side
    small = pictures.reshape(len(texts), side, factor, side, factor, 3).mean(axis=(2, 4))
    images.save_png(path, images.grid(images.to_uint8(small), COLUMNS))
    places = [f"row {i // COLUMNS + 1}, column {i % COLUMNS + 1}" for i in range(len(texts))]
    lines = [f"{place}: {text}\n" for place, text in zip(places, texts, strict=True)]
    path.with_suffix(".txt").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
