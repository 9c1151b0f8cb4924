"""CoopNet in eager PyTorch, with networks and step of the original port for 32 x 32 x 3 images.

With `as_ported=True` the step does three things that do not change its result, as the port does: it
samples Langevin noise that it does not use, it accumulates gradients of the descriptor's weights in
each Langevin step, and it backpropagates the descriptor's loss to the revised images. With
`as_ported=False` it skips them; this is the fastest eager program that we know.

Padding follows the port: feature maps have 15, 8 and 8 pixels, where kerasgan's have 16, 8 and 8.
`CHANNELS_LAST` selects the memory layout; choose the faster one for the machine.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

LATENT = 100
CHANNELS_LAST = True


class Descriptor(nn.Module):
    def __init__(self, width: int = 64, outputs: int = 100):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 5, 2, 1),
            nn.LeakyReLU(),  # [N, 64, 15, 15]
            nn.Conv2d(width, 2 * width, 3, 2, 1),
            nn.LeakyReLU(),  # [N, 128, 8, 8]
            nn.Conv2d(2 * width, 4 * width, 3, 1, 1),
            nn.LeakyReLU(),  # [N, 256, 8, 8]
        )
        self.head = nn.Linear(4 * width * 8 * 8, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(images).flatten(1))


class Generator(nn.Sequential):
    def __init__(self, width: int = 64):
        layers, channels = [nn.ConvTranspose2d(LATENT, 4 * width, 4)], 4 * width  # [N, 256, 4, 4]
        for maps in (2 * width, width, 3):  # [N, 128, 8, 8], [N, 64, 16, 16], [N, 3, 32, 32]
            layers += [nn.BatchNorm2d(channels), nn.LeakyReLU()]
            layers += [nn.ConvTranspose2d(channels, maps, 5, 2, 2, output_padding=1)]
            channels = maps
        super().__init__(*layers, nn.Tanh())


def training_step(
    chains: int = 100,
    batch_size: int = 100,
    steps: int = 10,
    *,
    step_size: float = 0.001,
    sigma: float = 0.016,
    as_ported: bool = True,
    seed: int = 0,
) -> Callable[[], Any]:
    """Build a training step on random images: a function that runs it and returns both losses."""
    torch.manual_seed(seed)
    place = {"memory_format": torch.channels_last if CHANNELS_LAST else torch.contiguous_format}
    generator, descriptor = Generator().to(**place), Descriptor().to(**place)
    generator_optimizer = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.5, 0.999))
    descriptor_optimizer = torch.optim.Adam(descriptor.parameters(), lr=3e-3, betas=(0.5, 0.999))
    images = torch.rand(batch_size, 3, 32, 32).mul(2).sub(1).to(**place)
    rate = step_size**2 / 2

    def revise(x):
        for _ in range(steps):
            x = x.detach().requires_grad_()
            outputs = descriptor(x)
            if as_ported:
                torch.randn_like(x)
                outputs.backward(torch.ones_like(outputs))
                gradient = x.grad
            else:
                (gradient,) = torch.autograd.grad(outputs.sum(), x)
            x = x - rate * (x / sigma**2 - gradient)
        return x.detach().requires_grad_(as_ported)

    def step():
        latents = torch.randn(chains, LATENT, 1, 1)
        proposed = generator(latents)
        if not as_ported:
            descriptor.requires_grad_(False)
        revised = revise(proposed)
        descriptor.requires_grad_(True)

        descriptor_optimizer.zero_grad()
        descriptor_loss = (descriptor(revised).mean(0) - descriptor(images).mean(0)).sum()
        descriptor_loss.backward()
        descriptor_optimizer.step()

        generator_optimizer.zero_grad()
        generator_loss = (revised.detach() - proposed).square().sum() / (2 * 0.3**2)
        generator_loss.backward()
        generator_optimizer.step()
        return descriptor_loss.detach(), generator_loss.detach()

    return step
