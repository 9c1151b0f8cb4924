"""kerasgan: generative adversarial and cooperative networks in Keras 3, one training step on three backends."""

__version__ = "0.1.0"

from kerasgan.registration import register as _register

_register()
