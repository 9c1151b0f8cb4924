"""Text encoder of keras-hub's CLIP.

Radford et al., 2021, "Learning Transferable Visual Models From Natural Language Supervision",
https://arxiv.org/abs/2103.00020. keras-hub is imported when an encoder is made.
"""

import os
from collections.abc import Sequence

import keras
import numpy as np

from kerasgan.io.paths import user_path

PREFIX = "clip:"  # `text_encoder("clip:FOLDER")` loads a preset of keras-hub's CLIP.
LENGTH = 77  # Tokens per caption, with the start and end tokens.


class ClipTextEncoder:
    """Callable from N captions to CLIP's text embeddings, float32 `[N, dim]`.

    Each embedding is scaled to the norm `sqrt(dim)`, so that its values have the magnitude of those
    of `TextEncoder`.

    Args:
        preset: Folder of a keras-hub preset of `CLIPBackbone`, or a name such as
            `"clip_vit_base_patch32"`, which keras-hub downloads.

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
        try:
            from keras_hub import models
        except ImportError as error:
            raise ImportError(
                f"a text encoder clip:... needs the package keras-hub: pip install keras-hub "
                f"({error})"
            ) from None
        name = str(preset)
        if os.sep in name or user_path(name).exists():
            name = str(user_path(name))
            if not (user_path(name) / "config.json").is_file():
                raise ValueError(f"clip: must name a folder of a keras-hub preset; received {name}")
        try:
            self.tokenizer = models.CLIPTokenizer.from_preset(name)
            self.backbone = models.CLIPBackbone.from_preset(name)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"clip: must name a keras-hub preset of CLIP; received {name} ({reason})"
            ) from None
        self.dim = self.backbone.projection_dim

    def __call__(self, captions: Sequence[str], batch_size: int = 64) -> np.ndarray:
        if isinstance(captions, str) or not all(isinstance(each, str) for each in captions):
            raise ValueError(f"captions must be a list of strings; received {captions!r:.60}")
        tokens = self._tokens(captions)
        parts = [
            self.backbone.get_text_embeddings(tokens[start : start + batch_size])
            for start in range(0, len(tokens), batch_size)
        ]
        embeddings = np.concatenate(
            [np.zeros((0, self.dim)), *map(keras.ops.convert_to_numpy, parts)]
        )
        norms = np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
        return (embeddings / norms * self.dim**0.5).astype("float32")

    def _tokens(self, captions):
        """Token ids, int32 `[N, 77]`: start, the caption's, end, padding."""
        tokenizer = self.tokenizer
        rows = np.full((len(captions), LENGTH), tokenizer.pad_token_id, "int32")
        for row, caption in zip(rows, captions, strict=True):
            ids = [int(i) for i in np.asarray(tokenizer(caption.lower()))][: LENGTH - 2]
            row[: len(ids) + 2] = [tokenizer.start_token_id, *ids, tokenizer.end_token_id]
        return rows
