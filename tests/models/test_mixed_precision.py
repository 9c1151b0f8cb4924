"""Every model and penalty takes three steps under every dtype policy; the weights stay float32."""

import keras
import numpy as np
import pytest

from kerasgan.encoders.part_encoder import build_part_encoder
from kerasgan.losses import adversarial, penalties
from kerasgan.models import (
    conditional_vae,
    coopnet,
    hdgan,
    mnist_gan,
    projected_text_gan,
    real_nvp,
    stylegan2,
    stylex,
)
from kerasgan.models.classifier import build_classifier
from kerasgan.models.conditional_gan import ConditionalGAN

pytestmark = pytest.mark.backend
NAME = keras.backend.backend()
LABELS = np.arange(4, dtype="int32") % 3
WASSERSTEIN = {
    "discriminator_loss": adversarial.wasserstein_discriminator_loss,
    "generator_loss": adversarial.wasserstein_generator_loss,
    "gradient_penalty": penalties.wgan_gp_penalty,
}


def images(count, size, channels):
    return np.random.default_rng(0).uniform(-1, 1, (count, size, size, channels)).astype("float32")


def conditional(**changes):
    gan = ConditionalGAN.for_images(3, size=8, width=4, gradient_penalty_every=1, **changes)
    return gan, images(4, 8, 1), LABELS


def text(norm, **changes):
    generator = hdgan.build_generator((64,), 4, embedding_dim=4, latent_dim=3, condition_dim=2)
    discriminator = hdgan.build_discriminator(64, 4, embedding_dim=4, text_dim=2, norm=norm)
    data = images(2, 64, 3), images(2, 64, 3), np.ones((2, 4), "float32")
    return hdgan.HDGAN(generator, {64: discriminator}, **changes), data


def projected():
    encoder = build_part_encoder(64, 2)
    generator = projected_text_gan.build_generator(
        64, 1, embedding_dim=4, latent_dim=3, condition_dim=2, mirror=True
    )
    posterior = projected_text_gan.build_posterior(encoder, embedding_dim=4, latent_dim=3, width=4)
    gan = projected_text_gan.ProjectedTextGAN(
        generator, encoder, posterior=posterior, gradient_penalty_every=1
    )
    return gan, images(2, 64, 3), np.ones((2, 4), "float32")


def style(gradient_penalty):
    generator = stylegan2.Generator(8, 3, capacity=2, latent_dim=4, depth=2)
    discriminator = stylegan2.build_discriminator(8, 3, capacity=2)
    gan = stylegan2.StyleGAN2(
        generator,
        discriminator,
        gradient_penalty=gradient_penalty,
        gradient_penalty_every=1,
        path_every=1,
    )
    return gan, images(4, 8, 3)


def explained():
    classifier = build_classifier(8, 1, 3, 2, 4)
    return stylex.StylEx(
        classifier, capacity=2, latent_dim=4, depth=2, gradient_penalty_every=1, path_every=1
    ), images(4, 8, 1)


def mnist():
    networks = mnist_gan.build_generator(4, 3, 2), mnist_gan.build_discriminator(3, 2, 3, 2)
    return mnist_gan.MnistGAN(*networks, classes=3), images(4, 28, 1), LABELS


def variational():
    networks = conditional_vae.build_encoder(2, 3, 2, 8), conditional_vae.build_decoder(2, 3, 2, 8)
    return conditional_vae.ConditionalVAE(*networks, classes=3), images(4, 8, 1), LABELS


def cooperative(latent_steps=0):
    networks = (
        coopnet.build_generator(28, 1, 2, latent_dim=4),
        coopnet.build_descriptor(28, 1, 2, head=4),
    )
    return coopnet.CoopNet(
        *networks, chains=4, steps=2, step_size=5e-4, latent_steps=latent_steps
    ), images(4, 28, 1)


CASES = {
    "ConditionalGAN R1": conditional,
    "ConditionalGAN WGAN-GP": lambda: conditional(**WASSERSTEIN),
    "MnistGAN": mnist,
    "HDGAN": lambda: text("batch"),
    "HDGAN R1": lambda: text("none", r1_weight=1.0, r1_every=1, loss="logistic", ema_decay=0.9),
    "ProjectedTextGAN": projected,
    "RealNVP": lambda: (
        real_nvp.RealNVP(real_nvp.Couplings(8, scales=1, width=2, classes=3)),
        images(4, 8, 1),
        LABELS,
    ),
    "ConditionalVAE": variational,
    "CoopNet": cooperative,
    "CoopNet latents": lambda: cooperative(2),
    "StyleGAN2": lambda: style(penalties.r1_penalty),
    "StyleGAN2 unit": lambda: style(penalties.unit_gradient_penalty),
    "StyleGAN2 WGAN-GP": lambda: style(penalties.wgan_gp_penalty),
    "StylEx": explained,
}
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
EVERYWHERE = [("RealNVP", "mixed_bfloat16"), ("ConditionalGAN WGAN-GP", "mixed_bfloat16")]
ON_TENSORFLOW = [
    ("HDGAN", "mixed_float16"),
    ("RealNVP", "mixed_float16"),
    ("ConditionalGAN R1", "mixed_float16"),
]


def three_steps(name, policy):
    keras.mixed_precision.set_global_policy(policy)
    try:
        model, *data = CASES[name]()
        model.compile(
            **{player: keras.optimizers.Adam(1e-3) for player in model.players},
            run_eagerly=NAME != "jax",
        )
        logs = [model.train_on_batch(*data, return_dict=True) for _ in range(3)]
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert np.isfinite([float(value) for log in logs for value in log.values()]).all()
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert all(
        np.isfinite(weight).all() for weight in model.get_weights() if weight.dtype.kind == "f"
    )


def trains(name, policy):
    """Returns `False` if the backend has no kernels for a model's convolutions on this device."""
    if NAME != "torch" or policy == "float32" or name == "RealNVP":  # RealNVP: Dense layers.
        return True
    import torch

    return policy == "mixed_bfloat16" and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def three_steps_or_one_line(name, policy):
    if trains(name, policy):
        three_steps(name, policy)
    else:
        dtype = policy.removeprefix("mixed_")
        with pytest.raises(ValueError, match=f"PyTorch does not train {dtype} convolutions on th"):
            three_steps(name, policy)


@pytest.mark.parametrize(
    ("name", "policy"), EVERYWHERE + (ON_TENSORFLOW if NAME == "tensorflow" else [])
)
def test_three_steps(name, policy):
    three_steps_or_one_line(name, policy)


@pytest.mark.nightly
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", list(CASES))
def test_every_model_and_policy(name, policy):
    three_steps_or_one_line(name, policy)
