"""Random training data for any model."""

import keras
import numpy as np


class Random(keras.utils.PyDataset):
    """Random batches of the shapes and kinds that a model expects."""

    num_batches = 3

    def __init__(self, model):
        super().__init__()
        self.spec = model.data_spec()
        self.size = 32 if self.spec.smallest > 8 else 8

    def __getitem__(self, index):
        random = np.random.default_rng(index)
        batch = tuple(self._part(random, part) for part in self.spec.parts[: self._parts()])
        return batch if len(batch) > 1 else batch[0]

    def _parts(self):
        return len(self.spec.parts) - self.spec.optional

    def _part(self, random, part):
        kind = type(part).__name__
        if kind == "Images":
            return random.uniform(-1, 1, (self.size, *part.shape)).astype("float32")
        if kind == "Labels":
            return random.integers(0, part.classes or 3, self.size).astype("int32")
        if getattr(part, "integer", False):
            most = np.array(part.maximum) + 1 if part.maximum is not None else 10
            return random.integers(0, most, (self.size, *part.shape)).astype("int32")
        return random.normal(size=(self.size, *part.shape)).astype("float32")
