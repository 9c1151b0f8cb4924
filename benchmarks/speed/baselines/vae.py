"""The conditional VAE in eager PyTorch with channels-last memory; networks and loss are kerasgan's.

At width 32 and latent dimension 16, encoder and decoder have 847,232 and 846,177 parameters.
Feature maps are flattened in memory order (channels last), which needs no copy and matches the
order of kerasgan's weights.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

CLASSES = 10


class Encoder(nn.Module):
    def __init__(self, latent: int = 16, width: int = 32, size: int = 28):
        super().__init__()
        self.one = nn.Conv2d(1, width, 4, 2, 1)  # [N, 32, 14, 14]
        self.other = nn.Conv2d(width, 2 * width, 4, 2, 1)  # [N, 64, 7, 7]
        self.dense = nn.Linear((size // 4) ** 2 * 2 * width + CLASSES, 8 * width)
        self.mean, self.log_variance = nn.Linear(8 * width, latent), nn.Linear(8 * width, latent)

    def forward(
        self, images: torch.Tensor, one_hot: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.other(self.one(images).relu()).relu()
        x = self.dense(torch.cat([x.permute(0, 2, 3, 1).flatten(1), one_hot], dim=1)).relu()
        return self.mean(x), self.log_variance(x)


class Decoder(nn.Module):
    def __init__(self, latent: int = 16, width: int = 32, size: int = 28):
        super().__init__()
        self.shape = size // 4, size // 4, 2 * width
        self.one, self.other = (
            nn.Linear(latent + CLASSES, 8 * width),
            nn.Linear(8 * width, math.prod(self.shape)),
        )
        self.enlarge = nn.ConvTranspose2d(2 * width, width, 4, 2, 1)  # [N, 32, 14, 14]
        self.ink = nn.ConvTranspose2d(width, 1, 4, 2, 1)  # [N, 1, 28, 28]

    def forward(self, codes: torch.Tensor, one_hot: torch.Tensor) -> torch.Tensor:
        x = self.other(self.one(torch.cat([codes, one_hot], dim=1)).relu()).relu()
        x = x.reshape(-1, *self.shape).permute(0, 3, 1, 2)
        return self.ink(self.enlarge(x).relu())


def training_step(
    batch_size: int = 64, *, latent: int = 16, width: int = 32, seed: int = 0
) -> Callable[[], Any]:
    """Build a training step on random images: a function that runs it and returns the loss."""
    torch.manual_seed(seed)
    place = {"memory_format": torch.channels_last}
    encoder, decoder = Encoder(latent, width).to(**place), Decoder(latent, width).to(**place)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    images = torch.rand(batch_size, 1, 28, 28).mul(2).sub(1).to(**place)
    one_hot = F.one_hot(torch.randint(CLASSES, [batch_size]), CLASSES).float()

    def step():
        optimizer.zero_grad()
        loss = negative_elbo(encoder, decoder, images, one_hot)
        loss.backward()
        optimizer.step()
        return loss.item()

    step.networks = encoder, decoder
    return step


def negative_elbo(
    encoder: Encoder, decoder: Decoder, images: torch.Tensor, one_hot: torch.Tensor
) -> torch.Tensor:
    """Return the batch mean of the negative ELBO in nats, with one latent sample per image.

    Images in [-1, 1] are read as Bernoulli probabilities.
    """
    mean, log_variance = encoder(images, one_hot)
    logits = decoder(mean + (log_variance / 2).exp() * torch.randn_like(mean), one_hot)
    divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum() / 2
    error = F.binary_cross_entropy_with_logits(logits, (images + 1) / 2, reduction="sum")
    return (divergence + error) / len(images)
