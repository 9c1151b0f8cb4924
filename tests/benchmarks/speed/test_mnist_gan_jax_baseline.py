"""The JAX baseline of the MNIST GAN has the networks of the PyTorch baseline, and learns."""

import keras
import numpy as np
import pytest
import torch

from benchmarks.speed.baselines import mnist_gan as other
from tests.marks import slow_on_jax

if keras.backend.backend() != "jax":
    # JAX warns about each later fork of its process, and tests of other backends start processes.
    pytest.skip("runs in the processes that use JAX", allow_module_level=True)

import jax

from benchmarks.speed.baselines import mnist_gan_jax as baseline

pytestmark = pytest.mark.backend


def copied(network, shapes):
    """Gives a PyTorch network the kernels, biases and norms of nested dictionaries."""
    parameters = iter(network.parameters())
    for weights in shapes.values():
        for name, value in weights.items():
            value = np.asarray(value)
            if value.ndim == 4:
                value = value.transpose(2, 3, 0, 1)  # HWIO to a transposed convolution's IOHW
                target = next(parameters)
                if target.shape != value.shape:  # a convolution: OIHW
                    value = value.transpose(1, 0, 2, 3)
                else:
                    value = value[:, :, ::-1, ::-1].copy()  # PyTorch's are flipped.
            else:
                target = next(parameters)
                value = value.T if value.ndim == 2 else value
            assert target.shape == value.shape, name
            with torch.no_grad():
                target.copy_(torch.from_numpy(np.ascontiguousarray(value)))
    assert next(parameters, None) is None
    return network


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_the_generator_equals_that_of_pytorch(random):
    weights = baseline.generator_weights(random)
    # In PyTorch, the projection comes first and pixels vary fastest; here channels do.
    network = copied(other.Generator(), weights)
    latents, labels = random.normal(size=(5, 100)).astype("float32"), np.arange(5)
    found, _ = baseline.generate(weights, latents, labels)
    with torch.no_grad():
        order = np.arange(1024).reshape(2, 2, 256).transpose(2, 0, 1).reshape(-1)
        network.project.weight.copy_(network.project.weight[torch.from_numpy(order)])
        expected = network(torch.from_numpy(latents), torch.from_numpy(labels))
    np.testing.assert_allclose(found, expected.permute(0, 2, 3, 1).numpy(), atol=2e-6)


def test_the_discriminator_equals_that_of_pytorch(random):
    weights = baseline.discriminator_weights(random)
    network = copied(other.Discriminator(noted=False), weights)
    images = random.uniform(-1, 1, (6, 28, 28, 1)).astype("float32")
    logits, features, _ = baseline.discriminate(weights, images)
    with torch.no_grad():
        # Features are in the order of channels in PyTorch, of pixels here.
        order = torch.from_numpy(np.arange(392).reshape(14, 14, 2).transpose(2, 0, 1).reshape(-1))
        network.tensor.weight.copy_(network.tensor.weight[:, order])
        network.head.weight[:, :392] = network.head.weight[:, :392][:, order]
        expected, rows = network(torch.from_numpy(images).permute(0, 3, 1, 2))
    np.testing.assert_allclose(logits, expected.numpy(), atol=2e-5)
    np.testing.assert_allclose(
        np.asarray(features).reshape(6, 14, 14, 2).transpose(0, 3, 1, 2).reshape(6, -1),
        rows.numpy(),
        atol=2e-6,
    )


@slow_on_jax
def test_a_step_changes_all_weights_and_the_losses_fall():
    step = baseline.corrected_step(16)
    losses = [step() for _ in range(12)]
    assert losses[-1][0] < losses[0][0]
    state = baseline.initial_state()
    before = jax.tree.map(np.array, state["generator"])
    new, _ = baseline.train(state, np.zeros((4, 28, 28, 1), "float32"), np.arange(4))
    assert all(
        np.abs(one - np.asarray(two)).max() > 0
        for one, two in zip(jax.tree.leaves(before), jax.tree.leaves(new["generator"]), strict=True)
    )
