"""Writes hub.npz: features of tiny DINOv2 and CLIP networks by their published code.

    python tests/metrics/expected/make_hub.py

Was run in an environment with torch 2.13.0, torchvision 0.28.0 (without its compiled operators),
transformers 5.24.0, open_clip_torch 3.3.0, dinov2 0.0.1.dev2 (Meta's package), clean-fid 0.1.35 and
pillow 13.0.0, all installed with `pip install --no-deps`. The arrays are

- `dinov2/<name>`, `clip/<name>`: random weights in half precision, named as in transformers' files;
- `images`: uint8 `[N, H, W, 3]`;
- `dinov2_features`: Meta's network after dgm-eval's preprocessing; `dinov2_clean` with its
  `--clean_resize`;
- `clip_images`, `clip_texts`: open_clip's network after the preprocessing of CMMD's code;
- `clip_tokens`: token ids of `CAPTIONS` by transformers' tokenizer;
- `resized_clean`, `resized_pytorch`: clean-fid's resizes to `SIDE`.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import torch

# The compiled operators of torchvision are not used.
register = torch.library.register_fake
torch.library.register_fake = lambda name, *rest, **options: (
    (lambda function: function)
    if str(name).startswith("torchvision")
    else register(name, *rest, **options)
)

import open_clip  # noqa: E402
import torchvision.transforms as transforms  # noqa: E402
from cleanfid.resize import make_resizer  # noqa: E402
from dinov2.models.vision_transformer import DinoVisionTransformer  # noqa: E402
from PIL import Image  # noqa: E402
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer  # noqa: E402

DINOV2 = {"hidden": 24, "layers": 2, "heads": 2, "patch": 14, "image": 70, "ratio": 2}
CLIP = {"hidden": 16, "layers": 2, "heads": 2, "patch": 8, "image": 32, "length": 12, "project": 8}
CAPTIONS = [
    "a small red bird",
    "  A  BIRD &amp; a   tree's leaf; 12 eggs, done!",
    "red bird " * 9,
    "",
]
MERGES = ["r e", "re d</w>", "b i", "bi r", "bir d</w>"]
SIDE = 40
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
CLIP_DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711])


def vocabulary():
    """All printable ASCII characters, alone and at the end of a word, and the merged pieces."""
    pieces = [chr(code) for code in range(33, 127)]
    pieces += [f"{piece}</w>" for piece in pieces] + ["".join(pair.split()) for pair in MERGES]
    return {
        piece: index for index, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])
    }


def randomize(network):
    """Random weights that half precision represents exactly."""
    for parameter in network.parameters():
        noise = torch.randn(parameter.shape) * (0.2 if parameter.ndim > 1 else 0.1)
        if parameter.ndim == 1 and float(parameter.detach().min()) == 1:
            noise += 1
        parameter.data = noise.half().float()
    return network.eval()


def dinov2(images):
    about = DINOV2
    network = randomize(
        DinoVisionTransformer(
            img_size=about["image"],
            patch_size=about["patch"],
            embed_dim=about["hidden"],
            depth=about["layers"],
            num_heads=about["heads"],
            mlp_ratio=about["ratio"],
            init_values=1.0,
            block_chunks=0,
        )
    )
    plain = transforms.Compose(
        [
            transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
        ]
    )
    clean = make_resizer("PIL", False, "bicubic", (224, 224))
    normalize = transforms.Normalize(MEAN, DEVIATION)
    with torch.no_grad():
        ours = [normalize(plain(Image.fromarray(image))) for image in images]
        tidy = [
            normalize(torch.from_numpy(clean(image).transpose(2, 0, 1) / np.float32(255)))
            for image in images
        ]
        found = network(torch.stack(ours).float()), network(torch.stack(tidy).float())
    return transformers_names(network.state_dict()), *found


def transformers_names(state):
    """Renames the arrays of Meta's DINOv2."""
    renamed = {}
    parts = (("q", "query"), ("k", "key"), ("v", "value"))
    for name, array in state.items():
        name = name.replace("blocks.", "encoder.layer.").replace("patch_embed.proj", "patch_embed")
        for old, new in (
            ("pos_embed", "embeddings.position_embeddings"),
            ("cls_token", "embeddings.cls_token"),
            ("mask_token", "embeddings.mask_token"),
            ("patch_embed.", "embeddings.patch_embeddings.projection."),
            ("attn.proj", "attention.output.dense"),
            ("ls1.gamma", "layer_scale1.lambda1"),
            ("ls2.gamma", "layer_scale2.lambda1"),
        ):
            name = name.replace(old, new)
        if "attn.qkv" in name:
            for (_, part), rows in zip(parts, array.chunk(3), strict=True):
                renamed[name.replace("attn.qkv", f"attention.attention.{part}")] = rows
        else:
            renamed[name.replace("norm.", "layernorm.") if name.startswith("norm.") else name] = (
                array
            )
    return renamed


