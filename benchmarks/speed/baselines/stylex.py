"""StylEx in eager PyTorch: networks and training step of the PyTorch reproduction, and AttFind.

At capacity 16 and 32 pixels, mapping, generator, encoder and discriminator have 2,101,248,
3,214,752, 16,384,128 and 15,339,138 parameters. A step is the discriminator's phase followed by the
generator's, with one batch each. It has no gradient accumulation, no perceptual loss and no moving
average, and its classifier has three convolutions.

With `as_ported=True` the step follows the reproduction: modulated convolutions use separate kernels
per image in one grouped convolution, the discriminator's phase keeps the generator's graph, and the
generator's phase accumulates gradients of the discriminator's weights. With `as_ported=False` the
step avoids all three and uses channels-last memory if `CHANNELS_LAST` is set. Its results are the
same. With `reuse_fakes=True` one batch of fakes also serves both phases, as in kerasgan: generator
and encoder run forward once per step. With both it is the fastest eager program that we know.

Difference from the reproduction: real images are conditioned on their own classes, not on those of
another batch.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

CHANNELS_LAST = True


def kaiming(layer: Any) -> Any:
    nn.init.kaiming_normal_(layer.weight, a=0, mode="fan_in", nonlinearity="leaky_relu")
    return layer


def leaky(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, 0.2)


def blur(x: torch.Tensor) -> torch.Tensor:
    """Blur with [1, 2, 1] / 4 along rows and columns, with reflection padding."""
    line = 0.5 - torch.arange(-1.0, 2.0).abs() / 4  # Computed on the device, without a copy.
    kernel = (line[:, None] * line)[None, None].expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, groups=x.shape[1])


def upsample(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


# === Networks ===


class EqualLinear(nn.Module):
    def __init__(self, channels: int, rate: float = 0.1, gain: float | None = None):
        super().__init__()
        self.weight, self.bias = (
            nn.Parameter(torch.randn(channels, channels)),
            nn.Parameter(torch.zeros(channels)),
        )
        self.rate, self.scale = rate, rate
        if gain:
            nn.init.normal_(self.weight, 0, 1 / rate)
            self.scale = rate * gain / math.sqrt(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class Mapping(nn.Module):
    """Mapping network from latents to w.

    Args:
        latent: Dimension of the latents.
        depth: Number of layers.
        paper: Boolean, whether normalization and gains follow StyleGAN2, which keep a mean square
            of 1.
    """

    def __init__(self, latent: int = 512, depth: int = 8, paper: bool = False):
        super().__init__()
        equal = {"rate": 0.01, "gain": math.sqrt(2)} if paper else {}
        self.layers = nn.ModuleList([EqualLinear(latent, **equal) for _ in range(depth)])
        self.length = math.sqrt(latent) if paper else 1.0

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        x = F.normalize(latents, dim=1) * self.length
        for layer in self.layers:
            x = leaky(layer(x))
        return x


class ModulatedConv(nn.Module):
    def __init__(self, channels_in: int, channels: int, kernel: int, demodulate: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels_in, kernel, kernel))
        self.demodulate, self.padding, self.grouped = demodulate, kernel // 2, True
        kaiming(self)

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        if not self.grouped:
            y = F.conv2d(x * (style + 1)[:, :, None, None], self.weight, padding=self.padding)
            if not self.demodulate:
                return y
            squares = (style + 1).square() @ self.weight.square().sum((2, 3)).T
            return y * torch.rsqrt(squares + 1e-8)[:, :, None, None]
        count, _, height, width = x.shape
        weights = self.weight[None] * (style + 1)[:, None, :, None, None]  # [N, out, in, K, K]
        if self.demodulate:
            weights = weights * torch.rsqrt(weights.square().sum((2, 3, 4), keepdim=True) + 1e-8)
        x = F.conv2d(
            x.reshape(1, -1, height, width),
            weights.flatten(0, 1),
            padding=self.padding,
            groups=count,
        )
        return x.reshape(count, -1, height, width)


class Styled(nn.Module):
    """Modulated convolution, noise and leaky ReLU. `affine` maps w to the style."""

    def __init__(self, channels_in: int, channels: int, style: int):
        super().__init__()
        self.affine = kaiming(nn.Linear(style, channels_in))
        self.conv = ModulatedConv(channels_in, channels, 3)
        self.noise = nn.Linear(1, channels)
        nn.init.zeros_(self.noise.weight)
        nn.init.zeros_(self.noise.bias)

    def forward(self, x: torch.Tensor, w: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        size = x.shape[-1]
        # The reproduction swaps the rows and columns of the noise.
        noise = self.noise(noise[:, :size, :size]).permute(0, 3, 2, 1)
        return leaky(self.conv(x, self.affine(w)) + noise)


class Block(nn.Module):
    def __init__(
        self, channels_in: int, channels: int, style: int, first: bool, last: bool, colours: int = 3
    ):
        super().__init__()
        self.one, self.other = (
            Styled(channels_in, channels, style),
            Styled(channels, channels, style),
        )
        self.affine = kaiming(nn.Linear(style, channels))
        self.colours = ModulatedConv(channels, colours, 1, demodulate=False)
        self.first, self.last = first, last

    def forward(
        self, x: torch.Tensor, picture: torch.Tensor | None, w: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x = x if self.first else upsample(x)
        x = self.other(self.one(x, w, noise), w, noise)
        colours = self.colours(x, self.affine(w))
        picture = colours if picture is None else picture + colours
        return x, picture if self.last else blur(upsample(picture))


class Generator(nn.Module):
    """Maps styles `[N, blocks, style]` and noise `[N, size, size, 1]` to images.

    Images are `[N, colours, size, size]`.
    """

    def __init__(
        self,
        size: int,
        capacity: int = 16,
        max_channels: int = 512,
        style: int = 514,
        colours: int = 3,
    ):
        super().__init__()
        blocks = size.bit_length() - 2
        widths = [min(capacity * 2 ** (i + 1), max_channels) for i in reversed(range(blocks))]
        self.start = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.conv = kaiming(nn.Conv2d(widths[0], widths[0], 3, padding=1))
        pairs = enumerate(zip([widths[0], *widths], widths, strict=False))
        self.blocks = nn.ModuleList(
            [Block(*pair, style, i == 0, i == blocks - 1, colours) for i, pair in pairs]
        )

    def forward(self, w: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        x, picture = self.conv(self.start.expand(len(w), -1, -1, -1)), None
        for block, style in zip(self.blocks, w.unbind(1), strict=True):
            x, picture = block(x, picture, style, noise)
        return picture


class Residual(nn.Module):
    def __init__(self, channels_in: int, channels: int, down: bool):
        super().__init__()
        self.shortcut = kaiming(nn.Conv2d(channels_in, channels, 1))
        self.one = kaiming(nn.Conv2d(channels_in, channels, 3, padding=1))
        self.other = kaiming(nn.Conv2d(channels, channels, 3, padding=1))
        self.down = kaiming(nn.Conv2d(channels, channels, 3, 2, padding=1)) if down else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = leaky(self.other(leaky(self.one(x))))
        if self.down is not None:
            # A stride of the 1 x 1 convolution crashes PyTorch 2.13 on CPUs without AVX-512.
            y, x = self.down(blur(y)), x[:, :, ::2, ::2]
        return (y + self.shortcut(x)) * math.sqrt(0.5)


class Trunk(nn.Sequential):
    """Maps images `[N, colours, size, size]` to `[N, outputs]`: encoder and discriminator."""

    def __init__(
        self, size: int, outputs: int, capacity: int = 16, max_channels: int = 512, colours: int = 3
    ):
        layers, before, blocks = [], colours, size.bit_length() - 1
        for i in range(blocks):
            channels = min(4 * capacity * 2**i, max_channels)
            layers.append(Residual(before, channels, down=i < blocks - 1))
            before = channels
        layers += [kaiming(nn.Conv2d(before, before, 3, padding=1)), nn.Flatten()]
        super().__init__(*layers, kaiming(nn.Linear(4 * before, outputs)))


def small_classifier(classes: int = 2, width: int = 16) -> nn.Sequential:
    layers, before = [], 3
    for channels in (width, 2 * width, 4 * width):
        layers += [nn.Conv2d(before, channels, 3, 2, padding=1), nn.ReLU()]
        before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))


class Networks:
    """All networks of StylEx, and their random inputs."""

    def __init__(
        self,
        size: int = 32,
        capacity: int = 8,
        max_channels: int = 256,
        latent: int = 512,
        depth: int = 8,
        classes: int = 2,
        *,
        as_ported: bool = True,
        seed: int = 0,
    ):
        torch.manual_seed(seed)
        self.size, self.latent, self.blocks, self.as_ported = (
            size,
            latent,
            size.bit_length() - 2,
            as_ported,
        )
        self.mapping = Mapping(latent, depth)
        self.generator = Generator(size, capacity, max_channels, latent + classes)
        self.encoder = Trunk(size, latent, capacity, max_channels)
        self.discriminator = Trunk(size, classes, capacity, max_channels)
        self.classifier = small_classifier(classes).requires_grad_(False)
        self.place = (
            {"memory_format": torch.channels_last} if CHANNELS_LAST and not as_ported else {}
        )
        for network in (self.generator, self.encoder, self.discriminator, self.classifier):
            network.to(**self.place)
        for module in self.generator.modules():
            if isinstance(module, ModulatedConv):
                module.grouped = as_ported

    def images(self, count: int) -> torch.Tensor:
        return torch.rand(count, 3, self.size, self.size).to(**self.place)

    def noise(self, count: int) -> torch.Tensor:
        return torch.rand(count, self.size, self.size, 1)

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(images).softmax(1)

    def discriminate(self, images: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
        """Return logits `[N]`, low for real images as in the reproduction."""
        return (self.discriminator(images) * probabilities).sum(1)

    def random_w(self, count: int) -> torch.Tensor:
        """Return w `[N, blocks, latent]` of random latents, with style mixing 90 % of the time."""
        w = [self.mapping(torch.randn(count, self.latent))] * 2
        if torch.rand(()) < 0.9:
            w[1] = self.mapping(torch.randn(count, self.latent))
        crossover = int(torch.rand(()) * self.blocks)
        return torch.stack([w[block >= crossover] for block in range(self.blocks)], dim=1)

    def with_classes(self, w: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
        """Append class probabilities to w `[N, latent]` or `[N, blocks, latent]`."""
        w = w[:, None].expand(-1, self.blocks, -1) if w.ndim == 2 else w
        return torch.cat([w, probabilities[:, None].expand(-1, self.blocks, -1)], dim=2)


# === Training step ===


def training_step(
    batch_size: int = 8,
    *,
    encoder: bool = True,
    penalty: bool = False,
    path: bool = False,
    reuse_fakes: bool = False,
    **networks: Any,
) -> Callable[[], Any]:
    """Build a training step on random images: a function that runs it and returns both losses.

    Args:
        batch_size: Number of images.
        encoder: `True` generates from encoded images and adds the reconstruction and classifier
            losses. `False` generates from random latents.
        penalty: Boolean, whether to add the gradient penalty, `10 * (gradient norm - 1) ** 2`, at
            real images.
        path: Boolean, whether to add the path length penalty.
        reuse_fakes: Boolean, whether the generator's phase continues with the images of the
            discriminator's phase. If `False`, it generates new ones.
        **networks: Arguments of `Networks`.
    """
    n = Networks(**networks)
    groups = [
        {"params": [*n.generator.parameters(), *n.mapping.parameters()], "lr": 2e-4},
        {"params": [*n.encoder.parameters()], "lr": 1e-5},
    ]
    generator_optimizer = torch.optim.Adam(groups, betas=(0.5, 0.9))
    discriminator_optimizer = torch.optim.Adam(
        n.discriminator.parameters(), lr=3e-4, betas=(0.5, 0.9)
    )
    images, real = n.images(batch_size), n.images(batch_size)
    path_mean = 0.0

    def styles(probabilities):
        w = n.encoder(images) if encoder else n.random_w(batch_size)
        return w, n.with_classes(w, probabilities)

    def path_penalty(fake, w):
        nonlocal path_mean
        directions = torch.randn(fake.shape) / n.size
        (gradient,) = torch.autograd.grad((fake * directions).sum(), w, create_graph=True)
        lengths = gradient.square().sum(2).mean(1).sqrt()
        loss = (lengths - path_mean).square().mean()
        path_mean = 0.99 * path_mean + 0.01 * lengths.mean().item()
        return loss

    def generated():
        logits = n.classifier(images)
        w, conditioned = styles(logits.softmax(1))
        return logits, w, conditioned, n.generator(conditioned, n.noise(batch_size))

    def discriminator_phase(batch=None):
        with torch.set_grad_enabled(n.as_ported):
            logits, _, _, fake = batch or generated()
        probabilities, fake = logits.softmax(1), fake.detach()
        x = real.detach().requires_grad_(penalty)
        real_score = n.discriminate(x, n.probabilities(real))
        loss = (
            F.relu(1 + real_score).mean() + F.relu(1 - n.discriminate(fake, probabilities)).mean()
        )
        if penalty:
            (gradient,) = torch.autograd.grad(real_score.sum(), x, create_graph=True)
            loss = loss + 10 * (gradient.flatten(1).norm(dim=1) - 1).square().mean()
        discriminator_optimizer.zero_grad()
        loss.backward()
        discriminator_optimizer.step()
        return loss

    def generator_phase(batch=None):
        logits, w, conditioned, fake = batch or generated()
        probabilities = logits.softmax(1)
        loss = n.discriminate(fake, probabilities).mean()
        if encoder:
            loss = loss + (images - fake).abs().mean() + 0.1 * (w - n.encoder(fake)).abs().mean()
            loss = loss + F.kl_div(
                n.classifier(fake).log_softmax(1), probabilities, reduction="batchmean"
            )
        if path:
            loss = loss + path_penalty(fake, conditioned)
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
        return loss

    def step():
        batch = generated() if reuse_fakes else None
        discriminator_loss = discriminator_phase(batch)
        n.discriminator.requires_grad_(n.as_ported)
        generator_loss = generator_phase(batch)
        n.discriminator.requires_grad_(True)
        return discriminator_loss.item(), generator_loss.item()

    step.networks = n
    return step


# === AttFind ===


def single_effects(
    images: int = 2,
    coordinates: Sequence[int] | None = None,
    *,
    references: int = 16,
    **networks: Any,
) -> Callable[[], np.ndarray]:
    """Build the search for the effects of single style coordinates, as in the AttFind notebooks.

    Each coordinate of each image is set to its minimum and to its maximum among reference images,
    by a change of its affine layer's bias. Every change runs the whole generator and the
    classifier.

    Args:
        images: Number of images.
        coordinates: Indices into the concatenated style vectors; `None` for all.
        references: Number of reference images.
        **networks: Arguments of `Networks`.

    Returns:
        A function without arguments that returns the changes of the logits,
        `[images, 2, coordinates, classes]`.
    """
    n = Networks(**networks)
    inputs, noise = n.images(images + references), n.noise(1)
    layers = [layer.affine for block in n.generator.blocks for layer in (block.one, block.other)]
    places = [(layer, i) for layer in layers for i in range(layer.out_features)]
    coordinates = range(len(places)) if coordinates is None else coordinates

    @torch.no_grad()
    def step():
        w = n.with_classes(n.encoder(inputs), n.probabilities(inputs))
        values = torch.cat([layer(w[:, index // 2]) for index, layer in enumerate(layers)], dim=1)
        bounds = values[images:].min(0).values, values[images:].max(0).values
        effects = torch.empty(images, 2, len(coordinates), n.classifier[-1].out_features)
        for image in range(images):
            before = n.classifier(n.generator(w[image : image + 1], noise))
            for column, coordinate in enumerate(coordinates):
                layer, i = places[coordinate]
                for direction, bound in enumerate(bounds):
                    shift = bound[coordinate] - values[image, coordinate]
                    layer.bias[i] += shift
                    effects[image, direction, column] = (
                        n.classifier(n.generator(w[image : image + 1], noise)) - before
                    )
                    layer.bias[i] -= shift
        return effects.numpy()

    step.networks = n
    return step
