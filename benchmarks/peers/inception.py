"""torch-fidelity's Inception (https://github.com/toshas/torch-fidelity), as it is, without torchvision.

Needs `pip install --no-deps torch-fidelity==0.4.0`. Its features need no torchvision, but its package imports that when
it is itself imported; so its modules are imported without the package's own `__init__`.
"""

import importlib
import importlib.util
import io
import sys
import types

import torch

PACKAGE = "torch_fidelity"
OUTPUTS = ["2048", "logits_unbiased"]


def network(weights=None):
    """Its extractor of `OUTPUTS`, of uint8 [B, 3, H, W].

    Args:
        weights: dictionary of numpy arrays, names as in its .pth; None is PyTorch's own random ones (for timing).
    """
    if PACKAGE not in sys.modules:
        found = importlib.util.find_spec(PACKAGE)
        if found is None:
            raise SystemExit(
                "this needs torch-fidelity, which is not installed: pip install --no-deps torch-fidelity==0.4.0"
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


def features(batch_size, size):
    """A function that takes the features and logits of one batch of images of `size` x `size` pixels."""
    extractor = network()
    images = torch.randint(0, 256, (batch_size, 3, size, size), dtype=torch.uint8)

    def step():
        with torch.no_grad():
            return [output.numpy() for output in extractor(images)]

    return step
