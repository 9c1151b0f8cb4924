"""The affine coupling flow in eager PyTorch; couplings, masks and loss are kerasgan's.

At 28 pixels, width 64 and two scales of four couplings it has 5,943,456 parameters. Feature maps
are `[N, H, W, C]`. A permuted view of them is PyTorch's channels-last layout, so convolutions need
no copy.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

CLASSES = 10
MARGIN = 1e-6


class Convolutions(nn.Module):
    """Convolutional network of a coupling.

    Maps `[N, H, W, C]` and one-hot labels to log-scales and shifts `[N, H, W, 2 C]`.
    """

    def __init__(self, shape: tuple[int, int, int], width: int):
        super().__init__()
        self.one, self.condition = (
            nn.Conv2d(shape[2], width, 3, padding=1),
            nn.Linear(CLASSES, width, bias=False),
        )
        self.two, self.three = (
            nn.Conv2d(width, width, 1),
            nn.Conv2d(width, 2 * shape[2], 3, padding=1),
        )
        nn.init.zeros_(self.three.weight)

    def forward(self, maps: torch.Tensor, one_hot: torch.Tensor) -> torch.Tensor:
        x = (self.one(maps.permute(0, 3, 1, 2)) + self.condition(one_hot)[:, :, None, None]).relu()
        return self.three(self.two(x).relu()).permute(0, 2, 3, 1)


class Dense(nn.Module):
    """Dense network of a coupling, with the inputs and outputs of `Convolutions`."""

    def __init__(self, shape: tuple[int, int, int], width: int):
        super().__init__()
        self.one, self.two = nn.Linear(math.prod(shape) + CLASSES, width), nn.Linear(width, width)
        self.three = nn.Linear(width, 2 * math.prod(shape))
        self.shape = *shape[:2], 2 * shape[2]
        nn.init.zeros_(self.three.weight)

    def forward(self, maps: torch.Tensor, one_hot: torch.Tensor) -> torch.Tensor:
        x = self.one(torch.cat([maps.flatten(1), one_hot], dim=1)).relu()
        return self.three(self.two(x).relu()).reshape(-1, *self.shape)


class Flow(nn.Module):
    """Maps pixel logits `[N, size, size, 1]` and one-hot labels to latents and log-determinants.

    Latents are `[N, D]`, log-determinants `[N]`.
    """

    def __init__(self, size: int = 28, scales: int = 2, depth: int = 4, width: int = 64):
        super().__init__()
        self.depth, self.couplings = depth, nn.ModuleList()
        for scale in range(1, scales + 1):
            shape = size >> scale, size >> scale, 4**scale
            build = (Dense, 8 * width) if scale == scales else (Convolutions, width)
            for index in range(depth):
                self.register_buffer(f"kept_{len(self.couplings)}", mask(shape, index))
                self.couplings.append(build[0](shape, build[1]))
        self.register_buffer("mean", torch.zeros(size, size, 1))
        self.register_buffer("deviation", torch.ones(size, size, 1))

    def forward(self, x: torch.Tensor, one_hot: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, log_determinant = (x - self.mean) / self.deviation, -self.deviation.log().sum()
        for index, coupling in enumerate(self.couplings):
            if index % self.depth == 0:
                x = squeeze(x)
            kept = getattr(self, f"kept_{index}")
            log_scale, shift = coupling(x * kept, one_hot).chunk(2, dim=3)
            log_scale = log_scale.tanh() * (1 - kept)
            x = x * log_scale.exp() + shift * (1 - kept)
            log_determinant = log_determinant + log_scale.sum((1, 2, 3))
        return x.flatten(1), log_determinant


def mask(shape: tuple[int, int, int], index: int) -> torch.Tensor:
    """Return the mask `[H, W, C]` of coupling `index`, 1 where values stay unchanged.

    Four masks repeat: one diagonal of each 2 x 2 block of pixels, the other diagonal, every second
    block in a checkerboard, and the other blocks.
    """
    rows, columns, places = (torch.arange(count) for count in (*shape[:2], 4))
    blocks = (rows[:, None, None] + columns[:, None]) % 2 + torch.zeros(shape)
    diagonal = ((places // 2 + places) % 2).repeat_interleave(shape[2] // 4) + torch.zeros(shape)
    kept = blocks if index % 4 > 1 else diagonal
    return 1 - kept if index % 2 else kept


def squeeze(x: torch.Tensor) -> torch.Tensor:
    """Move 2 x 2 blocks of pixels into channels: `[N, H, W, C]` to `[N, H / 2, W / 2, 4 C]`."""
    count, height, width, channels = x.shape
    x = x.reshape(count, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(count, height // 2, width // 2, 4 * channels)


def negative_log_likelihood(
    flow: Flow, images: torch.Tensor, one_hot: torch.Tensor
) -> torch.Tensor:
    """Return the batch mean of the negative log-likelihood in nats, with uniform dequantization.

    Images `[N, size, size, 1]` are in [-1, 1].
    """
    levels = ((images + 1) * 127.5).round()
    ink = MARGIN + (1 - 2 * MARGIN) * (levels + torch.rand_like(levels)) / 256
    latents, log_determinant = flow(ink.log() - (1 - ink).log(), one_hot)
    logit_log_determinant = (math.log(1 - 2 * MARGIN) - ink.log() - (1 - ink).log()).sum((1, 2, 3))
    numbers = latents.shape[1]
    log_prob = -(latents.square().sum(1) + numbers * math.log(2 * math.pi)) / 2
    return -(log_prob + log_determinant + logit_log_determinant).mean() + numbers * math.log(256)


def training_step(batch_size: int = 64, *, seed: int = 0, **shape: int) -> Callable[[], Any]:
    """Build a training step on random images: a function that runs it and returns the loss."""
    torch.manual_seed(seed)
    flow = Flow(**shape).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3)
    images = torch.rand(batch_size, *flow.mean.shape) * 2 - 1
    one_hot = F.one_hot(torch.randint(CLASSES, [batch_size]), CLASSES).float()

    def step():
        optimizer.zero_grad()
        loss = negative_log_likelihood(flow, images, one_hot)
        loss.backward()
        optimizer.step()
        return loss.item()

    step.flow = flow
    return step
