"""Class-conditional StyleGAN2 in eager PyTorch, from the blocks of `baselines.stylex`.

Networks and training step are kerasgan's. To give the fastest baseline, modulated convolutions
scale their inputs and outputs, memory is channels-last, one batch of fakes serves both phases,
penalties reuse the forward pass of the losses, and the discriminator's weights are frozen in the
generator's phase. For the digits of `zoo.stylegan2`, generator (with mapping) and discriminator
have 272,440 and 964,724 parameters.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.speed.baselines.stylex import Generator, Mapping, ModulatedConv, Trunk, kaiming


class Deviation(nn.Module):
    """Minibatch standard deviation: appends the mean deviation in groups to features `[N, F]`."""

    def __init__(self, group: int = 4):
        super().__init__()
        self.group = group

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        variance = x.reshape(self.group, -1, x.shape[1]).var(0, correction=0)
        deviation = (variance + 1e-8).sqrt().mean(1, keepdim=True)
        return torch.cat([x, deviation.repeat(self.group, 1)], dim=1)


class Networks:
    """Mapping network, generator and discriminator."""

    def __init__(
        self,
        size: int = 32,
        colours: int = 1,
        classes: int = 10,
        latent: int = 128,
        depth: int = 4,
        capacity: int = 4,
        max_channels: int = 128,
        discriminator_capacity: int | None = None,
    ):
        self.latent, self.classes, self.blocks = latent, classes, size.bit_length() - 2
        self.mapping = Mapping(latent, depth, paper=True)
        self.generator = Generator(size, capacity, max_channels, latent + classes, colours)
        self.discriminator = Trunk(
            size, classes, discriminator_capacity or capacity, max_channels, colours
        )
        features = self.discriminator[-1].in_features
        self.discriminator[-1] = nn.Sequential(
            Deviation(), kaiming(nn.Linear(features + 1, classes))
        )
        for module in self.generator.modules():
            if isinstance(module, ModulatedConv):
                module.grouped = False
        for network in (self.generator, self.discriminator):
            network.to(memory_format=torch.channels_last)

    def discriminate(self, images: torch.Tensor, one_hot: torch.Tensor) -> torch.Tensor:
        """Return logits `[N]` (high for real) of images randomly shifted by up to two pixels."""
        return (self.discriminator(shifted(images)) * one_hot).sum(1)

    def styles(self, one_hot: torch.Tensor, mixing: float = 0.9) -> torch.Tensor:
        """Return styles `[N, blocks, latent + classes]` of random latents.

        A share `mixing` of the samples uses two latents, with the crossover at a random block.
        """
        count = len(one_hot)
        first, other = self.mapping(torch.randn(2 * count, self.latent))[:, None].chunk(2)
        crossovers = torch.where(
            torch.rand(count) < mixing, torch.randint(self.blocks, [count]), self.blocks
        )
        w = torch.where((torch.arange(self.blocks) < crossovers[:, None])[..., None], first, other)
        return torch.cat([w, one_hot[:, None].expand(-1, self.blocks, -1)], dim=2)


def shifted(images: torch.Tensor, pixels: int = 2, fill: float = -1.0) -> torch.Tensor:
    """Shift each image by up to `pixels` in both directions and pad with `fill`."""
    count, _, height, width = images.shape
    down, right = torch.randint(2 * pixels + 1, [2, count, 1, 1])
    rows, columns = (
        down + torch.arange(height)[:, None],
        right + torch.arange(width),
    )  # [N, H, 1], [N, 1, W]
    padded = F.pad(images, [pixels] * 4, value=fill).permute(0, 2, 3, 1)
    return padded[torch.arange(count)[:, None, None], rows, columns].permute(0, 3, 1, 2)


def training_step(
    batch_size: int = 32,
    *,
    penalty: bool = False,
    path: bool = False,
    penalty_every: int = 1,
    path_every: int = 1,
    gamma: float = 1.0,
    compiled: Callable | None = None,
    seed: int = 0,
    **networks: int,
) -> Callable[[], Any]:
    """Build a training step on random images: a function that runs it and returns both losses.

    Args:
        batch_size: Number of images.
        penalty: Boolean, whether to add the R1 penalty, `gamma / 2 * squared gradient norm`.
        path: Boolean, whether to add the path length penalty with weight 2.
        penalty_every: Number of steps between R1 penalties, which are multiplied by this number.
        path_every: Number of steps between path length penalties, likewise.
        gamma: Weight of the R1 penalty.
        compiled: Function such as `torch.compile`, applied to the steps without penalties.
            TorchInductor cannot differentiate a gradient, so steps with penalties stay eager.
        seed: Integer seed.
        **networks: Arguments of `Networks`.
    """
    torch.manual_seed(seed)
    n = Networks(**networks)
    ema_generator, path_mean, steps = copy.deepcopy(n.generator), None, 0
    ema_mapping = copy.deepcopy(n.mapping)
    generator_weights = [*n.generator.parameters(), *n.mapping.parameters()]
    ema_weights = [*ema_generator.parameters(), *ema_mapping.parameters()]
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
        now, before = lengths.mean().detach(), path_mean
        path_mean = now if before is None else before + 0.01 * (now - before)
        weight = 2 * path_every
        return 0.0 if before is None else weight * (lengths - before).square().mean()

    def discriminator_phase(fake, penalty):
        real = images.detach().requires_grad_(penalty)
        real_logits = n.discriminate(real, one_hot)
        loss = (
            F.softplus(-real_logits).mean()
            + F.softplus(n.discriminate(fake.detach(), one_hot)).mean()
        )
        if penalty:
            (gradient,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
            weight = penalty_every * gamma / 2
            loss = loss + weight * gradient.square().sum((1, 2, 3)).mean()
        discriminator_optimizer.zero_grad()
        loss.backward()
        discriminator_optimizer.step()
        return loss

    def update(decay, penalty, path):
        w = n.styles(one_hot)
        fake = n.generator(w, torch.rand(batch_size, size, size, 1))
        extra = path_penalty(fake, w) if path else 0.0
        discriminator_loss = discriminator_phase(fake, penalty)
        n.discriminator.requires_grad_(False)
        generator_loss = F.softplus(-n.discriminate(fake, one_hot)).mean() + extra
        generator_optimizer.zero_grad()
        generator_loss.backward()
        generator_optimizer.step()
        n.discriminator.requires_grad_(True)
        with torch.no_grad():
            for ema_weight, weight in zip(ema_weights, generator_weights, strict=True):
                ema_weight.lerp_(weight, 1 - decay)
        return discriminator_loss.detach(), generator_loss.detach()

    plain = compiled(update) if compiled else update

    def step():
        nonlocal steps
        now = penalty and steps % penalty_every == 0, path and steps % path_every == 0
        steps += 1
        # A tensor, because a compiled function is compiled again for a new number.
        decay = torch.full((), min(0.998, (1 + steps) / (10 + steps)))
        return (update if any(now) else plain)(decay, *now)

    step.networks, step.ema_weights = n, ema_weights
    return step
