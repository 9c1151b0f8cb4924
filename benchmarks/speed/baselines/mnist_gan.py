"""The conditional MNIST GAN in eager PyTorch, as in the training notes and corrected.

The training notes do not give the latent dimension and the optimizer; this program uses 100 and
Adam with a learning rate of 0.0002 and betas of 0.5 and 0.999. Both memory layouts were timed on
two CPU cores; `CHANNELS_LAST` selects the faster one.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

CLASSES, FAKE = 10, 10  # The discriminator's eleventh logit is the class "fake".
LATENT = 100
CHUNK = 16  # In the training notes, an image is compared with the 16 images of its chunk only.
CHANNELS_LAST = True


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(LATENT + CLASSES, 256 * 2 * 2)
        self.body = nn.Sequential(
            nn.ConvTranspose2d(256, 128, 5),
            nn.BatchNorm2d(128),
            nn.ReLU(),  # [B, 128, 6, 6]
            nn.ConvTranspose2d(128, 128, 4, stride=2),
            nn.BatchNorm2d(128),
            nn.ReLU(),  # [B, 128, 14, 14]
            nn.ConvTranspose2d(128, 64, 4, stride=2),
            nn.BatchNorm2d(64),
            nn.ReLU(),  # [B, 64, 30, 30]
            nn.ConvTranspose2d(64, 1, 1),
        )

    def forward(self, latents: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        x = torch.cat([latents, F.one_hot(labels, CLASSES).float()], dim=1)
        x = torch.relu(self.project(x)).reshape(-1, 256, 2, 2)
        if CHANNELS_LAST:
            x = x.contiguous(memory_format=torch.channels_last)
        return torch.tanh(self.body(x))[:, :, 1:29, 1:29]  # [B, 1, 28, 28]


class Discriminator(nn.Module):
    """Discriminator with minibatch discrimination.

    Args:
        noted: `True` compares each image with its chunk of 16 images, itself included, and drops
            the last row and column, as the training notes do. `False` compares it with all other
            images of the batch and pads the input by one pixel.
        kernels: Number of kernels (B) of minibatch discrimination.
        size: Dimension (C) of each kernel.
    """

    def __init__(self, noted: bool, kernels: int = 100, size: int = 4):
        super().__init__()
        self.noted, self.kernels, self.size = noted, kernels, size
        features = 2 * 13 * 13 if noted else 2 * 14 * 14
        self.body = nn.Sequential(
            nn.Conv2d(1, 32, 2),
            nn.LeakyReLU(0.2),  # [B, 32, 27, 27], corrected [B, 32, 28, 28]
            nn.Conv2d(32, 2, 2, stride=2),
            nn.BatchNorm2d(2),
            nn.LeakyReLU(0.2),  # [B, 2, 13, 13], [B, 2, 14, 14]
        )
        # A bias cancels in the differences, so the corrected network has none.
        self.tensor = nn.Linear(features, kernels * size, bias=noted)
        self.head = nn.Linear(features + kernels, CLASSES + 1)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.body(images if self.noted else F.pad(images, (0, 1, 0, 1))).flatten(1)
        rows = self.tensor(features).reshape(-1, self.kernels, self.size)
        return self.head(torch.cat([features, self.closeness(rows)], dim=1)), features

    def closeness(self, rows: torch.Tensor) -> torch.Tensor:
        """Minibatch discrimination: `[N, B, C]` to `[N, B]`."""
        if self.noted:
            return torch.cat([closeness(chunk) for chunk in rows.split(CHUNK)])
        return closeness(rows) - 1


def closeness(rows: torch.Tensor) -> torch.Tensor:
    """Sum the similarity of each row with all rows, itself included: `[N, B, C]` to `[N, B]`."""
    distance = (rows[:, None] - rows[None]).abs().sum(dim=3)  # [N, N, B]
    return torch.exp(-distance).sum(dim=1)


def adam(network: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))


def noted_step(batch_size: int) -> Callable[[], Any]:
    """Build the step of the training notes on random images in [0, 1]; it returns both losses."""
    generator, discriminator = (
        with_memory_format(Generator()),
        with_memory_format(Discriminator(noted=True)),
    )
    generator_optimizer, discriminator_optimizer = adam(generator), adam(discriminator)
    images, labels = random_data(batch_size)
    images = (images + 1) / 2
    # This target scales the loss by 0.9 and smooths nothing.
    fake_target = 0.9 * F.one_hot(torch.full([batch_size], FAKE), CLASSES + 1)

    def generate():
        return (generator(torch.randn(batch_size, LATENT), labels) + 1) / 2

    def step():
        discriminator_optimizer.zero_grad()
        generator_optimizer.zero_grad()
        discriminator.train()
        real_logits, real_features = discriminator(images)
        # The fakes are not detached: gradients of the generator are computed and discarded.
        fake_logits, _ = discriminator(generate())
        discriminator_loss = F.cross_entropy(real_logits, labels) + F.cross_entropy(
            fake_logits, fake_target
        )
        discriminator_loss.backward()
        discriminator_optimizer.step()

        generator_optimizer.zero_grad()
        discriminator_optimizer.zero_grad()
        discriminator.eval()
        fake_logits, fake_features = discriminator(generate())
        # Both features are detached, so feature matching has no gradient.
        matching = F.mse_loss(
            fake_features.detach().mean(dim=0), real_features.detach().mean(dim=0)
        )
        generator_loss = F.cross_entropy(fake_logits, labels) + matching
        generator_loss.backward()
        generator_optimizer.step()
        return discriminator_loss.item(), generator_loss.item()

    return step


def corrected_step(batch_size: int) -> Callable[[], Any]:
    """Build the corrected step on random images in [-1, 1]; it returns both losses."""
    generator, discriminator = (
        with_memory_format(Generator()),
        with_memory_format(Discriminator(noted=False)),
    )
    generator_optimizer, discriminator_optimizer = adam(generator), adam(discriminator)
    images, labels = random_data(batch_size)
    real_target = 0.9 * F.one_hot(labels, CLASSES + 1) + 0.1 * F.one_hot(
        torch.full([batch_size], FAKE), CLASSES + 1
    )
    fake_target = torch.full([batch_size], FAKE)

    def step():
        fakes = generator(torch.randn(batch_size, LATENT), labels)  # Serves both phases.
        real_logits, _ = discriminator(images)
        fake_logits, _ = discriminator(fakes.detach())
        discriminator_loss = F.cross_entropy(real_logits, real_target) + F.cross_entropy(
            fake_logits, fake_target
        )
        discriminator_optimizer.zero_grad()
        discriminator_loss.backward()
        discriminator_optimizer.step()

        discriminator.requires_grad_(False)  # Skips gradients of its weights.
        with torch.no_grad():
            _, real_features = discriminator(images)
        fake_logits, fake_features = discriminator(fakes)
        matching = F.mse_loss(fake_features.mean(dim=0), real_features.mean(dim=0))
        generator_loss = F.cross_entropy(fake_logits, labels) + matching
        generator_optimizer.zero_grad()
        generator_loss.backward()
        generator_optimizer.step()
        discriminator.requires_grad_(True)
        return discriminator_loss.item(), generator_loss.item()

    return step


def with_memory_format(network: nn.Module) -> nn.Module:
    return network.to(memory_format=torch.channels_last) if CHANNELS_LAST else network


def random_data(batch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(batch_size, 1, 28, 28) * 2 - 1
    return images, torch.randint(CLASSES, [batch_size])
