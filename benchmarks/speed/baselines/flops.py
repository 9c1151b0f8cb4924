"""Counts the floating-point operations of a PyTorch program."""

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class FlopCounter(TorchDispatchMode):
    """Context manager that counts the operations of convolutions and matrix products.

    It uses torch's table of operations. torch's own `FlopCounterMode` fails for second-order
    gradients.

    Attributes:
        gflop: Billions of floating-point operations. A multiplication with an addition counts as
            two.

    Example:
        with FlopCounter() as counter:
            step()
        print(counter.gflop)
    """

    def __init__(self):
        super().__init__()
        self.gflop = 0.0

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        keywords = keywords or {}
        found = operation(*arguments, **keywords)
        if count := flop_registry.get(operation._overloadpacket):
            self.gflop += count(*arguments, **keywords, out_val=found) / 1e9
        return found
