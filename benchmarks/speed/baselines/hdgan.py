"""HDGAN in eager PyTorch, after the paper: one batch of fakes serves both phases of a step.

At full width, generator and discriminators have 41,378,496 and 25,693,606 parameters. To give the
fastest baseline, memory is channels-last and the discriminators' weights are frozen in the
generator's phase.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

SIZES = (64, 128, 256)


def conv(channels_in: int, channels: int, relu: bool = True) -> nn.Sequential:
    layers = [
        nn.Conv2d(channels_in, channels, 3, padding=1, padding_mode="reflect", bias=False),
        nn.BatchNorm2d(channels),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels), conv(channels, channels, relu=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


class Generator(nn.Module):
    def __init__(
        self,
        width: int = 128,
        embedding_dim: int = 1024,
        condition: int = 128,
        latent: int = 100,
        largest: int = SIZES[-1],
    ):
        super().__init__()
        self.width, self.latent = width, latent
        self.condition = nn.Linear(embedding_dim, 2 * condition)
        self.project = nn.Sequential(
            nn.Linear(condition + latent, 128 * width), nn.BatchNorm1d(128 * width)
        )
        channels, scales, images = 8 * width, [Residual(8 * width)], []
        for scale in (8, 16, 32, 64, 128, 256)[: largest.bit_length() - 3]:
            stage = [nn.Upsample(scale_factor=2)]
            if scale in (8, 32, 128, 256):
                stage.append(conv(channels, channels // 2))
                channels //= 2
            scales.append(nn.Sequential(*stage, Residual(channels)))
            if scale in SIZES:
                images.append(
                    nn.Conv2d(channels, 3, 3, padding=1, padding_mode="reflect", bias=False)
                )
        self.scales, self.images = nn.ModuleList(scales), nn.ModuleList(images)

    def forward(
        self, embeddings: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        mean, log_deviation = F.leaky_relu(self.condition(embeddings), 0.2).chunk(2, dim=1)
        code = mean + log_deviation.exp() * torch.randn_like(mean)
        x = self.project(torch.cat([code, torch.randn(len(embeddings), self.latent)], dim=1))
        x = x.reshape(-1, 8 * self.width, 4, 4).contiguous(memory_format=torch.channels_last)
        images, heads = [], iter(self.images)
        for scale in self.scales:
            x = scale(x)
            if x.shape[-1] in SIZES:
                images.append(torch.tanh(next(heads)(x)))
        return images, mean, log_deviation


class Discriminator(nn.Module):
    def __init__(self, size: int, width: int = 128, embedding_dim: int = 1024, text: int = 128):
        super().__init__()
        code, channels = 4 * width, width * 64 // size
        layers = [nn.Conv2d(3, channels, 3, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
        while channels < code:
            layers += self.block(channels, 2 * channels, 3, 2, 1)
            channels *= 2
        self.encoder = nn.Sequential(*layers)
        self.shrink = nn.Sequential(*self.block(code, code, 5, 1, 0))
        self.patches = size >= 256
        self.text = nn.Sequential(nn.Linear(embedding_dim, text), nn.LeakyReLU(0.2))
        self.pair = nn.Sequential(*self.block(code + text, code, 1, 1, 0), nn.Conv2d(code, 1, 4))
        self.image = nn.Conv2d(code, 1, 4)

    @staticmethod
    def block(
        channels_in: int, channels: int, kernel: int, stride: int, padding: int
    ) -> list[nn.Module]:
        return [
            nn.Conv2d(channels_in, channels, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(0.2, inplace=True),
        ]

    def forward(
        self, images: torch.Tensor, embeddings: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        code = self.encoder(images)
        shrunk = self.shrink(code)
        text = self.text(embeddings)[:, :, None, None].expand(-1, -1, 4, 4)
        return self.pair(torch.cat([shrunk, text], dim=1)), self.image(
            code if self.patches else shrunk
        )


def error(logits: torch.Tensor, target: float) -> torch.Tensor:
    return (logits - target).square().mean()


def training_step(
    batch_size: int,
    width: int = 128,
    seed: int = 0,
    largest: int = SIZES[-1],
    compiled: Callable | None = None,
) -> Callable[[], Any]:
    """Build a training step on random images: a function that runs it and returns both losses.

    `compiled`, such as `torch.compile`, is applied to the networks. As one function, the step would
    go back through the generator twice, which fails.
    """
    torch.manual_seed(seed)
    sizes = [size for size in SIZES if size <= largest]
    place = dict(memory_format=torch.channels_last)
    generator = Generator(width, largest=largest).to(**place)
    discriminators = nn.ModuleList([Discriminator(size, width) for size in sizes]).to(**place)
    for module in [*generator.modules(), *discriminators.modules()]:
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(module.weight, 1.0, 0.02)
    adam = [
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
        for network in (generator, discriminators)
    ]
    if compiled:
        generator = compiled(generator)
        discriminators = nn.ModuleList(map(compiled, discriminators))
    real, mismatched = (
        torch.rand(batch_size, 3, largest, largest).mul(2).sub(1).to(**place) for _ in range(2)
    )
    embeddings = torch.randn(batch_size, 1024)

    def pyramid(images):
        return [*(F.avg_pool2d(images, largest // size) for size in sizes[:-1]), images]

    def discriminate(images):
        return [
            discriminator(x, embeddings)
            for discriminator, x in zip(discriminators, images, strict=True)
        ]

    def step():
        fakes, mean, log_deviation = generator(embeddings)
        with torch.no_grad():
            reals, mismatched_pyramid = pyramid(real), pyramid(mismatched)
        d_loss = 0.0
        triples = zip(
            discriminate(reals),
            discriminate(mismatched_pyramid),
            discriminate([x.detach() for x in fakes]),
            strict=True,
        )
        for (pair, image), (mismatched_pair, mismatched_image), (fake_pair, fake_image) in triples:
            d_loss = d_loss + error(pair, 1) + (error(mismatched_pair, 0) + error(fake_pair, 0)) / 2
            d_loss = (
                d_loss + error(fake_image, 0) + (error(mismatched_image, 1) + error(image, 1)) / 2
            )
        adam[1].zero_grad()
        d_loss.backward()
        adam[1].step()

        discriminators.requires_grad_(False)
        divergence = (0.5 * (mean.square() + (2 * log_deviation).exp() - 1) - log_deviation).mean()
        g_loss = 4 * divergence + sum(
            error(logits, 1) for pair in discriminate(fakes) for logits in pair
        )
        adam[0].zero_grad()
        g_loss.backward()
        adam[0].step()
        discriminators.requires_grad_(True)
        return d_loss.detach(), g_loss.detach()

    return step
