"""What all tests of the peers need: torch on one thread, the same randomness, and our weights in its networks."""

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    torch.set_num_threads(1)  # on a busy machine torch's threads wait for each other for seconds
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def copy_weights():
    """A function that gives torch parameters the values of our variables, in their order: kernels [H, W, in, out] and
    [in, out] are there [out, in, H, W] and [out, in]."""

    @torch.no_grad()
    def copy(parameters, variables):
        for parameter, variable in zip(parameters, variables, strict=True):
            value = np.array(variable)
            value = value.transpose({4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[value.ndim])
            assert parameter.shape == value.shape
            parameter.copy_(torch.from_numpy(value.copy()))

    return copy
