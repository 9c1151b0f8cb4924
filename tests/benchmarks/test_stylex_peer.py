"""What StylEx is timed against has the networks that are published and ours, takes its steps, and finds effects."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchmarks.peers import stylex as peer
from kerasgan.models import stylegan2

TINY = {"size": 8, "capacity": 1, "max_channels": 4, "latent": 6, "depth": 2}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_published_parameter_counts():
    with torch.device("meta"):  # numbers of weights without the weights
        networks = [peer.Generator(32), peer.Mapping(), peer.Trunk(32, 512), peer.Trunk(32, 2)]
        small = [peer.Generator(32, 8, 256), peer.Trunk(32, 512, 8, 256), peer.Trunk(32, 2, 8, 256)]
    assert [count(network) for network in networks] == [
        3_214_752,
        2_101_248,
        16_384_128,
        15_339_138,
    ]
    assert [round(count(network) / 1e6, 2) for network in small] == [1.02, 4.36, 3.84]


def test_networks_are_as_large_as_ours():
    n = peer.Networks(**TINY)
    shape = {name: TINY[name] for name in ("capacity", "max_channels")}
    generator = stylegan2.Generator(8, latent_dim=6, depth=2, conditions=2, **shape)
    assert count(n.generator) + count(n.mapping) == generator.count_params()
    assert (
        count(n.discriminator)
        == stylegan2.build_discriminator(8, conditions=2, **shape).count_params()
    )


@pytest.mark.parametrize("encoder", [True, False])
def test_a_step_moves_what_takes_part_in_it(encoder):
    step = peer.training_step(2, encoder=encoder, **TINY)
    n = step.networks
    networks = {
        name: getattr(n, name)
        for name in ("generator", "mapping", "encoder", "discriminator", "classifier")
    }
    matrices = {
        name: [p for p in network.parameters() if p.ndim > 1] for name, network in networks.items()
    }
    before = {name: [p.clone() for p in each] for name, each in matrices.items()}
    assert np.isfinite(step()).all()
    for name, each in matrices.items():
        moved = [not torch.equal(p, b) for p, b in zip(each, before[name], strict=True)]
        takes_part = name not in ("classifier", "mapping" if encoder else "encoder")
        assert all(moved) if takes_part else not any(moved), name


@pytest.mark.parametrize("kind", [{}, {"encoder": False}, {"penalty": True}, {"path": True}])
def test_the_leaner_step_gives_the_same_numbers(kind):
    steps = [peer.training_step(2, as_ported=ported, **kind, **TINY) for ported in (True, False)]
    for _ in range(2):
        losses = []
        for step in steps:
            torch.manual_seed(1)
            losses.append(step())
        np.testing.assert_allclose(*losses, rtol=1e-4)


def test_penalties_are_added():
    def losses(**kind):
        step = peer.training_step(2, **kind, **TINY)
        torch.manual_seed(1)
        return step()

    plain, penalty, path = losses(), losses(penalty=True), losses(path=True)
    assert penalty[0] > plain[0]
    assert path[0] == plain[0]
    assert path[1] > plain[1]


def test_single_effects_are_those_of_changed_style_vectors():
    coordinates = [0, 5, 13]  # of 4 + 4 + 4 + 2: one of the first, the second and the last layer
    step = peer.single_effects(2, coordinates, others=3, **TINY)
    n = step.networks
    before = [p.clone() for p in n.generator.parameters()]
    effects = step()
    assert all(torch.allclose(p, b) for p, b in zip(n.generator.parameters(), before, strict=True))
    assert effects.shape == (2, 2, 3, 2)
    assert (np.abs(effects).max(axis=(0, 1, 3)) > 0).all()
    np.testing.assert_allclose(step(), effects, atol=1e-5)  # what is moved is moved back


def test_modulated_convolutions_are_the_same_either_way():
    layer, x, style = peer.ModulatedConv(3, 5, 3), torch.randn(2, 3, 6, 6), torch.randn(2, 3)
    grouped, layer.grouped = layer(x, style), False
    torch.testing.assert_close(layer(x, style), grouped, rtol=1e-4, atol=1e-5)
    one = layer.weight * (style[0] + 1)[:, None, None]
    one = one / one.square().sum((1, 2, 3), keepdim=True).sqrt()
    torch.testing.assert_close(grouped[:1], F.conv2d(x[:1], one, padding=1), rtol=1e-4, atol=1e-5)
