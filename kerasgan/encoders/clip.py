"""Text encoder of CLIP, with the embeddings of `kerasgan.metrics.features.clip`."""

import os
from collections.abc import Sequence

import numpy as np

from kerasgan.metrics.features.clip import load_clip

PREFIX = "clip:"  # `text_encoder("clip:FOLDER")` loads a preset of keras-hub's CLIP.


class ClipTextEncoder:
    """Callable from N captions to CLIP's text embeddings, float32 `[N, dim]`.

    Each embedding is scaled to the norm `sqrt(dim)`, so that its values have the magnitude of those
    of `TextEncoder`.

    Args:
        preset: Folder of a preset of CLIP, or a name such as `"clip_vit_base_patch32"`, which is
            downloaded. See `kerasgan.metrics.features.hub`.

    Attributes:
        dim: Dimension of the embeddings.

    Raises:
        ImportError: If keras-hub is not installed.
        ValueError: If there is no such preset.

    Example:
        ```python
        encode = kerasgan.encoders.text_encoder("clip:clip_vit_base_patch32")
        encode(["a small red bird"])  # [1, 512]
        ```
    """

    def __init__(self, preset: str | os.PathLike):
        self._clip = load_clip(preset)
        self.dim = self._clip.dim

    def __call__(self, captions: Sequence[str], batch_size: int = 64) -> np.ndarray:
        embeddings = self._clip.texts(captions, batch_size)
        norms = np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
        return (embeddings / norms * self.dim**0.5).astype("float32")
