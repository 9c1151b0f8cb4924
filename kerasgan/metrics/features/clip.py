"""Image and text embeddings of CLIP, for FID-like scores, CMMD, CLIP score and R-precision.

Reference:
    Radford et al., 2021, "Learning Transferable Visual Models From Natural Language Supervision",
    https://arxiv.org/abs/2103.00020
    Jayasumana et al., 2024, "Rethinking FID: Towards a Better Evaluation Metric for Image
    Generation" (CMMD, whose preprocessing and network are the defaults),
    https://arxiv.org/abs/2401.09603

Embeddings are the outputs of CLIP's projections and are not normalized. CMMD and cosine
similarities divide them by their norm.

**Differences from the published code**

- Captions are not repaired with ftfy, which changes captions in broken Unicode only.
- Images that are not square: CMMD's code crops the central square, which `resize=None` does.
  torch-fidelity and dgm-eval's clean resize do not crop, and neither do the other choices.
"""

import html
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasgan.datasets.torch_file import load_torch_file
from kerasgan.metrics.features import hub, resize as resizing
from kerasgan.metrics.features.fingerprints import network_name

# The network of CMMD, from the authors' weights in transformers' format.
DEFAULT = "hf://openai/clip-vit-large-patch14-336"
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


class Clip:
    """Feature extractor of images and captions.

    Args:
        preset: Preset of keras-hub's `CLIPBackbone` or of transformers' `CLIPModel`, see
            `kerasgan.metrics.features.hub`.
        resize: Mode of `kerasgan.metrics.features.resize`. `None` is that of CMMD: the central
            square, Pillow's bicubic filter, rounded to 8 bits.

    Attributes:
        dim: Dimension D of the embeddings.
        protocol: JSON-serializable dict: network, SHA-256 of the weights, preprocessing, layer.
        file_sha256: SHA-256 of the file of weights, or `None` if there are several.

    Raises:
        ImportError: If keras-hub is not installed.
        ValueError: If the preset or `resize` does not exist.

    Example:
        ```python
        clip = kerasgan.metrics.features.clip.load_clip("clip_vit_base_patch32")
        clip.images(images)  # uint8 [N, H, W, 3] -> [N, 512]
        clip.texts(["a small red bird"])  # [1, 512]
        ```
    """

    logits = False  # There are no classes, so there is no Inception Score.

    def __init__(self, preset: str | os.PathLike = DEFAULT, resize: str | None = None):
        if resize is not None:
            resizing.check_mode(resize)
        models = hub.hub_models()
        folder = hub.preset_folder(preset, models.CLIPBackbone.presets, "CLIP")
        backbone, fingerprints = hub.load_backbone(_build, folder, "CLIP")
        with hub.loading(folder, "CLIP"):
            self.tokenizer = _tokenizer(folder)
        self.dim, self.file_sha256 = backbone.projection_dim, fingerprints.get("file_sha256")
        size = int(backbone.vision_encoder.image_shape[0])
        self._size, self._resize = size, resize or resizing.PILLOW_CROP
        self._length = backbone.text_encoder.max_sequence_length
        images = keras.Input((size, size, 3), name="images")
        tokens = keras.Input((self._length,), dtype="int32", name="token_ids")
        self._images = hub.Runner(keras.Model(images, backbone.get_vision_embeddings(images)))
        self._texts = hub.Runner(keras.Model(tokens, backbone.get_text_embeddings(tokens)))
        self.protocol = {
            "network": network_name("CLIP", *fingerprints.values()),
            "weights_sha256": fingerprints["weights_sha256"],
            "resize": resizing.TEXTS[self._resize].format(size),
            "inputs": f"(RGB / 255 - {list(MEAN)}) / {list(DEVIATION)}",
            "features": f"class token after the projection, {self.dim}, not normalized",
        }

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Equals `images` for one batch."""
        return self.images(images, batch_size=len(images))

    def images(self, images: np.ndarray, batch_size: int = 32) -> np.ndarray:
        """Embeds images.

        Args:
            images: RGB images, uint8 `[N, H, W, 3]`.
            batch_size: Number of images per run of the network.

        Returns:
            Embeddings, float32 `[N, D]`.
        """
        images = np.asarray(images)
        resizing.check_images(images)
        mean, deviation = np.array(MEAN, "float32"), np.array(DEVIATION, "float32")
        parts = []
        for start in range(0, len(images), batch_size):
            batch = resizing.resize(images[start : start + batch_size], self._size, self._resize)
            parts.append(self._images((batch / np.float32(255) - mean) / deviation))
        return np.concatenate(parts)

    def texts(self, captions: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Embeds captions. Captions of more than 75 tokens are cut, as in CLIP's code.

        Args:
            captions: List of N captions.
            batch_size: Number of captions per run of the network.

        Returns:
            Embeddings, float32 `[N, D]`.

        Raises:
            ValueError: If `captions` is not a list of strings.
        """
        if isinstance(captions, str) or not all(isinstance(each, str) for each in captions):
            raise ValueError(f"captions must be a list of strings; received {captions!r:.60}")
        tokens = self._tokens(captions)
        starts = range(0, len(tokens), batch_size)
        parts = [self._texts(tokens[start : start + batch_size]) for start in starts]
        return np.concatenate([np.zeros((0, self.dim), "float32"), *parts])

    def _tokens(self, captions):
        """Token ids, int32 `[N, length]`: start, the caption's, end, padding."""
        tokenizer = self.tokenizer
        rows = np.full((len(captions), self._length), tokenizer.pad_token_id, "int32")
        for row, caption in zip(rows, captions, strict=True):
            text = " ".join(html.unescape(html.unescape(caption)).split()).lower()
            ids = [int(i) for i in np.asarray(tokenizer(text))] if text else []
            ids = ids[: self._length - 2]
            row[: len(ids) + 2] = [tokenizer.start_token_id, *ids, tokenizer.end_token_id]
        return rows


