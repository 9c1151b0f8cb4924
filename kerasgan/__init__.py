"""Generative adversarial and cooperative networks in Keras 3, with one training step for three
backends.

| name | content |
|---|---|
| `kerasgan.models` | the models: `MnistGAN`, `HDGAN`, `CoopNet`, `StyleGAN2`, `StylEx`, `ConditionalVAE`, `RealNVP` |
| `kerasgan.AdversarialModel` | base class of a new GAN; see `kerasgan.training` for an example |
| `kerasgan.layers`, `.losses`, `.ops` | parts of networks and training steps |
| `kerasgan.encoders`, `.datasets` | encoders of text and images; training data |
| `kerasgan.metrics`, `.callbacks` | evaluation and callbacks for `fit` |

Names are imported on first use. `import kerasgan` also registers every class that Keras may find in
a saved file.
"""  # noqa: E501

from typing import TYPE_CHECKING

from kerasgan.lazy import lazy_exports
from kerasgan.registration import register as _register

if TYPE_CHECKING:
    from kerasgan import (
        callbacks as callbacks,
        datasets as datasets,
        encoders as encoders,
        layers as layers,
        losses as losses,
        metrics as metrics,
        models as models,
        ops as ops,
    )
    from kerasgan.training import AdversarialModel as AdversarialModel

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_exports(__name__, {"kerasgan.training": ("AdversarialModel",)})
__all__ += [
    "callbacks",
    "datasets",
    "encoders",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
]

_register()
