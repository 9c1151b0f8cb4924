"""Fixtures of the baseline tests: one torch thread, a fixed seed, and weights copied from Keras."""

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    torch.set_num_threads(1)  # Threads of torch can block each other for seconds on a busy machine.
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def copy_weights():
    """Function that copies Keras variables into torch parameters, in their order.

    It transposes kernels from `[H, W, in, out]` to `[out, in, H, W]` and from `[in, out]` to
    `[out, in]`.
    """

    @torch.no_grad()
    def copy(parameters, variables):
        for parameter, variable in zip(parameters, variables, strict=True):
            value = np.array(variable)
            value = value.transpose({4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[value.ndim])
            assert parameter.shape == value.shape
            parameter.copy_(torch.from_numpy(value.copy()))

    return copy
