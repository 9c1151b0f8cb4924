"""Makes `presets.gif`, the README's picture: samples of shipped presets while their latents move on
a circle.

python docs/pictures/make_pictures.py
"""

import pathlib

import numpy as np
from keras import ops

from kerasgan import images
from kerasgan.models.conditional_gan import ConditionalGAN
from kerasgan.models.coopnet import CoopNet
from kerasgan.models.projected_text_gan import ProjectedTextGAN

FRAMES = 24
CAPTIONS = (
    "this bird has red wings, an orange breast and a yellow crown",
    "this bird is big and has black wings, a black crown and a belly that is brown",
    "the bird with green wings, a white breast and a red head",
    "the small bird with an orange breast, blue wings and a crown that is brown",
)


def circles(count, dim, seed):
    """Latents [FRAMES, count, dim] that start and end at the same place, with the norm of normal
    latents.
    """
    one, other = np.random.default_rng(seed).standard_normal((2, count, dim), "float32")
    angles = 2 * np.pi * np.arange(FRAMES, dtype="float32")[:, None, None] / FRAMES
    return np.cos(angles) * one + np.sin(angles) * other


def enlarged(batch, times):
    """Images [N, H, W, C] of several times the size, RGB."""
    batch = np.repeat(np.repeat(batch, times, axis=1), times, axis=2)
    return np.repeat(batch, 3, axis=-1) if batch.shape[-1] == 1 else batch


def digits(latents):
    model = ConditionalGAN.from_preset("mnist_gan_digits")
    labels = np.arange(10, dtype="int32")
    dim = model.generator.inputs[0].shape[-1]
    return [ops.convert_to_numpy(model([z, labels])) for z in latents(10, dim)]


def cooperative(latents):
    model = CoopNet.from_preset("coopnet_digits")
    return [ops.convert_to_numpy(model(z)) for z in latents(10, model.generator.input_shape[-1])]


def birds(latents):
    model = ProjectedTextGAN.from_preset("projected_text_gan_synthetic_birds_256")
    embeddings = model.text_encoder(list(CAPTIONS))
    count, dim = len(CAPTIONS), model.generator.inputs[1].shape[-1]
    frames = []
    for z in latents(count, dim):
        z[:, -1] = np.where(np.arange(count) % 2, 1.0, -1.0)  # The sign is the direction.
        pictures = ops.convert_to_numpy(model([embeddings, z]))
        frames.append(pictures.reshape(count, 128, 2, 128, 2, 3).mean(axis=(2, 4)))
    return frames


def row(batch):
    """Images [N, H, W, 3] side by side, [H, N W, 3]."""
    return np.concatenate(list(batch), axis=1)


def main():
    strips = [
        [row(enlarged(frame, 2)) for frame in digits(lambda n, dim: circles(n, dim, 1))],
        [row(enlarged(frame, 2)) for frame in cooperative(lambda n, dim: circles(n, dim, 2))],
        [row(frame) for frame in birds(lambda n, dim: circles(n, dim, 3))],
    ]
    width = max(strip[0].shape[1] for strip in strips)
    frames = []
    for parts in zip(*strips, strict=True):
        padded = [
            np.pad(x, ((0, 6), (0, width - x.shape[1]), (0, 0)), constant_values=1.0) for x in parts
        ]
        frames.append(images.to_uint8(np.concatenate(padded)[None])[0])
    images.save_gif(pathlib.Path(__file__).with_name("presets.gif"), frames, ms=90)


if __name__ == "__main__":
    main()
