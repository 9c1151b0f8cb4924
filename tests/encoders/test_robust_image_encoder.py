"""The image guide: what it is moved by, what it learns, on every backend."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.encoders.char_cnn_rnn import build_image_encoder
from kerasgan.encoders.robust_image_encoder import RobustImageEncoder
from kerasgan.io import checkpoints
from kerasgan.losses.matching import damsm_loss

LABELS, DIM = (3, 2), 6


def small(**arguments):
    keras.utils.set_random_seed(0)
    guide = RobustImageEncoder(LABELS, build_image_encoder(16, 2, DIM), **arguments)
    guide.compile(encoder=keras.optimizers.Adam(1e-2))
    return guide


def lesson(count=8):
    random = np.random.default_rng(0)
    labels = random.integers(0, LABELS, (count, 2)).astype("int32")
    images = random.uniform(-0.2, 0.2, (count, 16, 16, 3))
    images[..., 0] += labels[:, 0, None, None] / 2 - 0.5  # how red: the first label
    images[:, :8, :, 1] += labels[:, 1, None, None] - 0.5  # whether green above: the second
    return images.astype("float32"), labels, random.normal(size=(count, DIM)).astype("float32")


def value(losses):
    return float(ops.convert_to_numpy(losses[0]))


def tensors(data):
    return [ops.convert_to_tensor(part) for part in data]


@pytest.mark.backend
def test_the_loss_is_cross_entropies_of_known_labels_and_agreement():
    guide, (images, labels, vectors) = small(), lesson()
    labels[0, 0] = labels[3:, 1] = -1
    seen = ops.convert_to_numpy(guide.image_encoder(images, training=False))
    kernel, bias = (ops.convert_to_numpy(w) for w in guide.heads.weights)
    logits, expected = seen @ kernel + bias, 0.0
    for column, part in enumerate((logits[:, :3], logits[:, 3:])):
        odds = np.log(np.exp(part).sum(1)) - part[np.arange(8), labels[:, column]]
        expected += odds[labels[:, column] >= 0].mean()
    loss, (said, match) = guide.loss_of(*tensors((images, labels, vectors)))
    said, match, loss = (float(ops.convert_to_numpy(x)) for x in (said, match, loss))
    assert said == pytest.approx(expected, rel=1e-4)
    assert match == pytest.approx(float(damsm_loss(*tensors((seen, vectors)))), rel=1e-4)
    assert loss == pytest.approx(said + match, rel=1e-5)
    labels[:, 1] = -1  # of nobody
    assert np.isfinite(value(guide.loss_of(*tensors((images, labels, vectors)))))


@pytest.mark.backend
def test_pictures_are_moved_against_it_and_no_further_than_the_radius():
    data = tensors(lesson())
    guide = small(radius=0.05)
    moved = guide.against(*data)
    lengths = ops.convert_to_numpy(ops.sqrt(ops.sum(ops.square(moved - data[0]), axis=(1, 2, 3))))
    assert lengths.max() <= 0.05 * (1 + 1e-4) and lengths.min() > 0.02
    before, after = (value(guide.loss_of(x, *data[1:])) for x in (data[0], moved))
    noise = np.random.default_rng(1).normal(size=data[0].shape)
    noise *= 0.05 / np.sqrt((noise**2).sum(axis=(1, 2, 3), keepdims=True))
    beside = value(guide.loss_of(data[0] + ops.convert_to_tensor(noise, "float32"), *data[1:]))
    assert after > before and after - before > 3 * abs(beside - before)
    assert small(radius=0).against(*data) is data[0]


@pytest.mark.backend
def test_it_learns():
    guide, data = small(radius=0.3), lesson(32)
    first = guide.test_on_batch(*data, return_dict=True)
    history = [guide.train_on_batch(*data, return_dict=True) for _ in range(60)]
    assert set(history[0]) == set(first) == {"encoder_loss", "label_loss", "match_loss"}
    assert history[-1]["label_loss"] < 0.8 * history[0]["label_loss"]
    assert history[-1]["match_loss"] < 0.9 * history[0]["match_loss"]


def test_a_saved_guide_comes_back(tmp_path):
    guide = small(radius=0.25)
    again = RobustImageEncoder.from_config(guide.get_config())
    assert again.labels == LABELS and again.radius == 0.25 and again.seed == 0
    path = tmp_path / "guide_R_epoch_1.h5"
    checkpoints.save_network(path, guide.image_encoder, epoch=1, letter="R")
    images = lesson()[0]
    networks = checkpoints.load_network(path)[0], guide.image_encoder
    np.testing.assert_allclose(
        *(ops.convert_to_numpy(network(images)) for network in networks), atol=1e-5
    )


def test_a_radius_below_0_is_refused():
    with pytest.raises(ValueError, match="radius must be at least 0; received -1"):
        small(radius=-1)
