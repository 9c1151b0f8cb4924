"""Generative adversarial and cooperative networks in Keras 3, on TensorFlow, JAX and PyTorch.

- `kerasgan.models`: the models, one per paper.
    - Conditional on labels: `MnistGAN`, `ConditionalGAN`, `ConditionalVAE`, `RealNVP`.
    - Conditional on captions: `HDGAN`, `ProjectedTextGAN`.
    - Unconditional: `CoopNet`, `StyleGAN2`.
    - Explanation of a classifier: `StylEx`.
- `kerasgan.AdversarialModel`: base class for new models. `kerasgan.training` contains an example.
- `kerasgan.layers`, `kerasgan.losses`, `kerasgan.ops`: parts of networks and training steps.
- `kerasgan.encoders`: text and image encoders.
- `kerasgan.datasets`: training data.
- `kerasgan.metrics`: evaluation.
- `kerasgan.callbacks`: callbacks for `fit`.

Names are imported on first use. `import kerasgan` also registers every class that a saved file may
contain with Keras.

Example:
    ```python
    import kerasgan

    gan = kerasgan.models.ConditionalGAN.from_preset("mnist_gan_digits")
    images = gan.sample(labels=[3, 1, 4], seed=0)  # float32 [3, 28, 28, 1] in [-1, 1]
    ```
"""

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
