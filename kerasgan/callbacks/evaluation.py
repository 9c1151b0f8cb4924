"""Callbacks that evaluate the model every few epochs."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kerasgan.callbacks.intervals import check_interval, is_due
from kerasgan.datasets.image_source import image_source
from kerasgan.metrics.features.extract import UNKNOWN, Features, extract
from kerasgan.metrics.frechet import Statistics
from kerasgan.metrics.score_checks import (
    LIMITS,
    NEEDED,
    check_counts,
    check_features,
    check_inference_mode,
    check_inputs,
    count_images,
)
from kerasgan.metrics.scores import scores
from kerasgan.metrics.spatial import SpatialFeatures
from kerasgan.types import Logs


class Scores(keras.callbacks.Callback):
    """Calls a scoring function every few epochs and adds its values to the logs.

    Args:
        score: Callable that maps the model to a dictionary from name to float.
        every: Number of epochs between evaluations. The last epoch is always evaluated.
    """

    def __init__(self, score: Callable[[Any], dict[str, float]], every: int = 1):
        super().__init__()
        self.score, self.every = score, check_interval(every)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if is_due(self, epoch):
            logs.update({name: float(value) for name, value in self.score(self.model).items()})


class Evaluate(Scores):
    """Evaluates samples of fixed latents with `kerasgan.metrics` and adds the scores to the logs.

    `Checkpoint(monitor="frechet_inception_distance")` then keeps the best epoch.

    Each evaluation generates a few latents twice, in batches of different composition. If the
    images differ, the model is not in inference mode, and the callback raises an error. If the
    model has a `sampling_protocol()` (CoopNet does), this fact is recorded in the protocol instead.

    Args:
        sample: Callable that maps the model and rows of `latents` to images, uint8 RGB
            `[n, H, W, 3]`.
        latents: Array `[N, ...]` or a tuple of such arrays (noise, labels, embeddings), from which
            the images are generated. N must be at least 2.
        extractor: Feature extractor, see `kerasgan.metrics.features.extract`.
        reference: Real images as accepted by `image_source`, `Features` or `Statistics`. They are
            read once, when training begins.
        metrics: Names of metrics, see `kerasgan.metrics.scores`. Without a reference, only metrics
            that need none are accepted. "sfid" needs the reference as images.
        every: Number of epochs between evaluations. The last epoch is always evaluated.
        batch_size: Number of images generated at a time.
        options: Dictionary of further arguments of `kerasgan.metrics.scores.scores`, such as
            `subset_size`, `resamples`, `captioned` (for "clip_score" and "r_precision") or
            `classification` (for "gan_train" and "gan_test").

    Attributes:
        protocol: Dictionary that describes how the last scores were computed. `None` before the
            first evaluation.
        history: One dictionary per evaluation, with `epoch` (from 1), its scores and, with
            `resamples`, their `intervals`. Resume files contain it.

    Example:
        ```python
        latents = np.random.default_rng(0).normal(size=(5000, 100)).astype("float32")
        sample = lambda gan, z: images.to_uint8(gan.generator.predict(z, verbose=0))
        Evaluate(sample, latents, Inception(), reference="photos/", metrics=("fid",), every=10)
        ```
    """

    def __init__(
        self,
        sample: Callable[[Any, Any], np.ndarray],
        latents: np.ndarray | tuple[np.ndarray, ...],
        extractor: Any,
        reference: Any = None,
        metrics: Sequence[str] = ("fid",),
        every: int = 1,
        batch_size: int = 32,
        options: dict | None = None,
    ):
        super().__init__(self._evaluate, every)
        self.latents = latents if isinstance(latents, tuple) else (latents,)
        counts = {len(part) for part in self.latents}
        if len(counts) != 1 or min(counts) < 2:
            raise ValueError(
                f"latents must be at least 2, as many in each part; received {sorted(counts)}"
            )
        self.sample, self.extractor, self.reference = sample, extractor, reference
        self.metrics, self.batch_size = tuple(metrics), batch_size
        self.options, self.protocol = dict(options or {}), None
        self.history: list[dict[str, Any]] = []
        self._spatial: tuple[Any, Any] | None = None  # Extractor and reference of "sfid".

    def on_train_begin(self, logs: Logs = None) -> None:
        count = len(self.latents[0])
        limits = {name: self.options[name] for name in LIMITS if name in self.options}
        check_counts(self.metrics, count, 0 if self.reference is None else None, **limits)
        given = {argument: self.options.get(argument) for argument, _ in NEEDED.values()}
        check_inputs(self.metrics, given | {"images": True, "spatial": True})
        images = self.reference
        spatial = SpatialFeatures(self.extractor) if "sfid" in self.metrics else None
        if self.reference is not None and not isinstance(self.reference, (Features, Statistics)):
            self.reference = extract(
                self.reference, self.extractor, self.batch_size, progress=False
            )
        if spatial is not None and self._spatial is None:
            if images is self.reference:
                raise ValueError(
                    f"sfid needs the reference as images; received {type(images).__name__}"
                )
            self._spatial = spatial, extract(images, spatial, self.batch_size, progress=False)
        check_counts(self.metrics, count, count_images(self.reference), **limits)
        about = getattr(self.extractor, "protocol", UNKNOWN)
        check_features(self.metrics, about, getattr(self.extractor, "logits", True), self.reference)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if is_due(self, epoch):
            values = self._evaluate(self.model)
            self.history.append({"epoch": epoch + 1} | values)
            values.pop("intervals", None)
            logs.update({name: float(value) for name, value in values.items()})

    def get_state(self) -> dict:
        return {"protocol": self.protocol, "history": self.history}

    def set_state(self, state: dict) -> None:
        self.protocol = state["protocol"]
        self.history = list(state.get("history", []))  # Files of earlier versions have none.

    def _evaluate(self, model):
        count, size = len(self.latents[0]), self.batch_size

        def generate(rows):
            parts = tuple(part[rows] for part in self.latents)
            return np.asarray(self.sample(model, parts if len(parts) > 1 else parts[0]))

        few = np.arange(min(8, count))
        mode = "inference mode"
        try:
            # The same latents, alone and in reverse order behind copies of another one.
            check_inference_mode(generate(few), generate(np.array([0, 0, 0, *few[::-1]]))[:2:-1])
        except ValueError:
            if not (protocol := model.sampling_protocol()):
                raise
            mode = f"not inference mode: statistics of a {protocol['statistics']}"
        samples = image_source(
            lambda: (generate(slice(i, i + size)) for i in range(0, count, size)), count=count
        )
        features, options = extract(samples, self.extractor, size, progress=False), self.options
        if self._spatial is not None:
            spatial, real = self._spatial
            options = options | {"spatial": (extract(samples, spatial, size, progress=False), real)}
        values = scores(features, self.reference, self.metrics, images=samples, **options)
        self.protocol = values.pop("protocol") | {"mode": mode}
        return values