def load_clip(preset: str | os.PathLike = DEFAULT, resize: str | None = None) -> Clip:
    """Returns `Clip(preset, resize)`."""
    return Clip(preset, resize)


# === Presets ===


def _build(folder: Path, config: dict) -> keras.Model:
    models = hub.hub_models()
    if "text_config" in config:
        return _from_transformers(folder, config)
    return models.CLIPBackbone.from_preset(str(folder), dtype="float32")


def _tokenizer(folder):
    tokenizer = hub.hub_models().CLIPTokenizer
    if (folder / "vocab.json").is_file():  # A folder of transformers.
        files = str(folder / "vocab.json"), str(folder / "merges.txt")
        return tokenizer(*files, pad_with_end_token=True)
    return tokenizer.from_preset(str(folder))


def _from_transformers(folder: Path, config: dict) -> keras.Model:
    """Converts a folder of transformers' `CLIPModel`, with the defaults of its configuration."""
    models = hub.hub_models()
    text, vision = config["text_config"], config["vision_config"]

    def encoder(about, hidden, heads):
        return {
            "hidden_dim": about.get("hidden_size", hidden),
            "num_layers": about.get("num_hidden_layers", 12),
            "num_heads": about.get("num_attention_heads", heads),
            "intermediate_dim": about.get("intermediate_size", 4 * hidden),
            "intermediate_activation": about.get("hidden_act", "quick_gelu"),
            "dtype": "float32",
        }

    side = vision.get("image_size", 224)
    backbone = models.CLIPBackbone(
        vision_encoder=models.CLIPVisionEncoder(
            patch_size=vision.get("patch_size", 32),
            image_shape=(side, side, 3),
            data_format="channels_last",
            **encoder(vision, 768, 12),
        ),
        text_encoder=models.CLIPTextEncoder(
            vocabulary_size=text.get("vocab_size", 49408),
            embedding_dim=text.get("hidden_size", 512),
            max_sequence_length=text.get("max_position_embeddings", 77),
            **encoder(text, 512, 8),
        ),
        projection_dim=config.get("projection_dim", 512),
        dtype="float32",
    )
    embedding = backbone.vision_encoder.embedding
    # keras-hub expects them in the file of weights.
    embedding.position_ids.assign(np.arange(embedding.num_positions)[None])
    arrays = _transformers_arrays(folder)
    for variable, name, axes in _transformers_names(backbone):
        array = np.asarray(arrays[name], "float32")
        array = array.transpose(axes) if axes else array
        variable.assign(array.reshape(variable.shape))
    return backbone


def _transformers_arrays(folder) -> dict[str, Any]:
    if (folder / "model.safetensors").is_file():
        from safetensors.numpy import load_file

        return load_file(folder / "model.safetensors")
    return load_torch_file(folder / "pytorch_model.bin")


def _transformers_names(backbone):
    """Yields each variable, its name in transformers' file, and the transposition of its array."""
    dense, convolution = (1, 0), (2, 3, 1, 0)

    def norm(layer, name):
        yield layer.gamma, f"{name}.weight", None
        yield layer.beta, f"{name}.bias", None

    def linear(layer, name):
        yield layer.kernel, f"{name}.weight", dense
        yield layer.bias, f"{name}.bias", None

    def blocks(encoder, name):
        for index, block in enumerate(encoder.encoder_layers):
            place, heads = f"{name}.encoder.layers.{index}", block.attention
            yield from norm(block.layer_norm_1, f"{place}.layer_norm1")
            yield from linear(heads.query_dense, f"{place}.self_attn.q_proj")
            yield from linear(heads.key_dense, f"{place}.self_attn.k_proj")
            yield from linear(heads.value_dense, f"{place}.self_attn.v_proj")
            yield from linear(heads.output_dense, f"{place}.self_attn.out_proj")
            yield from norm(block.layer_norm_2, f"{place}.layer_norm2")
            yield from linear(block.dense_1, f"{place}.mlp.fc1")
            yield from linear(block.dense_2, f"{place}.mlp.fc2")

    vision, text = backbone.vision_encoder, backbone.text_encoder
    place = "vision_model.embeddings"
    yield vision.embedding.class_embedding, f"{place}.class_embedding", None
    yield vision.embedding.patch_embedding.kernel, f"{place}.patch_embedding.weight", convolution
    yield (
        vision.embedding.position_embedding.embeddings,
        f"{place}.position_embedding.weight",
        None,
    )
    yield from norm(vision.pre_layer_norm, "vision_model.pre_layrnorm")  # Spelled so there.
    yield from blocks(vision, "vision_model")
    yield from norm(vision.layer_norm, "vision_model.post_layernorm")
    place, tokens = "text_model.embeddings", text.embedding
    yield tokens.token_embedding.embeddings, f"{place}.token_embedding.weight", None
    yield (
        tokens.position_embedding.position_embeddings,
        f"{place}.position_embedding.weight",
        None,
    )
    yield from blocks(text, "text_model")
    yield from norm(text.layer_norm, "text_model.final_layer_norm")
    yield backbone.vision_projection.kernel, "visual_projection.weight", dense
    yield backbone.text_projection.kernel, "text_projection.weight", dense
