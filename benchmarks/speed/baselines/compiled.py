"""The PyTorch steps, compiled by TorchInductor."""

from collections.abc import Callable

import torch


def compiled(build: Callable[[], Callable]) -> Callable:
    """Returns the step that `build` returns, compiled."""
    return torch.compile(build())
