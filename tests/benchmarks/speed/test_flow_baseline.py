"""The flow baseline has the couplings, masks and loss of kerasgan, and learns."""

import math

import numpy as np
import pytest
import torch
from keras import ops

from benchmarks.speed.baselines import flow as baseline
from kerasgan.models import real_nvp as flows


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_network_has_as_many_parameters_as_kerasgans():
    ours = sum(math.prod(weight.shape) for weight in flows.Couplings().trainable_weights)
    assert count(baseline.Flow()) == ours == 5_943_456


@pytest.mark.parametrize("shape", [(6, 6, 4), (4, 4, 16)])
def test_masks_equal_kerasgans(shape):
    for index in range(8):
        np.testing.assert_array_equal(baseline.mask(shape, index), flows.mask(shape, index)[0])


def test_loss_equals_kerasgans(copy_weights):
    ours = flows.Couplings(8, scales=2, depth=4, width=4)
    random = np.random.default_rng(0)
    for weight in ours.trainable_weights:  # A new flow is the identity.
        weight.assign(random.normal(0, 0.1, weight.shape))
    ours.mean.assign(random.normal(size=ours.mean.shape))
    ours.deviation.assign(random.uniform(0.5, 2, ours.deviation.shape))
    theirs = baseline.Flow(8, scales=2, depth=4, width=4)
    for coupling, other in zip(theirs.couplings, ours.couplings, strict=True):
        copy_weights(coupling.parameters(), [w for layer in named(other) for w in layer.weights])
    theirs.mean.copy_(torch.from_numpy(np.array(ours.mean)[0]))
    theirs.deviation.copy_(torch.from_numpy(np.array(ours.deviation)[0]))

    labels = np.array([3, 1, 4, 1, 5], "int32")
    images = (random.integers(0, 256, [5, 8, 8, 1]) / 127.5 - 1).astype("float32")
    one_hot = torch.eye(10)[torch.from_numpy(labels).long()]
    torch.manual_seed(1)
    found = baseline.negative_log_likelihood(theirs, torch.from_numpy(images), one_hot)
    torch.manual_seed(1)
    levels = np.rint((images + 1) * 127.5) + torch.rand(5, 8, 8, 1).numpy()
    x, spread = flows.to_logits(levels / 256)
    latents, log_determinant = ours.encode(x, labels)
    expected = -ops.mean(flows.normal_log_prob(latents) + log_determinant + spread) + 64 * math.log(
        256
    )
    assert found.item() == pytest.approx(float(expected), rel=1e-5)


def named(coupling):
    """Layers of a coupling in the order of the baseline: the class embedding comes second."""
    dense = [layer for layer in coupling.layers if type(layer).__name__ == "Dense"]
    convolutions = [layer for layer in coupling.layers if type(layer).__name__ == "Conv2D"]
    return [convolutions[0], *dense, *convolutions[1:]] if convolutions else dense


def test_a_step_updates_every_coupling_and_the_loss_falls():
    step = baseline.training_step(8, size=8, width=4)
    before = [p.clone() for p in step.flow.parameters()]
    losses = [step() for _ in range(20)]
    assert not any(torch.equal(p, b) for p, b in zip(step.flow.parameters(), before, strict=True))
    assert losses[-1] < losses[0]
