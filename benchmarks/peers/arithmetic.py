"""How much arithmetic a PyTorch program does, as torch's own table counts convolutions and products."""

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Counter(TorchDispatchMode):
    """`with Counter() as counter: …; counter.gflop`: billions, two for a multiplication and an addition. (torch's own
    counter stops at gradients of gradients.)"""

    def __init__(self):
        super().__init__()
        self.gflop = 0.0

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        keywords = keywords or {}
        found = operation(*arguments, **keywords)
        if count := flop_registry.get(operation._overloadpacket):
            self.gflop += count(*arguments, **keywords, out_val=found) / 1e9
        return found
