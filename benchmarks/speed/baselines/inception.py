"""The Inception network of torch-fidelity (https://github.com/toshas/torch-fidelity), unchanged.

Install it with `pip install --no-deps torch-fidelity==0.4.0`. The package imports torchvision,
which its Inception does not need. So this module imports the feature extractor without running the
package's `__init__`.
"""

import importlib
import importlib.util
import io
import sys
import types
from collections.abc import Callable

import numpy as np
import torch

PACKAGE = "torch_fidelity"
OUTPUTS = ["2048", "logits_unbiased"]


def network(weights: dict[str, np.ndarray] | None = None) -> torch.nn.Module:
    """Build torch-fidelity's extractor of `OUTPUTS` from uint8 images `[B, 3, H, W]`.

    Args:
        weights: Dict of NumPy arrays with the names of its .pth file. `None` keeps PyTorch's random
            initialization, which is enough for timing.
    """
    if PACKAGE not in sys.modules:
        found = importlib.util.find_spec(PACKAGE)
        if found is None:
            raise SystemExit(
                "torch-fidelity is not installed. Run: pip install --no-deps torch-fidelity==0.4.0"
            )
        package = sys.modules[PACKAGE] = types.ModuleType(PACKAGE)
        package.__path__ = list(found.submodule_search_locations)
    extractor = importlib.import_module(
        f"{PACKAGE}.feature_extractor_inceptionv3"
    ).FeatureExtractorInceptionV3

    class Extractor(extractor):
        def load_state_dict(self, state):
            if state:
                super().load_state_dict(state)

    file = io.BytesIO()
    torch.save({name: torch.from_numpy(array) for name, array in (weights or {}).items()}, file)
    file.seek(0)
    torch.manual_seed(0)
    return Extractor("inception", OUTPUTS, feature_extractor_weights_path=file)


def features(batch_size: int, size: int) -> Callable[[], list[np.ndarray]]:
    """Build a function that computes features and logits of random images of `size` pixels."""
    extractor = network()
    images = torch.randint(0, 256, (batch_size, 3, size, size), dtype=torch.uint8)

    def step():
        with torch.no_grad():
            return [output.numpy() for output in extractor(images)]

    return step
