"""What holds for each model of the zoo as a whole: files, a new process, export, `summary`, and `sample`'s arguments."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from kerasgan import registration, schedules
from kerasgan.layers.conv3x3 import Conv3x3
from kerasgan.losses import adversarial, penalties
from kerasgan.losses.perceptual import ClassifierDistance
from kerasgan.models import conditional_vae, coopnet, flow, hdgan, mnist_gan, stylegan2, stylex
from kerasgan.ops.augment import translate
from kerasgan.text import char_cnn_rnn, guide

ROOT = Path(__file__).resolve().parent.parent
TINY = {"capacity": 1, "max_channels": 4, "latent_dim": 3, "depth": 2}


def rate():
    return schedules.FlatThenLinear(1e-2, 10)


def mnist(**arguments):
    shape = {"width": 2, "size": 8, "classes": 3}
    networks = (
        mnist_gan.build_conditional_generator(latent_dim=4, **shape),
        mnist_gan.build_projection_discriminator(**shape),
    )
    losses = {
        "discriminator_loss": adversarial.NoisyLabels(seed=1),
        "generator_loss": adversarial.nonsaturating_generator_loss,
        "gradient_penalty": penalties.wgan_gp_penalty,
    }
    arguments = {"penalty": 1.0, "augment": translate, "average": 0.9, "feature_matching": 0.0} | arguments
    return mnist_gan.MnistGAN(*networks, classes=3, **losses | arguments)


def noted():
    generator = mnist_gan.build_generator(latent_dim=4, width=2)
    return mnist_gan.MnistGAN(generator, mnist_gan.build_discriminator(width=2, kernels=3, dims=2, as_noted=True),
                              as_noted=True)  # fmt: skip


def birds():
    sizes, words = (64, 128), {"embedding_dim": 5}
    generator = hdgan.build_generator(sizes, 2, latent_dim=4, condition_dim=3, **words)
    judges = {size: hdgan.build_discriminator(size, 2, text_dim=3, **words) for size in sizes}
    return hdgan.HDGAN(generator, judges, average=0.9, critic_steps=hdgan.NotedCriticSteps(5))


def style(conditions=0):
    generator = stylegan2.Generator(8, 1, conditions=conditions, **TINY)
    widths = {key: TINY[key] for key in ("capacity", "max_channels")}
    return stylegan2.StyleGAN2(generator, stylegan2.build_discriminator(8, 1, conditions=conditions, **widths))


def explainer(perceptual=None):
    convolve = Conv3x3(3, padding="same", activation="tanh")
    images = keras.Input((8, 8, 1))
    classifier = keras.Model(images, layers.Dense(2)(layers.Flatten()(convolve(images))), name="eight")
    return stylex.StylEx(classifier, perceptual=perceptual and ClassifierDistance(classifier), **TINY)


def cooperative():
    descriptor = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2)], name="descriptor")
    latents = keras.Input((3,))
    images = layers.Reshape((4, 4, 1))(layers.Dense(16, "tanh")(latents))
    return coopnet.CoopNet(keras.Model(latents, images, name="generator"), descriptor, chains=4, steps=2)


def variational():
    shape = {"latent_dim": 3, "classes": 3, "width": 2, "size": 8}
    return conditional_vae.ConditionalVAE(
        conditional_vae.build_encoder(**shape), conditional_vae.build_decoder(**shape), classes=3
    )


def real_nvp():
    return flow.RealNVP(flow.Couplings(4, scales=2, depth=4, width=4, classes=3))


MODELS = {
    "mnist": mnist, "noted": noted, "birds": birds, "style": style, "style_classes": lambda: style(2),
    "explainer": explainer, "explainer_distance": lambda: explainer(True), "cooperative": cooperative,
    "variational": variational, "flow": real_nvp,
}  # fmt: skip
ENCODERS = {
    "joint": lambda: char_cnn_rnn.JointEmbedding(
        char_cnn_rnn.build_text_encoder(width=1 / 64, dim=4), char_cnn_rnn.build_image_encoder(16, 2, dim=4)
    ),
    "guide": lambda: guide.ImageGuide((2, 3), char_cnn_rnn.build_image_encoder(16, 2, dim=4)),
}


def drawn(model, seed=1, count=4):
    """Some images of a model that draws, of one seed."""
    if isinstance(model, hdgan.HDGAN):
        return model.sample(np.ones((count, 5), "float32"), seed=seed)[64]
    return model.sample(count, seed=seed)


def compiled(model):
    model.compile(**{player: keras.optimizers.Adam(rate()) for player in model.players})
    return model
