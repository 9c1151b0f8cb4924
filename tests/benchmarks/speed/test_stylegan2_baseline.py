"""The StyleGAN2 baseline has the networks of kerasgan, and its step trains them."""

import numpy as np
import pytest
import torch

from benchmarks.speed.baselines import stylegan2 as baseline
from kerasgan.models import stylegan2

TINY = {
    "size": 8,
    "colours": 1,
    "classes": 3,
    "latent": 6,
    "depth": 2,
    "capacity": 1,
    "max_channels": 4,
}


def ours(size, colours, classes, latent, depth, **shape):
    shape |= {"channels": colours, "conditions": classes}
    generator = stylegan2.Generator(
        size, latent_dim=latent, depth=depth, mapping_form="paper", **shape
    )
    return generator, stylegan2.build_discriminator(size, group=4, **shape)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_networks_have_as_many_parameters_as_kerasgans():
    n = baseline.Networks()
    small = {
        "size": 32,
        "colours": 1,
        "classes": 10,
        "latent": 128,
        "depth": 4,
        "capacity": 4,
        "max_channels": 128,
    }
    generator, discriminator = ours(**small)
    assert count(n.generator) + count(n.mapping) == generator.count_params() == 272_440
    assert count(n.discriminator) == discriminator.count_params() == 964_724


def test_networks_give_our_numbers(copy_weights):
    n, (generator, discriminator) = baseline.Networks(**TINY), ours(**TINY)
    random = np.random.default_rng(0)
    for weight in [
        *generator.weights,
        *discriminator.weights,
    ]:  # Includes biases and noise weights.
        weight.assign(random.normal(0, 0.5, weight.shape))
    copy_weights(n.mapping.parameters(), generator.mapping.weights)
    copy_weights(n.generator.conv.parameters(), generator.first.weights)
    layers = [layer for block in n.generator.blocks for layer in (block.one, block.other)]
    for theirs, layer in zip(layers, generator.style_layers, strict=True):
        copy_weights(theirs.affine.parameters(), layer.affine.weights)
        copy_weights(theirs.conv.parameters(), layer.convolution.weights)
        copy_weights(theirs.noise.parameters(), [np.array(layer.noise_scale)[None], layer.bias])
    for block, affine, colours in zip(
        n.generator.blocks, generator.colour_affines, generator.colour_layers, strict=True
    ):
        copy_weights(
            [*block.affine.parameters(), *block.colours.parameters()],
            [*affine.weights, *colours.weights],
        )
    *weights, kernel, bias = map(np.array, discriminator.weights)
    features = (
        kernel[:-1].reshape(2, 2, -1, 3).transpose(2, 0, 1, 3).reshape(-1, 3)
    )  # The baseline has channels first.
    copy_weights(
        n.discriminator.parameters(), [*weights, np.concatenate([features, kernel[-1:]]), bias]
    )
    n.generator.start.data.copy_(
        torch.from_numpy(np.array(generator.constant)).permute(2, 0, 1)[None]
    )

    latents, noise = random.normal(size=(8, 6)), random.uniform(size=(8, 8, 8, 1))
    latents, noise = latents.astype("float32"), noise.astype("float32")
    w, conditions = (
        np.array(generator.mapping(latents)),
        np.eye(3, dtype="float32")[np.arange(8) % 3],
    )
    np.testing.assert_allclose(
        n.mapping(torch.from_numpy(latents)).detach(), w, rtol=1e-4, atol=1e-6
    )
    styles = np.concatenate([w, conditions], axis=1)[:, None].repeat(2, axis=1)
    images = np.array(generator([styles, noise]))
    found = n.generator(
        torch.from_numpy(styles), torch.from_numpy(noise).transpose(1, 2)
    )  # See `baselines.stylex.Styled`.
    np.testing.assert_allclose(found.detach().permute(0, 2, 3, 1), images, rtol=1e-3, atol=1e-4)
    logits = (n.discriminator(found) * torch.from_numpy(conditions)).sum(1)
    np.testing.assert_allclose(
        logits.detach(), np.array(discriminator([images, conditions]))[:, 0], rtol=1e-3
    )


def test_shifted_images_are_crops_of_padded_images():
    images = torch.arange(1.0, 65.0).reshape(4, 1, 4, 4)
    found = baseline.shifted(images, pixels=1)
    for image, moved in zip(images, found, strict=True):
        padded = torch.nn.functional.pad(image, [1] * 4, value=-1.0)
        pieces = [padded[:, i : i + 4, j : j + 4] for i in range(3) for j in range(3)]
        assert sum(torch.equal(moved, piece) for piece in pieces) == 1
    assert baseline.shifted(images).shape == images.shape


@pytest.mark.parametrize("kind", [{}, {"penalty": True}, {"path": True}])
def test_a_step_updates_all_networks(kind):
    step = baseline.training_step(4, **kind, **TINY)
    n = step.networks
    parameters = [
        *n.mapping.parameters(),
        *n.generator.parameters(),
        *n.discriminator.parameters(),
        *step.ema_weights,
    ]
    before = [p.clone() for p in parameters]
    assert np.isfinite([step() for _ in range(2)]).all()
    still = [
        b.shape for p, b in zip(parameters, before, strict=True) if b.ndim > 1 and torch.equal(p, b)
    ]
    assert still == []
    assert all(p.requires_grad for p in n.discriminator.parameters())


def test_penalties_are_added():
    def losses(**kind):
        step = baseline.training_step(4, **kind, **TINY)
        torch.manual_seed(1)
        step()  # The first step sets the mean path length.
        torch.manual_seed(1)
        return step()

    plain, penalty, path = losses(), losses(penalty=True), losses(path=True)
    assert penalty[0] > plain[0]
    assert path != plain and np.isfinite(path).all()
