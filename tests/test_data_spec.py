"""Training data are checked by the same rules on every path into a model and every backend."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasgan.data_spec import DataSpec, Ignored, Images, Labels, Numbers
from kerasgan.training import AdversarialModel

pytestmark = pytest.mark.backend
NAME = keras.backend.backend()
IMAGES = np.random.default_rng(0).uniform(-1, 1, (8, 4, 4, 1)).astype("float32")
LABELS = np.arange(8) % 3


class Tells(AdversarialModel):
    """A classifier of tiny images as an adversarial model."""

    players = ("critic",)

    def __init__(self, smallest=1):
        super().__init__()
        self.critic = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3)])
        self.smallest, self.classes, self.built = smallest, 3, True

    def data_spec(self):
        return DataSpec(
            (Images((4, 4, 1)), Labels(3)), smallest=self.smallest, reason="it compares them"
        )

    def _loss(self, images, labels):
        return ops.mean(ops.square(self.critic(images) - ops.one_hot(labels, 3)))

    def train_step(self, data):
        return self.report(critic_loss=self.minimize("critic", lambda: self._loss(*data)))

    def test_step(self, data):
        return self.report(critic_loss=self._loss(*data))


class Rows(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.x[4 * index : 4 * index + 4], self.y[4 * index : 4 * index + 4]


def generator(x, y):
    yield from ((x[start : start + 4], y[start : start + 4]) for start in (0, 4))


def tf_data(x, y):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(4)


def loader(x, y):
    torch = pytest.importorskip("torch")
    pairs = torch.utils.data.TensorDataset(torch.as_tensor(x), torch.as_tensor(y))
    return torch.utils.data.DataLoader(pairs, batch_size=4)


def model(**arguments):
    keras.utils.set_random_seed(0)
    made = Tells(**arguments)
    made.compile(critic=keras.optimizers.SGD(0.1))
    return made


PATHS = {
    "fit": lambda m, x, y: m.fit(x, y, batch_size=4, verbose=0),
    "PyDataset": lambda m, x, y: m.fit(Rows(x, y), verbose=0),
    "generator": lambda m, x, y: m.fit(
        generator(x, y), verbose=0, steps_per_epoch=2, shuffle=False
    ),
    "tf.data": lambda m, x, y: m.fit(tf_data(x, y), verbose=0, shuffle=False),
    "torch": lambda m, x, y: m.fit(loader(x, y), verbose=0, shuffle=False),
    "validation": lambda m, x, y: m.fit(IMAGES, LABELS, validation_data=(x, y), verbose=0),
    "validation set": lambda m, x, y: m.fit(IMAGES, LABELS, validation_data=Rows(x, y), verbose=0),
    "evaluate": lambda m, x, y: m.evaluate(x, y, verbose=0),
    "evaluate set": lambda m, x, y: m.evaluate(Rows(x, y), verbose=0),
    "train_on_batch": lambda m, x, y: m.train_on_batch(x, y),
    "test_on_batch": lambda m, x, y: m.test_on_batch(x, y),
}
LATER = LABELS.copy()
LATER[6] = 3  # in the second batch only
WRONG = {
    "column": (
        IMAGES,
        LABELS[:, None],
        r"labels must be a list of integers; received int64 \[(None|\d), 1\]",
    ),
    "range": (IMAGES, LATER, r"labels must be in 0\.\.2; received labels from \d to 3"),
    "negative": (IMAGES, LABELS - 1, r"labels must be in 0\.\.2; received labels from -1"),
    "floats": (
        IMAGES,
        LABELS.astype("float32"),
        "labels must be a list of integers; received float32",
    ),
    "bytes": (IMAGES * 127 + 127, LABELS, r"images must be finite and in \[-1, 1\]"),
    "uint8": (
        (IMAGES * 127 + 127).astype("uint8"),
        LABELS,
        "images must be a float array .*received uint8",
    ),
    "first": (IMAGES.transpose(0, 3, 1, 2), LABELS, r"images must be \[N, 4, 4, 1\]; received"),
    "NaN": (
        np.where(IMAGES == IMAGES[0, 0, 0, 0], np.nan, IMAGES).astype("float32"),
        LABELS,
        "images must be finite",
    ),
}


@pytest.mark.parametrize("path", list(PATHS))
def test_every_path_rejects_invalid_data_and_keeps_the_weights(path):
    one = model()
    before = one.get_weights()
    for x, y, message in WRONG.values():
        if path.startswith("validation"):
            one = model()
        with pytest.raises(ValueError, match=message) as error:
            PATHS[path](one, x, y)
        assert "\n" not in str(error.value) and len(str(error.value)) <= 300
        after = one.get_weights()
        assert all(np.isfinite(w).all() for w in after) and len(after) == len(before)


@pytest.mark.parametrize("path", list(PATHS))
def test_every_path_accepts_valid_data(path):
    results = []
    for dtype, kind in (("float32", "int32"), ("float64", "int64")):
        one = model()
        PATHS[path](one, IMAGES.astype(dtype), LABELS.astype(kind))
        results.append(one.get_weights())
    if path not in ("fit", "validation", "validation set"):  # These shuffle.
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_parts_and_weights_are_named():
    one = model()
    with pytest.raises(
        ValueError,
        match=r"data must be \(images, labels\), without sample weights; received 3 parts",
    ):
        one.fit(((IMAGES, LABELS, LABELS) for _ in range(2)), verbose=0, shuffle=False)
    with pytest.raises(
        ValueError, match="labels must have 8 entries, one per image; received None"
    ):
        one.fit(IMAGES, verbose=0)
    with pytest.raises(ValueError, match="labels must have 8 entries, one per image; received 5"):
        one.evaluate(IMAGES, LABELS[:5], verbose=0)
    for call, name, value in (
        (one.fit, "class_weight", {0: 2.0}),
        (one.fit, "sample_weight", np.ones(8)),
        (one.evaluate, "sample_weight", np.ones(8)),
        (one.train_on_batch, "class_weight", {0: 2.0}),
        (one.train_on_batch, "sample_weight", np.ones(8)),
        (one.test_on_batch, "sample_weight", np.ones(8)),
    ):
        with pytest.raises(
            ValueError, match=f"of a Tells takes no weights of its data; received {name}"
        ):
            call(IMAGES, LABELS, **{name: value})


def test_too_small_batches_are_rejected_before_training():
    one = model(smallest=2)
    before = one.get_weights()
    message = r"batch_size must be at least 2 .*\(it compares them\)"
    for call in (
        lambda: one.fit(IMAGES[:5], LABELS[:5], batch_size=4, verbose=0),
        lambda: one.fit(IMAGES[:5], LABELS[:5], batch_size=1, verbose=0),
        lambda: one.fit(IMAGES, LABELS, batch_size=4, validation_split=0.3, verbose=0),
        lambda: one.train_on_batch(IMAGES[:1], LABELS[:1]),
        lambda: one.fit(Rows(IMAGES[:5], LABELS[:5]), verbose=0),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    for a, b in zip(before, one.get_weights(), strict=True):
        assert a.shape == b.shape
    one.evaluate(
        IMAGES[:5], LABELS[:5], batch_size=4, verbose=0
    )  # The rule applies to training only.


def test_numbers_and_ignored_parts():
    spec = DataSpec(
        (
            Images((4, 4, 1)),
            Numbers((2,), "labels", integer=True, minimum=-1, maximum=(2, 5)),
            Ignored("rest"),
        ),
        optional=1,
    )
    good = np.array([[0, 5], [2, -1]])
    images, numbers = spec.check((IMAGES[:2], good))
    assert images.dtype == "float32" and numbers.dtype == "int32"
    spec.check((IMAGES[:2], good, np.array(["a", "b"])))
    for bad, message in (
        (good + 1, r"labels must be in -1\.\.5"),
        (good * 1.0, r"labels must be int \[N, 2\]; received float64"),
        (good[:, :1], r"labels must be int \[N, 2\]; received int64 \[2, 1\]"),
        (good[:1], "labels must have 2 entries, one per image; received 1"),
    ):
        with pytest.raises(ValueError, match=message):
            spec.check((IMAGES[:2], bad))
    vectors = DataSpec((Numbers((3,), "embeddings"),))
    with pytest.raises(ValueError, match="embeddings must be finite"):
        vectors.check(np.full((2, 3), np.inf, "float32"))
