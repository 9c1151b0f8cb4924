"""The JAX baseline of HDGAN has the networks of the PyTorch baseline, and learns."""

import keras
import numpy as np
import pytest
import torch

from benchmarks.speed.baselines import hdgan as other
from tests.marks import slow_on_jax

if keras.backend.backend() != "jax":
    # JAX warns about each later fork of its process, and tests of other backends start processes.
    pytest.skip("runs in the processes that use JAX", allow_module_level=True)

import jax

from benchmarks.speed.baselines import hdgan_jax as baseline

pytestmark = pytest.mark.backend
WIDTH = 4


def copied(network, weights):
    """Gives a PyTorch network the values of a list of weights in the order of its parameters."""
    values = []
    for each in weights:
        for value in each.values():
            order = {4: (3, 2, 0, 1), 2: (1, 0)}.get(np.ndim(value))
            values.append(np.transpose(value, order) if order else value)
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), values, strict=True):
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))
    return network


def of_block(block):
    return [block["conv"], block["norm"]]


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_the_generator_equals_that_of_pytorch(random, monkeypatch):
    weights = baseline.generator_weights(random, WIDTH, 128)
    order = [weights["condition"], weights["project"], weights["norm"]]
    for scale in weights["scales"]:
        blocks = [scale["up"]] if "up" in scale else []
        order += [each for block in blocks + scale["residual"] for each in of_block(block)]
    network = copied(other.Generator(WIDTH, largest=128), order + list(weights["images"].values()))
    # PyTorch's projection has channels first.
    places = np.arange(128 * WIDTH).reshape(4, 4, -1).transpose(2, 0, 1).ravel()
    with torch.no_grad():
        for parameter in network.project.parameters():
            parameter.copy_(parameter[torch.from_numpy(places)])
    embeddings = random.normal(size=(3, 1024)).astype("float32")
    noise, latents = (random.normal(size=(3, n)).astype("float32") for n in (128, 100))
    (images, mean, log_deviation), _ = baseline.generate(weights, embeddings, noise, latents)
    monkeypatch.setattr(torch, "randn_like", lambda x: torch.from_numpy(noise))
    monkeypatch.setattr(torch, "randn", lambda *shape: torch.from_numpy(latents))
    with torch.no_grad():
        expected, *moments = network(torch.from_numpy(embeddings))
    assert [image.shape for image in images] == [(3, 64, 64, 3), (3, 128, 128, 3)]
    for found, image in zip(images, expected, strict=True):
        np.testing.assert_allclose(found, image.permute(0, 2, 3, 1).numpy(), atol=2e-5)
    for found, each in zip((mean, log_deviation), moments, strict=True):
        np.testing.assert_allclose(found, each.numpy(), atol=2e-5)


@pytest.mark.parametrize("size", [64, 256])
def test_the_discriminator_equals_that_of_pytorch(random, size):
    weights = baseline.discriminator_weights(random, size, WIDTH)
    order = [weights["first"]]
    for block in [*weights["blocks"], weights["shrink"]]:
        order += of_block(block)
    order += [weights["text"], *of_block(weights["joint"]), weights["pair"], weights["image"]]
    network = copied(other.Discriminator(size, WIDTH), order)
    images = random.uniform(-1, 1, (3, size, size, 3)).astype("float32")
    embeddings = random.normal(size=(3, 1024)).astype("float32")
    logits, _ = baseline.discriminate(weights, images, embeddings)
    with torch.no_grad():
        expected = network(
            torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(embeddings)
        )
    for found, each in zip(logits, expected, strict=True):
        np.testing.assert_allclose(found, each.permute(0, 2, 3, 1).numpy(), atol=1e-4)


@slow_on_jax
def test_a_step_changes_all_weights_and_the_losses_fall():
    step = baseline.training_step(4, WIDTH, largest=64)
    losses = [step() for _ in range(15)]
    assert losses[-1][0] < losses[0][0]
    state = baseline.initial_state(WIDTH, (64,))
    before = jax.tree.map(np.array, (state["generator"], state["discriminators"]))
    images = np.random.default_rng(0).uniform(-1, 1, (2, 4, 64, 64, 3)).astype("float32")
    embeddings = np.random.default_rng(1).normal(size=(4, 1024)).astype("float32")
    new, _ = baseline.train(state, *images, embeddings, (64,))
    after = new["generator"], new["discriminators"]
    for one, two in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert np.abs(one - np.asarray(two)).max() > 0
