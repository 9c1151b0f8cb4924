"""Writes perceptual.npz: distances by the package lpips 0.1.4 for random images and weights.

    pip install --no-deps lpips==0.1.4
    python tests/losses/expected/make_perceptual.py

The tests create the same images and weights from the seed, without lpips. lpips imports AlexNet and
VGG16 from torchvision; this file replaces them by lists of their layers.
"""

import sys
import types
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("perceptual.npz")
# Index in torchvision's `features` -> channels, kernel, stride and padding of a convolution. A ReLU
# lies between two convolutions (indices differ by 2), or a ReLU and max pooling (by 3).
CONVOLUTIONS = {
    "alex": {
        0: (64, 11, 4, 2),
        3: (192, 5, 1, 2),
        6: (384, 3, 1, 1),
        8: (256, 3, 1, 1),
        10: (256, 3, 1, 1),
    },
    "vgg": {
        number: (channels, 3, 1, 1)
        for channels, numbers in (
            (64, (0, 2)),
            (128, (5, 7)),
            (256, (10, 12, 14)),
            (512, (17, 19, 21, 24, 26, 28)),
        )
        for number in numbers
    },
}
POOLS = {"alex": 3, "vgg": 2}
SIZES = {"alex": (64, 45), "vgg": (32, 35)}


def weights(net):
    """Returns random weights of He variance under torchvision's names, and linear weights under
    lpips'."""
    random, before, arrays, ends = np.random.RandomState(1), 3, {}, []
    for number, (channels, kernel, _, _) in CONVOLUTIONS[net].items():
        deviation = np.sqrt(2 / (before * kernel**2))
        arrays[f"features.{number}.weight"] = deviation * random.standard_normal(
            (channels, before, kernel, kernel)
        )
        arrays[f"features.{number}.bias"] = 0.1 * random.standard_normal(channels)
        before = channels
    ends = {"alex": (0, 3, 6, 8, 10), "vgg": (2, 7, 14, 21, 28)}[net]
    for stage, number in enumerate(ends):
        shape = (1, CONVOLUTIONS[net][number][0], 1, 1)
        arrays[f"lin{stage}.model.1.weight"] = random.random_sample(shape)
    return {name: array.astype("float32") for name, array in arrays.items()}


def inputs(net):
    """Returns images x and y [3, H, W, 3] and directions [2, 3, H, W, 3] for gradients. The pairs
    are noise with slightly changed noise, noise with other noise, and a ramp with noise."""
    random, (height, width) = np.random.RandomState(2), SIZES[net]
    x, y = random.uniform(-1, 1, (2, 3, height, width, 3))
    y[0] = np.clip(x[0] + 0.1 * y[0], -1, 1)
    x[2] = np.linspace(-1, 1, width)[:, None]
    return [array.astype("float32") for array in (x, y, random.standard_normal((2, *x.shape)))]


def main():
    import torch
    from torch import nn

    def features(net):
        layers, before, numbers = [], 3, [*CONVOLUTIONS[net]]
        for number, following in zip(numbers, [*numbers[1:], None], strict=True):
            channels, kernel, stride, padding = CONVOLUTIONS[net][number]
            layers += [nn.Conv2d(before, channels, kernel, stride, padding), nn.ReLU()]
            layers += (
                [nn.MaxPool2d(POOLS[net], 2)]
                if following is None or following - number == 3
                else []
            )
            before = channels
        return types.SimpleNamespace(features=nn.Sequential(*layers))

    torchvision = sys.modules["torchvision"] = types.ModuleType("torchvision")
    torchvision.models = types.SimpleNamespace(
        alexnet=lambda pretrained: features("alex"), vgg16=lambda pretrained: features("vgg")
    )
    from lpips import LPIPS

    expected = {}
    for net in CONVOLUTIONS:
        distance = LPIPS(net=net, pnet_rand=True, verbose=False)
        arrays = {name: torch.from_numpy(array) for name, array in weights(net).items()}
        with torch.no_grad():
            for name, parameter in distance.named_parameters():
                short = f"features.{name.split('.', 2)[2]}" if name.startswith("net.") else name
                parameter.copy_(arrays[short.replace("lins.", "lin")])
        x, y, directions = (
            torch.from_numpy(array).movedim(-1, -3).contiguous() for array in inputs(net)
        )
        x.requires_grad_()
        distances = distance(x, y).flatten()
        (gradient,) = torch.autograd.grad(distances.sum(), x)
        expected[f"{net}_distances"] = distances.detach().numpy()
        expected[f"{net}_slopes"] = (directions * gradient).sum((2, 3, 4)).numpy()  # [2, 3]
    np.savez(FILE, **expected)
    for name, array in expected.items():
        print(name, array)


if __name__ == "__main__":
    main()
