"""StyleGAN2 with classes in plain eager PyTorch: our own networks, of the blocks in `peers.stylex`, and our own step.

It is at its best: modulated convolutions scale their maps, memory is channels-last, one batch of fakes serves both
phases, penalties differentiate what the losses have computed already, and the discriminator's weights are frozen in the
generator's phase. For the small digits of `zoo.stylegan2`, generator (with its mapping) and discriminator have 272,440
and 964,724 parameters.
"""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.peers.stylex import Generator, Mapping, ModulatedConv, Trunk, kaiming


class Deviation(nn.Module):
    """Appends to features [N, F] their mean standard deviation among `group` samples."""

    def __init__(self, group=4):
        super().__init__()
        self.group = group

    def forward(self, x):
        variance = x.reshape(self.group, -1, x.shape[1]).var(0, correction=0)
        deviation = (variance + 1e-8).sqrt().mean(1, keepdim=True)
        return torch.cat([x, deviation.repeat(self.group, 1)], dim=1)


class Networks:
    """All of them."""

    def __init__(
        self, size=32, colours=1, classes=10, latent=128, depth=4, capacity=4, max_channels=128
    ):
        self.latent, self.classes, self.blocks = latent, classes, size.bit_length() - 2
        self.mapping = Mapping(latent, depth, paper=True)
        self.generator = Generator(size, capacity, max_channels, latent + classes, colours)
        self.discriminator = Trunk(size, classes, capacity, max_channels, colours)
        features = self.discriminator[-1].in_features
        self.discriminator[-1] = nn.Sequential(
            Deviation(), kaiming(nn.Linear(features + 1, classes))
        )
        for module in self.generator.modules():
            if isinstance(module, ModulatedConv):
                module.grouped = False
        for network in (self.generator, self.discriminator):
            network.to(memory_format=torch.channels_last)

    def discriminate(self, images, one_hot):
        """Logits [N], high for real, of images that are shifted by up to two pixels."""
        return (self.discriminator(shifted(images)) * one_hot).sum(1)

    def styles(self, one_hot, mixing=0.9):
        """w [N, blocks, latent + classes] of random latents, `mixing` of them of two, mixed at a random block."""
        count = len(one_hot)
        first, other = self.mapping(torch.randn(2 * count, self.latent))[:, None].chunk(2)
        crossovers = torch.where(
            torch.rand(count) < mixing, torch.randint(self.blocks, [count]), self.blocks
        )
        w = torch.where((torch.arange(self.blocks) < crossovers[:, None])[..., None], first, other)
        return torch.cat([w, one_hot[:, None].expand(-1, self.blocks, -1)], dim=2)


def shifted(images, pixels=2, fill=-1.0):
    """Each image moved by whole pixels in both directions; what comes in is `fill`."""
    count, _, height, width = images.shape
    down, across = torch.randint(2 * pixels + 1, [2, count, 1, 1])
    rows, columns = (
        down + torch.arange(height)[:, None],
        across + torch.arange(width),
    )  # [N, H, 1], [N, 1, W]
    padded = F.pad(images, [pixels] * 4, value=fill).permute(0, 2, 3, 1)
    return padded[torch.arange(count)[:, None, None], rows, columns].permute(0, 3, 1, 2)


def training_step(batch_size=32, *, penalty=False, path=False, gamma=1.0, seed=0, **networks):
    """One training step on made-up images: a function without arguments that takes it and returns the two losses.

    Args:
        penalty: with R1, gamma / 2 |slope|^2 at the real images.
        path: with the path-length penalty, of weight 2.
        **networks: of `Networks`.
    """
    torch.manual_seed(seed)
    n = Networks(**networks)
    averaged, path_mean, steps = copy.deepcopy(n.generator), None, 0
    averaged_mapping = copy.deepcopy(n.mapping)
    generator_weights = [*n.generator.parameters(), *n.mapping.parameters()]
    averages = [*averaged.parameters(), *averaged_mapping.parameters()]
    generator_optimizer = torch.optim.Adam(generator_weights, lr=5e-4, betas=(0.5, 0.9))
    discriminator_optimizer = torch.optim.Adam(
        n.discriminator.parameters(), lr=5e-4, betas=(0.5, 0.9)
    )
    size, colours = 4 * 2 ** (n.blocks - 1), n.discriminator[0].one.in_channels
    images = (
        torch.rand(batch_size, colours, size, size)
        .mul(2)
        .sub(1)
        .to(memory_format=torch.channels_last)
    )
    one_hot = F.one_hot(torch.arange(batch_size) % n.classes, n.classes).float()

    def path_penalty(fake, w):
        nonlocal path_mean
        directions = torch.randn(fake.shape) / size
        (gradient,) = torch.autograd.grad((fake * directions).sum(), w, create_graph=True)
        lengths = gradient.square().sum(2).mean(1).sqrt()
        now, before = lengths.mean().item(), path_mean
        path_mean = now if before is None else before + 0.01 * (now - before)
        return 0.0 if before is None else 2 * (lengths - before).square().mean()

    def discriminator_phase(fake):
        real = images.detach().requires_grad_(penalty)
        real_logits = n.discriminate(real, one_hot)
        loss = (
            F.softplus(-real_logits).mean()
            + F.softplus(n.discriminate(fake.detach(), one_hot)).mean()
        )
        if penalty:
            (slope,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
            loss = loss + gamma / 2 * slope.square().sum((1, 2, 3)).mean()
        discriminator_optimizer.zero_grad()
        loss.backward()
        discriminator_optimizer.step()
        return loss

    def step():
        nonlocal steps
        w = n.styles(one_hot)
        fake = n.generator(w, torch.rand(batch_size, size, size, 1))
        extra = path_penalty(fake, w) if path else 0.0
        discriminator_loss = discriminator_phase(fake)
        n.discriminator.requires_grad_(False)
        generator_loss = F.softplus(-n.discriminate(fake, one_hot)).mean() + extra
        generator_optimizer.zero_grad()
        generator_loss.backward()
        generator_optimizer.step()
        n.discriminator.requires_grad_(True)
        steps += 1
        decay = min(0.998, (1 + steps) / (10 + steps))
        with torch.no_grad():
            for average, weight in zip(averages, generator_weights, strict=True):
                average.lerp_(weight, 1 - decay)
        return discriminator_loss.item(), generator_loss.item()

    step.networks, step.averages = n, averages
    return step
