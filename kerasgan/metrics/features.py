"""What a classifier makes of images: the features before its last layer, and its logits."""

import keras
import numpy as np
from keras import ops


def features_and_logits(classifier, images, batch_size=500):
    """Run a classifier in inference mode.

    Args:
        classifier: functional `keras.Model` of images into logits [B, classes].
        images: float32 array [N, H, W, C] in the range that the classifier was trained on.
        batch_size: images at once; the results do not depend on it, but for rounding.

    Returns:
        features [N, F], the input of the classifier's last layer; logits [N, classes]; both float32 numpy.
    """
    network = keras.Model(classifier.inputs[0], [classifier.layers[-1].input, classifier.outputs[0]])
    starts = range(0, len(images), batch_size)
    batches = [network(images[start : start + batch_size], training=False) for start in starts]
    return tuple(np.concatenate([ops.convert_to_numpy(part) for part in parts]) for parts in zip(*batches, strict=True))
