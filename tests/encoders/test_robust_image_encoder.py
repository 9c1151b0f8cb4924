"""Tests of the robust image encoder: adversarial examples, training, files, on every backend."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.encoders.char_cnn_rnn import build_image_encoder
from kerasgan.encoders.robust_image_encoder import RobustImageEncoder
from kerasgan.io import checkpoints
from kerasgan.losses.damsm import damsm_loss

LABELS, DIM = (3, 2), 6


def small(**arguments):
    keras.utils.set_random_seed(0)
    model = RobustImageEncoder(LABELS, build_image_encoder(16, 2, DIM), **arguments)
    model.compile(encoder=keras.optimizers.Adam(1e-2))
    return model


def batch(count=8):
    random = np.random.default_rng(0)
    labels = random.integers(0, LABELS, (count, 2)).astype("int32")
    images = random.uniform(-0.2, 0.2, (count, 16, 16, 3))
    images[..., 0] += labels[:, 0, None, None] / 2 - 0.5  # The first label: amount of red.
    images[:, :8, :, 1] += (
        labels[:, 1, None, None] - 0.5
    )  # The second label: green in the upper half.
    return images.astype("float32"), labels, random.normal(size=(count, DIM)).astype("float32")


def value(losses):
    return float(ops.convert_to_numpy(losses[0]))


def tensors(data):
    return [ops.convert_to_tensor(part) for part in data]


@pytest.mark.backend
def test_the_loss_is_the_cross_entropy_of_known_labels_plus_damsm():
    model, (images, labels, embeddings) = small(), batch()
    labels[0, 0] = labels[3:, 1] = -1
    features = ops.convert_to_numpy(model.image_encoder(images, training=False))
    kernel, bias = (ops.convert_to_numpy(w) for w in model.heads.weights)
    logits, expected = features @ kernel + bias, 0.0
    for column, part in enumerate((logits[:, :3], logits[:, 3:])):
        entropy = np.log(np.exp(part).sum(1)) - part[np.arange(8), labels[:, column]]
        expected += entropy[labels[:, column] >= 0].mean()
    loss, (label_loss, match_loss) = model.losses_of(*tensors((images, labels, embeddings)))
    label_loss, match_loss, loss = (
        float(ops.convert_to_numpy(x)) for x in (label_loss, match_loss, loss)
    )
    assert label_loss == pytest.approx(expected, rel=1e-4)
    assert match_loss == pytest.approx(
        float(damsm_loss(*tensors((features, embeddings)))), rel=1e-4
    )
    assert loss == pytest.approx(label_loss + match_loss, rel=1e-5)
    labels[:, 1] = -1  # No image has this label.
    assert np.isfinite(value(model.losses_of(*tensors((images, labels, embeddings)))))


@pytest.mark.backend
def test_adversarial_examples_raise_the_loss_within_the_radius():
    data = tensors(batch())
    model = small(radius=0.05)
    examples = model.adversarial_examples(*data)
    lengths = ops.convert_to_numpy(
        ops.sqrt(ops.sum(ops.square(examples - data[0]), axis=(1, 2, 3)))
    )
    assert lengths.max() <= 0.05 * (1 + 1e-4) and lengths.min() > 0.02
    before, after = (value(model.losses_of(x, *data[1:])) for x in (data[0], examples))
    noise = np.random.default_rng(1).normal(size=data[0].shape)
    noise *= 0.05 / np.sqrt((noise**2).sum(axis=(1, 2, 3), keepdims=True))
    random = value(model.losses_of(data[0] + ops.convert_to_tensor(noise, "float32"), *data[1:]))
    assert after > before and after - before > 3 * abs(random - before)
    assert small(radius=0).adversarial_examples(*data) is data[0]


@pytest.mark.backend
def test_training_lowers_both_losses():
    model, data = small(radius=0.3), batch(32)
    first = model.test_on_batch(*data, return_dict=True)
    history = [model.train_on_batch(*data, return_dict=True) for _ in range(60)]
    assert set(history[0]) == set(first) == {"encoder_loss", "label_loss", "match_loss"}
    assert history[-1]["label_loss"] < 0.8 * history[0]["label_loss"]
    assert history[-1]["match_loss"] < 0.9 * history[0]["match_loss"]


def test_configuration_and_file(tmp_path):
    model = small(radius=0.25)
    again = RobustImageEncoder.from_config(model.get_config())
    assert again.label_sizes == LABELS and again.radius == 0.25 and again.seed == 0
    path = tmp_path / "encoder_R_epoch_1.h5"
    checkpoints.save_network(path, model.image_encoder, epoch=1, letter="R")
    images = batch()[0]
    networks = checkpoints.load_network(path)[0], model.image_encoder
    np.testing.assert_allclose(
        *(ops.convert_to_numpy(network(images)) for network in networks), atol=1e-5
    )


def test_a_negative_radius_raises():
    with pytest.raises(ValueError, match="radius must be at least 0; received -1"):
        small(radius=-1)
