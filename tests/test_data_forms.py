"""Forms of data that users try: each one trains, or raises one line that names the rule."""

import keras
import numpy as np
import pytest
from keras import layers

from kerasgan.datasets.checked import CheckedDataset
from kerasgan.models import conditional_gan
from kerasgan.schedules import FlatThenLinear

X = np.random.default_rng(0).uniform(-1, 1, (8, 8, 8, 1)).astype("float32")
Y = np.arange(8, dtype="int32") % 3


def gan():
    model = conditional_gan.ConditionalGAN.for_images(classes=3, size=8, width=2)
    model.compile(generator=keras.optimizers.Adam(), discriminator=keras.optimizers.Adam())
    return model


class Batches(keras.utils.PyDataset):
    num_batches = 2

    def __init__(self, *parts, as_dictionary=False):
        super().__init__()
        self.parts, self.as_dictionary = parts, as_dictionary

    def __getitem__(self, index):
        batch = tuple(part[:4] for part in self.parts)
        return dict(zip("xy", batch, strict=True)) if self.as_dictionary else batch


REFUSED = {
    "dictionary": ({"images": X, "labels": Y}, None, "received a dictionary"),
    "iterator": (iter([X]), None, "data must be arrays of numbers; received a"),
    "text": ("abc", None, "data must be arrays of numbers; received a str"),
    "number": (3.0, None, "one entry per image; received one number"),
    "column": (X, [[label] for label in Y], "labels must be"),
}


@pytest.mark.backend
@pytest.mark.parametrize("form", list(REFUSED))
def test_other_forms_raise_one_line(form):
    x, y, message = REFUSED[form]
    with pytest.raises(ValueError, match=message) as raised:
        gan().fit(x, y, batch_size=4, verbose=0)
    assert "\n" not in str(raised.value)


@pytest.mark.backend
def test_a_data_set_of_dictionaries_raises_one_line():
    with pytest.raises(ValueError, match="received a dictionary with \\['x', 'y'\\]"):
        gan().fit(Batches(X, Y, as_dictionary=True), verbose=0)


@pytest.mark.backend
def test_labels_may_be_a_list_or_a_tuple():
    model = gan()
    for labels in (tuple(map(int, Y)), list(map(int, Y)), Y.astype("int64")):
        history = model.fit(X, labels, batch_size=4, verbose=0).history
        assert np.isfinite(history["generator_loss"]).all()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="data sets of tf.data")
@pytest.mark.parametrize("wrong", ["column", "channels_first", "squeezed"])
def test_a_second_fit_applies_the_same_rules(wrong):
    import tensorflow as tf

    x = {"channels_first": X.transpose(0, 3, 1, 2), "squeezed": X[..., 0]}.get(wrong, X)
    y = Y[:, None] if wrong == "column" else Y
    model, lines = gan(), []
    for _ in range(2):
        with pytest.raises(ValueError, match="received") as raised:
            model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(4), shuffle=False, verbose=0)
        lines.append(str(raised.value))
        model.fit(tf.data.Dataset.from_tensor_slices((X, Y)).batch(4), shuffle=False, verbose=0)
    assert lines[0] == lines[1] and "\n" not in lines[0]


def test_training_gets_copies_of_the_users_arrays():
    """TensorFlow multiplies by the loss scale in the memory of an array that it was given."""
    batch = CheckedDataset(Batches(X, Y), lambda batch: batch)[0]
    assert not any(np.shares_memory(*pair) for pair in zip(batch, (X, Y), strict=True))


@pytest.mark.backend
def test_loss_scaling_follows_the_policies_of_the_layers():
    dense = layers.Dense(2, dtype="mixed_float16")
    model = gan()
    model.generator = keras.Sequential([keras.Input((3,)), dense])
    rates = {
        "generator": keras.optimizers.Adam(FlatThenLinear(1e-3, 10)),
        "discriminator": keras.optimizers.Adam(),
    }
    model.compile(**rates)
    scaled = keras.optimizers.LossScaleOptimizer
    assert all(isinstance(model.optimizer[player], scaled) for player in model.players)
