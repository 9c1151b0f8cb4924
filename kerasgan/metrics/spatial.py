"""sFID: Fréchet distance of feature maps, which is sensitive to where things are in the image.

The features are the first 7 channels of an intermediate feature map, with their positions. For
Inception, they are those of OpenAI's evaluator: `mixed_6/conv`, 17 x 17 x 7 = 2,023 features.

Reference:
    Nash et al., 2021, "Generating Images with Sparse Representations",
    https://arxiv.org/abs/2103.03841
"""

import copy
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan.metrics.frechet import Statistics, frechet_distance, statistics

CHANNELS = 7
INCEPTION_LAYER = "Mixed_6d_branch1x1"  # "mixed_6/conv" in TensorFlow's graph.


class SpatialFeatures:
    """Feature extractor of the first channels of a feature map, `[B, H * W * channels]`.

    Args:
        extractor: `Inception`, or `ClassifierFeatures` of a convolutional classifier, whose last
            feature map of more than one position is used.
        channels: Number of channels; 7 in OpenAI's evaluator.

    Raises:
        ValueError: If the extractor has no feature map.
    """

    def __init__(self, extractor: Any, channels: int = CHANNELS):
        network = getattr(extractor, "network", None)
        if not isinstance(network, keras.Model):
            name = getattr(extractor, "protocol", {}).get("network", type(extractor).__name__)
            raise ValueError(
                f"sfid needs the feature maps of a convolutional network; {name} has none"
            )
        maps = _feature_maps(network)  # [B, H, W, C]
        channels = min(channels, maps.shape[-1])
        features = ops.reshape(maps[..., :channels], (-1, int(np.prod(_sides(maps))) * channels))
        self._extractor = copy.copy(extractor)
        # Extractors call a network with two outputs.
        self._extractor.network = keras.Model(network.inputs[0], [features, features])
        self._extractor.network.jit_compile = network.jit_compile
        layer = f"first {channels} channels of the feature map of {_sides(maps)} positions"
        self.protocol = dict(extractor.protocol) | {"layer": layer}
        self.protocol.pop("logits", None)
        self.logits = False
        self.shape = getattr(extractor, "shape", (0, 0, 3))

    def __call__(self, images: np.ndarray) -> Any:
        found = self._extractor(images)
        return found[0] if isinstance(found, (tuple, list)) else found


def _feature_maps(network):
    names = [layer.name for layer in network.layers]
    if INCEPTION_LAYER in names:
        return network.get_layer(INCEPTION_LAYER).output
    for layer in reversed(network.layers):
        shape = getattr(getattr(layer, "output", None), "shape", ())
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if len(shape) == 4 and None not in shape[1:] and shape[1] * shape[2] > 1:
            return layer.output
    raise ValueError(
        f"sfid needs the feature maps of a convolutional network; {network.name} has none"
    )


def _sides(maps):
    return tuple(int(side) for side in maps.shape[1:3])


def spatial_frechet_distance(one: np.ndarray | Statistics, other: np.ndarray | Statistics) -> float:
    """Computes the Fréchet distance of spatial features.

    Args:
        one: Features `[N, H * W * C]` of `SpatialFeatures`, or their statistics.
        other: Features `[M, H * W * C]`, or their statistics.

    Returns:
        A float, at least 0.

    Raises:
        ValueError: See `statistics` and `frechet_distance`.
    """
    return frechet_distance(
        *(each if isinstance(each, Statistics) else statistics(each) for each in (one, other))
    )
