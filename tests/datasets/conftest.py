"""A data set as TensorFlow Datasets prepares it."""

import numpy as np
import pytest


@pytest.fixture
def prepare_tfds(tmp_path):
    """Prepares six random images, four to train and two to test, labelled 0 to 5, and returns them:
    uint8.
    """
    tfds = pytest.importorskip("tensorflow_datasets")

    def prepare(name, version, shape):
        images = np.random.default_rng(0).integers(0, 256, (6, *shape), "uint8")

        def info(self):
            image, label = (
                tfds.features.Image(shape=shape),
                tfds.features.ClassLabel(num_classes=10),
            )
            features = tfds.features.FeaturesDict({"image": image, "label": label})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def examples(self, start, stop):
            for index in range(start, stop):
                yield index, {"image": images[index], "label": index}

        def splits(self, manager):
            return {"train": self._generate_examples(0, 4), "test": self._generate_examples(4, 6)}

        made = {"_info": info, "_split_generators": splits, "_generate_examples": examples}
        made |= {"VERSION": tfds.core.Version(version), "__module__": __name__}
        # Not registered, since TensorFlow Datasets may have registered its own class of that name.
        builder = type(name, (tfds.core.GeneratorBasedBuilder,), made, skip_registration=True)
        builder(data_dir=tmp_path).download_and_prepare()
        return images

    return prepare
