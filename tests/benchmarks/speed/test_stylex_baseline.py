"""The StylEx baseline has the published sizes, its steps train, and AttFind finds effects."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchmarks.speed.baselines import stylex as baseline
from kerasgan.models import stylegan2

TINY = {"size": 8, "capacity": 1, "max_channels": 4, "latent": 6, "depth": 2}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_published_parameter_counts():
    with torch.device("meta"):  # Counts weights without allocating them.
        networks = [
            baseline.Generator(32),
            baseline.Mapping(),
            baseline.Trunk(32, 512),
            baseline.Trunk(32, 2),
        ]
        small = [
            baseline.Generator(32, 8, 256),
            baseline.Trunk(32, 512, 8, 256),
            baseline.Trunk(32, 2, 8, 256),
        ]
    assert [count(network) for network in networks] == [
        3_214_752,
        2_101_248,
        16_384_128,
        15_339_138,
    ]
    assert [round(count(network) / 1e6, 2) for network in small] == [1.02, 4.36, 3.84]


def test_networks_have_as_many_parameters_as_kerasgans():
    n = baseline.Networks(**TINY)
    shape = {name: TINY[name] for name in ("capacity", "max_channels")}
    generator = stylegan2.Generator(8, latent_dim=6, depth=2, conditions=2, **shape)
    assert count(n.generator) + count(n.mapping) == generator.count_params()
    assert (
        count(n.discriminator)
        == stylegan2.build_discriminator(8, conditions=2, **shape).count_params()
    )


@pytest.mark.parametrize("encoder", [True, False])
def test_a_step_updates_the_networks_it_uses(encoder):
    step = baseline.training_step(2, encoder=encoder, **TINY)
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
        updated = [not torch.equal(p, b) for p, b in zip(each, before[name], strict=True)]
        used = name not in ("classifier", "mapping" if encoder else "encoder")
        assert all(updated) if used else not any(updated), name


@pytest.mark.parametrize("kind", [{}, {"encoder": False}, {"penalty": True}, {"path": True}])
def test_the_leaner_step_gives_the_same_numbers(kind):
    steps = [
        baseline.training_step(2, as_ported=ported, **kind, **TINY) for ported in (True, False)
    ]
    for _ in range(2):
        losses = []
        for step in steps:
            torch.manual_seed(1)
            losses.append(step())
        np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("kind", [{}, {"penalty": True}, {"path": True}])
def test_a_step_with_the_same_fakes_in_both_phases_gives_the_same_numbers(kind):
    # Only the first step: later ones add the noise, which each phase of the other step draws anew.
    losses = []
    for reuse in (False, True):
        step = baseline.training_step(2, as_ported=False, reuse_fakes=reuse, **kind, **TINY)
        if kind.get("path"):  # The noise comes before the directions of the penalty.
            step.networks.noise = lambda count: torch.zeros(count, 8, 8, 1)
        torch.manual_seed(1)
        losses.append(step())
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_fakes_are_generated_once_if_both_phases_use_them():
    step, calls = baseline.training_step(2, reuse_fakes=True, **TINY), []
    step.networks.generator.register_forward_hook(lambda *_: calls.append(1))
    step()
    assert len(calls) == 1


def test_penalties_are_added():
    def losses(**kind):
        step = baseline.training_step(2, **kind, **TINY)
        torch.manual_seed(1)
        return step()

    plain, penalty, path = losses(), losses(penalty=True), losses(path=True)
    assert penalty[0] > plain[0]
    assert path[0] == plain[0]
    assert path[1] > plain[1]


def test_single_effects_equal_those_of_changed_style_vectors():
    coordinates = [0, 5, 13]  # Styles of 4 + 4 + 4 + 2: first, second and last layer.
    step = baseline.single_effects(2, coordinates, references=3, **TINY)
    n = step.networks
    before = [p.clone() for p in n.generator.parameters()]
    effects = step()
    assert all(torch.allclose(p, b) for p, b in zip(n.generator.parameters(), before, strict=True))
    assert effects.shape == (2, 2, 3, 2)
    assert (np.abs(effects).max(axis=(0, 1, 3)) > 0).all()
    np.testing.assert_allclose(step(), effects, atol=1e-5)  # The step restores the biases.


def test_both_forms_of_modulated_convolution_agree():
    layer, x, style = baseline.ModulatedConv(3, 5, 3), torch.randn(2, 3, 6, 6), torch.randn(2, 3)
    grouped, layer.grouped = layer(x, style), False
    torch.testing.assert_close(layer(x, style), grouped, rtol=1e-4, atol=1e-5)
    one = layer.weight * (style[0] + 1)[:, None, None]
    one = one / one.square().sum((1, 2, 3), keepdim=True).sqrt()
    torch.testing.assert_close(grouped[:1], F.conv2d(x[:1], one, padding=1), rtol=1e-4, atol=1e-5)
