"""Writes tiny presets of DINOv2 and CLIP from the random weights of hub.npz."""

import json
from pathlib import Path

import numpy as np

EXPECTED = Path(__file__).parent / "metrics" / "expected" / "hub.npz"  # See make_hub.py.
MERGES = ["r e", "re d</w>", "b i", "bi r", "bir d</w>"]
CAPTIONS = [
    "a small red bird",
    "  A  BIRD &amp; a   tree's leaf; 12 eggs, done!",
    "red bird " * 9,
    "",
]


def expected() -> dict[str, np.ndarray]:
    with np.load(EXPECTED) as file:
        return dict(file)


def weights(kind: str) -> dict[str, np.ndarray]:
    """Arrays of `"dinov2"` or `"clip"` by their names in transformers' files."""
    prefix = f"{kind}/"
    return {
        name.removeprefix(prefix): array.astype("float32")
        for name, array in expected().items()
        if name.startswith(prefix)
    }


def write_dinov2(folder: Path, **changes) -> Path:
    """Writes a folder as transformers' `Dinov2Model` does."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "dinov2",
        "image_size": 70,
        "patch_size": 14,
        "num_hidden_layers": 2,
        "hidden_size": 24,
        "num_attention_heads": 2,
        "mlp_ratio": 2,
        "layerscale_value": 1.0,
        "use_swiglu_ffn": False,
        "hidden_dropout_prob": 0.0,
        "drop_path_rate": 0.0,
    }
    (folder / "config.json").write_text(json.dumps(config | changes))
    save_file(weights("dinov2"), folder / "model.safetensors")
    return folder


def write_clip(folder: Path, torch_file: bool = False) -> Path:
    """Writes a folder as transformers' `CLIPModel` does."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    arrays = weights("clip")
    words = [chr(code) for code in range(33, 127)]
    words += [f"{piece}</w>" for piece in words] + ["".join(pair.split()) for pair in MERGES]
    words += ["<|startoftext|>", "<|endoftext|>"]
    tower = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    tower["intermediate_size"] = 64
    config = {
        "model_type": "clip",
        "projection_dim": 8,
        "text_config": tower | {"vocab_size": len(words), "max_position_embeddings": 12},
        "vision_config": tower | {"patch_size": 8, "image_size": 32},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n")
    if torch_file:
        import torch

        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(arrays, folder / "model.safetensors")
    return folder
