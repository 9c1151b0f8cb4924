"""The VAE baseline has the networks and the loss of kerasgan, and learns."""

import numpy as np
import pytest
import torch
from keras import ops

from benchmarks.speed.baselines import vae as baseline
from kerasgan.losses.variational import (
    bernoulli_log_likelihood,
    negative_elbo,
    normal_kl_divergence,
)
from kerasgan.models.conditional_vae import build_decoder, build_encoder


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_networks_have_as_many_parameters_as_kerasgans():
    assert (count(baseline.Encoder()), count(baseline.Decoder())) == (847_232, 846_177)
    assert (build_encoder().count_params(), build_decoder().count_params()) == (847_232, 846_177)


def test_loss_equals_kerasgans(copy_weights):
    shape = {"latent_dim": 3, "width": 4}
    ours, theirs = (
        (build_encoder(**shape), build_decoder(**shape)),
        (baseline.Encoder(3, 4), baseline.Decoder(3, 4)),
    )
    for network, other in zip(theirs, ours, strict=True):
        copy_weights(network.parameters(), other.weights)
    labels = np.array([3, 1, 4, 1, 5], "int32")
    images = np.random.default_rng(0).uniform(-1, 1, [5, 28, 28, 1]).astype("float32")
    one_hot = torch.eye(10)[torch.from_numpy(labels).long()]
    torch.manual_seed(1)
    found = baseline.negative_elbo(*theirs, torch.from_numpy(images).permute(0, 3, 1, 2), one_hot)
    torch.manual_seed(1)
    noise = torch.randn(5, 3).numpy()
    mean, log_variance = ours[0]([images, labels])
    logits = ours[1]([mean + ops.exp(log_variance / 2) * noise, ops.convert_to_tensor(labels)])
    expected = negative_elbo(
        bernoulli_log_likelihood(images, logits), normal_kl_divergence(mean, log_variance)
    )
    assert found.item() == pytest.approx(float(expected), rel=1e-5)


def test_a_step_updates_both_networks_and_the_loss_falls():
    step = baseline.training_step(8, latent=3, width=4)
    before = [[p.clone() for p in network.parameters()] for network in step.networks]
    losses = [step() for _ in range(20)]
    for network, old in zip(step.networks, before, strict=True):
        assert not any(torch.equal(p, b) for p, b in zip(network.parameters(), old, strict=True))
    assert losses[-1] < losses[0]