def clip(images):
    """Weights of transformers' network, and the embeddings of open_clip's with the same weights."""
    about, size = CLIP, CLIP["image"]
    tower = {
        "hidden_size": about["hidden"],
        "num_hidden_layers": about["layers"],
        "num_attention_heads": about["heads"],
        "intermediate_size": 4 * about["hidden"],
    }
    words = vocabulary()
    config = CLIPConfig(
        text_config=tower
        | {
            "vocab_size": len(words),
            "max_position_embeddings": about["length"],
            "bos_token_id": words["<|startoftext|>"],
            "eos_token_id": words["<|endoftext|>"],
        },
        vision_config=tower | {"patch_size": about["patch"], "image_size": size},
        projection_dim=about["project"],
    )
    network = randomize(CLIPModel(config))
    other = open_clip.CLIP(
        embed_dim=about["project"],
        quick_gelu=True,
        vision_cfg=open_clip.CLIPVisionCfg(
            layers=about["layers"],
            width=about["hidden"],
            head_width=about["hidden"] // about["heads"],
            patch_size=about["patch"],
            image_size=size,
        ),
        text_cfg=open_clip.CLIPTextCfg(
            context_length=about["length"],
            vocab_size=len(words),
            width=about["hidden"],
            heads=about["heads"],
            layers=about["layers"],
        ),
    ).eval()
    other.load_state_dict(open_clip_names(network.state_dict()), strict=False)
    tokens = clip_tokens(words)
    pixels = np.stack([cmmd_pixels(image, size) for image in images])
    pixels = torch.from_numpy(pixels.transpose(0, 3, 1, 2)).float()
    with torch.no_grad():
        found = other.encode_image(pixels), other.encode_text(torch.from_numpy(tokens).long())
        ids = torch.from_numpy(tokens).long()
        pooled = (
            network.vision_model(pixel_values=pixels).pooler_output,
            network.text_model(input_ids=ids).pooler_output,
        )
        again = network.visual_projection(pooled[0]), network.text_projection(pooled[1])
    for one, two in zip(found, again, strict=True):  # Two published programs agree.
        assert (one - two).abs().max() < 1e-5, (one - two).abs().max()
    return network.state_dict(), *found, tokens


def open_clip_names(state):
    renamed = {
        "visual.class_embedding": state["vision_model.embeddings.class_embedding"],
        "visual.conv1.weight": state["vision_model.embeddings.patch_embedding.weight"],
        "visual.positional_embedding": state["vision_model.embeddings.position_embedding.weight"],
        "visual.proj": state["visual_projection.weight"].T,
        "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
        "text_projection": state["text_projection.weight"].T,
    }
    norms = (
        ("vision_model.pre_layrnorm", "visual.ln_pre"),
        ("vision_model.post_layernorm", "visual.ln_post"),
        ("text_model.final_layer_norm", "ln_final"),
    )
    pairs = list(norms)
    for tower, place in (("vision_model", "visual.transformer"), ("text_model", "transformer")):
        for index in range(CLIP["layers"]):
            here, there = f"{tower}.encoder.layers.{index}", f"{place}.resblocks.{index}"
            pairs += [
                (f"{here}.layer_norm1", f"{there}.ln_1"),
                (f"{here}.layer_norm2", f"{there}.ln_2"),
                (f"{here}.mlp.fc1", f"{there}.mlp.c_fc"),
                (f"{here}.mlp.fc2", f"{there}.mlp.c_proj"),
                (f"{here}.self_attn.out_proj", f"{there}.attn.out_proj"),
            ]
            for part in ("weight", "bias"):
                renamed[f"{there}.attn.in_proj_{part}"] = torch.cat(
                    [state[f"{here}.self_attn.{letter}_proj.{part}"] for letter in "qkv"]
                )
    for one, two in pairs:
        renamed |= {f"{two}.{part}": state[f"{one}.{part}"] for part in ("weight", "bias")}
    return renamed


def clip_tokens(words):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "vocab.json").write_text(json.dumps(words))
        (Path(folder) / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n")
        tokenizer = CLIPTokenizer.from_pretrained(folder)
        texts = [text.replace("&amp;", "&") for text in CAPTIONS]  # CLIP's own code unescapes.
        found = tokenizer(texts, padding="max_length", truncation=True, max_length=CLIP["length"])
    return np.array(found["input_ids"], "int32")


def cmmd_pixels(image, size):
    """CMMD: the central square, Pillow's bicubic resize, CLIP's mean and deviation."""
    height, width = image.shape[:2]
    side = min(height, width)
    box = ((width - side) // 2, (height - side) // 2)
    square = Image.fromarray(image).crop((*box, box[0] + side, box[1] + side))
    pixels = np.asarray(square.resize((size, size), Image.Resampling.BICUBIC)) / 255.0
    return (pixels - CLIP_MEAN) / CLIP_DEVIATION


def main():
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (3, 36, 48, 3), "uint8")
    images[1] = images[1] // 3 + 40
    y, x = np.indices((36, 48))
    images[2] = np.stack([5 * y, 4 * x, (x + y) ** 2 % 256], axis=-1)
    weights, features, tidy = dinov2(images)
    arrays = {f"dinov2/{name}": array.numpy().astype("float16") for name, array in weights.items()}
    clip_weights, clip_images, clip_texts, tokens = clip(images)
    arrays |= {
        f"clip/{name}": array.numpy().astype("float16")
        for name, array in clip_weights.items()
        if array.is_floating_point()
    }
    resizers = {
        name: make_resizer(library, False, kind, (SIDE, SIDE))
        for name, library, kind in (
            ("clean", "PIL", "bicubic"),
            ("pytorch", "PyTorch", "bilinear"),
        )
    }
    arrays |= {
        f"resized_{name}": np.stack([function(image) for image in images]).astype("float32")
        for name, function in resizers.items()
    }
    np.savez_compressed(
        Path(__file__).parent / "hub.npz",
        images=images,
        dinov2_features=features.numpy(),
        dinov2_clean=tidy.numpy(),
        clip_images=clip_images.numpy(),
        clip_texts=clip_texts.numpy(),
        clip_tokens=tokens,
        **arrays,
    )


if __name__ == "__main__":
    main()
