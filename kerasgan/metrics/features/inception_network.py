"""Network of the Inception of 2015-12-05; see `inception` for its weights.

Reference:
    Szegedy et al., 2016, "Rethinking the Inception Architecture for Computer Vision",
    https://arxiv.org/abs/1512.00567

**Differences from the paper**, all of which are in the graph

- Images of any size are resized to 299 x 299 within the network, by TensorFlow 1's bilinear
  interpolation.
- Average pools exclude the padding, and the pool of the last block is a max pool.
- There are 1,008 logits: 1,000 classes and eight unused ones. They have no bias, as in the
  published Inception Score.

**Differences from the graph**, for speed and equal up to rounding

- Batch norm is folded into the convolutions.
- The 1 x 1 convolutions of one input are computed as one convolution.
- Average pools come after their 1 x 1 convolution, which has fewer channels. Both are linear.
"""

from typing import NamedTuple

import keras
from keras import ops

from kerasgan.metrics.features.resize import Resize

SIZE = 299
CLASSES = 1008

# Convolutions of the stem: height and width of the kernel, channels.
STEM = {
    "Conv2d_1a_3x3": (3, 3, 32),
    "Conv2d_2a_3x3": (3, 3, 32),
    "Conv2d_2b_3x3": (3, 3, 64),
    "Conv2d_3b_1x1": (1, 1, 80),
    "Conv2d_4a_3x3": (3, 3, 192),
}
# Strides and padding of the stem, if not 1 and "valid".
STEM_OPTIONS = {"Conv2d_1a_3x3": (2, "valid"), "Conv2d_2b_3x3": (1, "same")}
FORK = [(1, 3, 384), (3, 1, 384)]  # Two convolutions of the same input.


def _block_35(pool):
    return {
        "branch1x1": [(1, 1, 64)],
        "branch5x5": [(1, 1, 48), (5, 5, 64)],
        "branch3x3dbl": [(1, 1, 64), (3, 3, 96), (3, 3, 96)],
        "branch_pool": [(1, 1, pool)],
    }


def _block_17(n):
    return {
        "branch1x1": [(1, 1, 192)],
        "branch7x7": [(1, 1, n), (1, 7, n), (7, 1, 192)],
        "branch7x7dbl": [(1, 1, n), (7, 1, n), (1, 7, n), (7, 1, n), (1, 7, 192)],
        "branch_pool": [(1, 1, 192)],
    }


BLOCK_8 = {
    "branch1x1": [(1, 1, 320)],
    "branch3x3": [(1, 1, 384), FORK],
    "branch3x3dbl": [(1, 1, 448), (3, 3, 384), FORK],
    "branch_pool": [(1, 1, 192)],
}
# Convolutions of the branches of each block. Blocks without `branch_pool` downsample.
BLOCKS = {
    "Mixed_5b": _block_35(32),
    "Mixed_5c": _block_35(64),
    "Mixed_5d": _block_35(64),
    "Mixed_6a": {"branch3x3": [(3, 3, 384)], "branch3x3dbl": [(1, 1, 64), (3, 3, 96), (3, 3, 96)]},
    "Mixed_6b": _block_17(128),
    "Mixed_6c": _block_17(160),
    "Mixed_6d": _block_17(160),
    "Mixed_6e": _block_17(192),
    "Mixed_7a": {
        "branch3x3": [(1, 1, 192), (3, 3, 320)],
        "branch7x7x3": [(1, 1, 192), (1, 7, 192), (7, 1, 192), (3, 3, 192)],
    },
    "Mixed_7b": BLOCK_8,
    "Mixed_7c": BLOCK_8,
}


class Convolution(NamedTuple):
    """A convolution of the network.

    Attributes:
        name: Name in the PyTorch files.
        node: Name in TensorFlow's graph.
        shape: Shape of the kernel: height, width, input channels, output channels.
    """

    name: str
    node: str
    shape: tuple[int, int, int, int]


def _numbered(name, index):
    return f"{name}_{index}" if index else name


