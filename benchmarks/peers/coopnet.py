"""CoopNet in plain eager PyTorch: the port's networks for 32 x 32 x 3 and its step, as we read it, and a leaner one.

`as_ported`, like the port, draws Langevin noise that it does not use, gathers gradients of the descriptor's weights in
each Langevin step, and takes the descriptor's loss back to the revised images. Without it none of the three is done:
the fastest eager program we know. Padding is the port's (maps of 15, 8 and 8 pixels, where TensorFlow and we have 16).
Channels first and last were both written; `CHANNELS_LAST` is the one to choose for the machine.
"""

import torch
from torch import nn

LATENT = 100
CHANNELS_LAST = True


class Descriptor(nn.Module):
    def __init__(self, width=64, outputs=100):
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

    def forward(self, images):
        return self.head(self.body(images).flatten(1))


class Generator(nn.Sequential):
    def __init__(self, width=64):
        layers, channels = [nn.ConvTranspose2d(LATENT, 4 * width, 4)], 4 * width  # [N, 256, 4, 4]
        for maps in (2 * width, width, 3):  # [N, 128, 8, 8], [N, 64, 16, 16], [N, 3, 32, 32]
            layers += [nn.BatchNorm2d(channels), nn.LeakyReLU()]
            layers += [nn.ConvTranspose2d(channels, maps, 5, 2, 2, output_padding=1)]
            channels = maps
        super().__init__(*layers, nn.Tanh())


def training_step(
    chains=100, batch_size=100, steps=10, *, step_size=0.001, sigma=0.016, as_ported=True, seed=0
):
    """One training step on made-up images: a function without arguments that takes it and returns the two losses."""
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
        drawn = generator(latents)
        if not as_ported:
            descriptor.requires_grad_(False)
        revised = revise(drawn)
        descriptor.requires_grad_(True)

        descriptor_optimizer.zero_grad()
        descriptor_loss = (descriptor(revised).mean(0) - descriptor(images).mean(0)).sum()
        descriptor_loss.backward()
        descriptor_optimizer.step()

        generator_optimizer.zero_grad()
        generator_loss = (revised.detach() - drawn).square().sum() / (2 * 0.3**2)
        generator_loss.backward()
        generator_optimizer.step()
        return descriptor_loss.item(), generator_loss.item()

    return step
