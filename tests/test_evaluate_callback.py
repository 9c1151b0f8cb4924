"""Scores during a real `fit`: in the logs, from the same latents, in inference mode only."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan import callbacks
from kerasgan.io import checkpoints
from kerasgan.metrics.classification_accuracy import Classification
from kerasgan.metrics.clip_score import Captioned
from kerasgan.metrics.features.extract import ClassifierFeatures, extract
from kerasgan.metrics.frechet import statistics
from kerasgan.metrics.scores import scores
from kerasgan.training import AdversarialModel

LATENTS = np.random.default_rng(0).normal(size=(30, 3)).astype("float32")
REAL = np.random.default_rng(1).integers(0, 256, (25, 2, 2, 3), "uint8")


class Dots(AdversarialModel):
    """A generator with batch norm, the only player, that learns to generate bright images."""

    players = ("generator",)

    def __init__(self):
        super().__init__()
        layers = keras.layers
        self.generator = keras.Sequential(
            [
                keras.Input((3,)),
                layers.Dense(12),
                layers.BatchNormalization(),
                layers.Reshape((2, 2, 3)),
            ]
        )

    def train_step(self, data):
        loss = self.minimize(
            "generator", lambda: -ops.mean(ops.tanh(self.generator(data, training=True)))
        )
        return self.report(generator_loss=loss)

    def checkpoint_networks(self):
        return {"generator": self.generator}


def sampler(training):
    def sample(model, latents):
        images = ops.convert_to_numpy(ops.tanh(model.generator(latents, training=training)))
        return np.rint((images + 1) * 127.5).astype("uint8")

    return sample


def extractor(images):
    return images.mean(axis=(1, 2)).astype("float32")


def fit(used, epochs=4):
    model = Dots()
    model.compile(generator=keras.optimizers.Adam(0.1))
    return model, model.fit(
        LATENTS, batch_size=10, epochs=epochs, shuffle=False, verbose=0, callbacks=used
    ).history


@pytest.mark.backend
def test_scores_are_in_the_logs_and_name_the_best_epoch(tmp_path):
    received = []

    def watched(images):
        received.append(len(images))
        return extractor(images)

    latents = LATENTS, np.arange(30)  # Noise and conditions.
    generate = lambda model, parts: sampler(False)(model, parts[0])  # noqa: E731
    evaluate = callbacks.Evaluate(
        generate, latents, watched, REAL, ("fid", "prdc"), every=2, batch_size=8
    )
    saved = callbacks.Checkpoint(
        tmp_path, run="toy", dataset="dots", size=2, monitor="frechet_distance"
    )
    model, history = fit([evaluate, saved])
    assert len(history["frechet_distance"]) == len(history["coverage"]) == 2
    assert sum(received) == 25 + 2 * 30  # The reference is computed once.
    sample = sampler(False)(model, LATENTS)
    expected = scores(
        extract(sample, extractor, progress=False),
        extract(REAL, extractor, progress=False),
        ["fid"],
    )
    assert history["frechet_distance"][-1] == pytest.approx(expected["frechet_distance"], rel=1e-3)
    assert evaluate.protocol["samples"]["count"] == 30
    best = checkpoints.best(tmp_path)
    assert best["value"] == min(history["frechet_distance"]) and best["epoch"] in (2, 4)


@pytest.mark.parametrize("batch_size", [2, 3, 4, 30])
def test_training_mode_is_an_error(batch_size):
    def in_batches(model, latents):
        parts = (latents[i : i + batch_size] for i in range(0, len(latents), batch_size))
        return np.concatenate([sampler(True)(model, part) for part in parts])

    with pytest.raises(ValueError, match=r"generated in inference mode \(training=False\)"):
        fit([callbacks.Evaluate(in_batches, LATENTS, extractor, REAL)], epochs=1)


def test_the_protocol_records_sampling_with_batch_statistics():
    class InBlocks(Dots):
        def sampling_protocol(self):
            return {"statistics": "batch of 30 chains"}

    def score(training):
        model, evaluate = (
            InBlocks(),
            callbacks.Evaluate(sampler(training), LATENTS, extractor, REAL),
        )
        model.compile(generator=keras.optimizers.Adam(0.1))
        model.fit(LATENTS, batch_size=10, verbose=0, callbacks=[evaluate])
        return evaluate.protocol["mode"]

    assert score(True) == "not inference mode: statistics of a batch of 30 chains"
    assert score(False) == "inference mode"


def test_unseeded_sampling_raises():
    def unseeded(model, latents):
        return np.random.randint(0, 256, (len(latents), 2, 2, 3), "uint8")

    with pytest.raises(ValueError, match="generated in inference mode"):
        fit([callbacks.Evaluate(unseeded, LATENTS, extractor, REAL)], epochs=1)


def test_invalid_scores_raise_before_training():
    for arguments, words in [
        ((None, ("fid",)), "fid compares the samples with a reference; received none"),
        (
            (REAL, ("kid",), 1, 32, {"subset_size": 31}),
            "subset_size of kid must be between 2 and the smaller number of images, 30",
        ),
        ((REAL, ("sfid",)), "sfid needs the feature maps of a convolutional network; function"),
        ((REAL, ("clip_score",)), "clip_score needs the captions of the samples"),
        ((REAL.astype("float32"), ("fid",)), "images must be uint8"),
        (
            (REAL[:4], ("prdc",), 1, 32, {"k": 4}),
            "prdc needs more than k = 4 samples and reference images; received 4",
        ),
        (
            (statistics(np.eye(9, 3)), ("prdc", "fid")),
            "prdc needs the features of the reference images; received statistics",
        ),
        ((statistics(np.eye(9, 3), {"network": "another"}), ("fid",)), "of one protocol"),
    ]:
        model = Dots()
        model.compile(generator=keras.optimizers.Adam(0.1))
        evaluate = callbacks.Evaluate(sampler(False), LATENTS, extractor, *arguments)
        with pytest.raises(ValueError, match=words):
            model.fit(LATENTS, verbose=0, callbacks=[evaluate])
        assert int(model.optimizer.iterations) == 0
    with pytest.raises(
        ValueError, match="latents must be at least 2, as many in each part; received \\[2, 30\\]"
    ):
        callbacks.Evaluate(sampler(False), (LATENTS, np.zeros(2)), extractor)


def test_any_score_during_fit_and_its_state(tmp_path):
    """A resumed run continues the history of scores."""
    keras.utils.set_random_seed(0)
    maps = keras.layers.Conv2D(3, 1)
    network = keras.Sequential(
        [keras.Input((2, 2, 3)), maps, keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    by = ClassifierFeatures(network)

    class Pair:
        def images(self, images):
            return images.reshape(len(images), -1)[:, :2] + 1.0

        def texts(self, captions):
            return np.array([[len(text), 1.0] for text in captions])

    fit_mean = lambda images, labels: lambda x: np.zeros(len(x), int)  # noqa: E731
    labels = np.arange(25) % 2
    options = {
        "captioned": Captioned(Pair(), ["a", "word"] * 15),
        "classification": Classification(
            fit_mean, np.arange(30) % 2, (REAL, labels), (REAL, labels)
        ),
        "resamples": 10,
    }
    names = ("fid", "kid", "sfid", "cmmd", "vendi", "authpct", "memorization", "fd_infinity")
    names += ("clip_score", "r_precision", "gan_train", "gan_test", "prdc", "is")

    def run(epochs):
        evaluate = callbacks.Evaluate(
            sampler(False), LATENTS, by, REAL, names, batch_size=8, options=options
        )
        saved = callbacks.Checkpoint(tmp_path, run="toy", dataset="dots", size=2)
        model = Dots()
        model.compile(generator=keras.optimizers.Adam(0.1))
        first = checkpoints.resume(tmp_path, model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Few images, as in all tests.
            logs = model.fit(
                LATENTS,
                batch_size=10,
                initial_epoch=first,
                epochs=epochs,
                verbose=0,
                callbacks=[evaluate, saved],
            ).history
        return evaluate, logs

    evaluate, logs = run(1)
    wanted = {
        "frechet_distance",
        "spatial_frechet_distance",
        "gaussian_kernel_distance",
        "vendi",
        "authpct",
        "recall",
    }
    wanted |= {"memorized", "frechet_distance_infinity", "clip_score_mean", "r_precision_mean"}
    assert wanted | {"gan_train", "gan_test", "classifier_score_mean"} <= set(logs)
    assert "intervals" not in logs and evaluate.history[0]["intervals"]["vendi"]
    resumed, _ = run(2)
    assert [each["epoch"] for each in resumed.history] == [1, 2]
    assert resumed.history[0]["vendi"] == evaluate.history[0]["vendi"]