def _plan():
    """Convolutions of the stem, and block -> branch -> stages, lists of one or two convolutions."""
    stem, plan, channels = [], {}, 3
    for index, (name, (height, width, out)) in enumerate(STEM.items()):
        stem.append(Convolution(name, _numbered("conv", index), (height, width, channels, out)))
        channels = out
    for index, (block, branches) in enumerate(BLOCKS.items()):
        plan[block], towers, total = {}, 0, 0
        for branch, chain in branches.items():
            place, inputs, stages = _numbered("mixed", index) + "/", channels, []
            if len(chain) > 1 or branch == "branch_pool":  # The graph calls them towers.
                place, towers = place + _numbered("tower", towers) + "/", towers + 1
            for step, stage in enumerate(chain):
                fork = isinstance(stage, list)
                name = f"{block}.{branch}" + (f"_{step + 1}" if len(chain) > 1 else "")
                stages.append(
                    [
                        Convolution(
                            name + "ab"[side] * fork,
                            place
                            + (_numbered("mixed/conv", side) if fork else _numbered("conv", step)),
                            (height, width, inputs, out),
                        )
                        for side, (height, width, out) in enumerate(stage if fork else [stage])
                    ]
                )
                inputs = stages[-1][0].shape[-1]
            total += sum(convolution.shape[-1] for convolution in stages[-1])
            plan[block][branch] = stages
        channels = total if "branch_pool" in branches else total + channels
    return stem, plan


def _tensors():
    """Name in the PyTorch files -> (name in the graph, shape in PyTorch, transposition)."""
    stem, plan = _plan()
    found = {}
    for conv in [
        *stem,
        *(
            conv
            for b in plan.values()
            for stages in b.values()
            for stage in stages
            for conv in stage
        ),
    ]:
        height, width, inputs, out = conv.shape
        found[conv.name + ".conv.weight"] = (
            conv.node + "/conv2d_params",
            (out, inputs, height, width),
            (3, 2, 0, 1),
        )
        for name, node in (
            ("weight", "gamma"),
            ("bias", "beta"),
            ("running_mean", "moving_mean"),
            ("running_var", "moving_variance"),
        ):
            found[f"{conv.name}.bn.{name}"] = f"{conv.node}/batchnorm/{node}", (out,), (0,)
    found["fc.weight"] = "softmax/weights", (CLASSES, 2048), (1, 0)
    return found


TENSORS = _tensors()


def build_inception() -> tuple[keras.Model, list[tuple[keras.layers.Layer, list[str]]]]:
    """Builds the network with zero weights.

    Returns:
        A functional model from images `[B, H, W, 3]` in [0, 255] to features `[B, 2048]` (the input
        of the last layer) and logits `[B, 1008]` without bias; and a list of pairs of a layer and
        the names of the convolutions that it combines.
    """
    stem, plan = _plan()
    made = []

    def conv(x, convolutions, strides=1, padding="same", activation="relu"):
        channels = sum(convolution.shape[-1] for convolution in convolutions)
        layer = keras.layers.Conv2D(
            channels,
            convolutions[0].shape[:2],
            strides,
            padding,
            "channels_last",
            activation=activation,
            kernel_initializer="zeros",
            dtype="float32",
            name=convolutions[0].name.replace(".", "_"),
        )
        made.append((layer, [convolution.name for convolution in convolutions]))
        return layer(x)

    def pool(kind, x, strides, padding):
        return kind(x, 3, strides, padding, data_format="channels_last")

    def mixed(x, branches, last):
        stages = {branch: [*stages] for branch, stages in branches.items()}
        pooled = stages.pop("branch_pool", None)
        heads = {branch: s[0][0] for branch, s in stages.items() if s[0][0].shape[:2] == (1, 1)}
        joint, start = conv(x, [*heads.values()]), 0
        parts, out = dict.fromkeys(stages, x), []
        for branch, head in heads.items():
            parts[branch] = joint[..., start : start + head.shape[-1]]
            start += head.shape[-1]
        for branch, part in parts.items():
            remaining = stages[branch][branch in heads :]
            for stage in remaining:
                downsamples = pooled is None and stage is remaining[-1]
                options = (2, "valid") if downsamples else (1, "same")
                results = [conv(part, [convolution], *options) for convolution in stage]
                part = results[0]
            out += results if remaining else [part]
        if pooled is None:
            out.append(pool(ops.max_pool, x, 2, "valid"))
        elif last:
            out.append(conv(pool(ops.max_pool, x, 1, "same"), pooled[0]))
        else:
            out.append(
                ops.relu(pool(ops.average_pool, conv(x, pooled[0], activation=None), 1, "same"))
            )
        return ops.concatenate(out, axis=-1)

    images = keras.Input((None, None, 3), dtype="float32")
    x = (Resize()(images) - 128) / 128
    for convolution in stem:
        x = conv(x, [convolution], *STEM_OPTIONS.get(convolution.name, (1, "valid")))
        if convolution.name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
            x = pool(ops.max_pool, x, 2, "valid")
    for block, branches in plan.items():
        x = mixed(x, branches, last=block == "Mixed_7c")
    features = ops.mean(x, axis=(1, 2))
    layer = keras.layers.Dense(CLASSES, use_bias=False, kernel_initializer="zeros", dtype="float32")
    made.append((layer, ["fc"]))
    return keras.Model(images, [features, layer(features)]), made
