"""`fit`, `evaluate` and the calls on one batch: checked data, several devices, resumed epochs.

`AdversarialModel` contributes the training steps; this module contributes what surrounds them.
"""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from kerasgan import backend, data_spec, distribution
from kerasgan.datasets.checked import Checked
from kerasgan.datasets.remaining import RemainingBatches
from kerasgan.ops import replicas


class CheckedFit(keras.Model):
    """Base of `AdversarialModel` with `fit`, `evaluate`, `train_on_batch` and `test_on_batch`.

    They check the data by `data_spec()`, restore the weights if the data fail, divide each batch
    among devices and continue a resumed run within its epoch.

    Attributes:
        not_loaded: Names of the networks whose weights are untrained because no file contained
            them.
        resumed: Place within an epoch where the next `fit` starts, or `None`.
    """

    not_loaded: tuple[str, ...] = ()
    resumed: Any = None

    def data_spec(self) -> data_spec.DataSpec | None:
        """Returns the `kerasgan.data_spec.DataSpec` of the data, or `None` for no checks."""
        return None

    def direction(self, name: str) -> str | None:
        """Returns `"min"` or `"max"`, the direction in which a metric improves, or `None`."""
        return None

    def check_arrays(self, x: np.ndarray, y: Any, batch_size: int | None) -> None:
        """Raises a `ValueError` if `fit` cannot train on these NumPy arrays. Models override it."""

    def make_train_function(self, force: bool = False) -> Callable:
        """Warns once about untrained networks, then builds the training function as Keras does."""
        if self.not_loaded:
            named = ", ".join(self.not_loaded)
            self.not_loaded = ()  # they learn now
            warnings.warn(
                f"training begins with untrained weights of {named}: the files that this "
                f"{type(self).__name__} was loaded from do not hold them",
                stacklevel=3,
            )
        return self._divided("train_function", super().make_train_function, force)

    def make_test_function(self, force: bool = False) -> Callable:
        return self._divided("test_function", super().make_test_function, force)

    def _divided(self, name, make, force):
        before = getattr(self, name)
        make(force)
        if getattr(self, name) is not before:
            setattr(self, name, distribution.divided(getattr(self, name)))
        return getattr(self, name)

    @property
    def distribute_strategy(self) -> Any:
        """TensorFlow's distribution strategy, without tuning of `tf.data` on a single device."""
        return backend.without_autotune(super().distribute_strategy)

    def fit(
        self, x: Any = None, y: Any = None, *, callbacks: Any = None, **arguments: Any
    ) -> keras.callbacks.History:
        """Trains the model, as `keras.Model.fit` does.

        Data are checked before the first step. A data set with a method `set_epoch` gets the number
        of each epoch, so that a resumed run gets the same batches as an uninterrupted one.

        Raises:
            ConnectionError: If another process of the same training ended.
        """
        self._refuse_weights("fit", arguments)
        batch_size = arguments.get("batch_size")
        if isinstance(x, np.ndarray):
            self.check_arrays(x, y, batch_size)
        self._tell_directions(callbacks)
        if hasattr(x, "set_epoch") and not isinstance(callbacks, keras.callbacks.CallbackList):
            told = keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs, data=x: data.set_epoch(epoch)
            )
            # Keras would shuffle the batches again, in an order that does not depend on the epoch.
            arguments["shuffle"] = False
            callbacks = [told, *keras.tree.flatten(callbacks or [])]
        siblings = keras.tree.flatten(getattr(callbacks, "callbacks", callbacks) or [])
        checkpoints = [callback for callback in siblings if hasattr(callback, "siblings")]
        resumed, start = self.resumed, 0
        if resumed is not None and resumed.epoch == arguments.get("initial_epoch", 0):
            start = resumed.batch
        for checkpoint in checkpoints:  # a `callbacks.Checkpoint` saves the state of the others too
            checkpoint.siblings, checkpoint.initial_epoch = (
                siblings,
                arguments.get("initial_epoch", 0),
            )
            checkpoint.within_epochs = (
                isinstance(x, keras.utils.PyDataset) and x.num_batches is not None
            )
        try:
            return self._fit_checked(x, y, callbacks, start, **arguments)
        except Exception as error:
            if distribution.processes()[1] > 1 and backend.lost_connection(error):
                raise ConnectionError(
                    "the connection to another process was lost; training can resume after the "
                    "last checkpoint"
                ) from None
            raise
        finally:
            self.resumed = None
            for checkpoint in checkpoints:
                checkpoint.release()

    def _fit_checked(self, x, y, callbacks, start, **arguments):
        with self._checked_data() as checked:
            held = arguments.get("validation_data")
            if held is not None:
                arguments["validation_data"] = (
                    checked(*held)
                    if isinstance(held, (tuple, list))
                    else distribution.shard(checked(held)[0])
                )
            split = arguments.get("validation_split", 0.0) if held is None else 0.0
            x, y = checked(x, y, training=True, batches=(arguments.get("batch_size"), split))
            x = distribution.shard(x)
            distribution.synchronize(self)
            if not start:
                return super().fit(x, y, callbacks=callbacks, **arguments)
            # Keras cannot start within an epoch: one `fit` for the rest of it, one for the others.
            epoch, epochs = arguments.pop("initial_epoch", 0), arguments.pop("epochs", 1)
            callbacks = _JoinedCallbacks(
                callbacks,
                add_history=True,
                add_progbar=arguments.get("verbose", "auto") != 0,
                model=self,
                verbose=arguments.get("verbose", "auto"),
                epochs=epochs,
                steps=x.num_batches,
            )
            rest = RemainingBatches(x, start)
            callbacks.last = epoch + 1 == epochs
            history = super().fit(
                rest, y, callbacks=callbacks, initial_epoch=epoch, epochs=epoch + 1, **arguments
            )
            if callbacks.last:
                return history
            callbacks.last = True
            if self.stop_training:
                callbacks.on_train_end()
                return history
            return super().fit(
                x, y, callbacks=callbacks, initial_epoch=epoch + 1, epochs=epochs, **arguments
            )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        **arguments: Any,
    ) -> Any:
        """Evaluates the model, as `keras.Model.evaluate` does. Data are checked as in `fit`."""
        arguments |= {"batch_size": batch_size, "verbose": verbose, "sample_weight": sample_weight}
        if arguments.get("_use_cached_eval_dataset"):  # by `fit`, which has checked them
            return super().evaluate(x, y, **arguments)
        third = self._third(arguments)
        self._refuse_weights("evaluate", arguments)
        with self._checked_data() as checked:
            x, y, *third = checked(x, y, *third)
            x = distribution.shard(x)
            if third:
                arguments["sample_weight"] = third[0]
            return super().evaluate(x, y, **arguments)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Trains on one batch, as Keras does. Data are checked as in `fit`."""
        weights: dict[str, Any] = {"sample_weight": sample_weight, "class_weight": class_weight}
        third = self._third(weights)
        self._refuse_weights("train_on_batch", weights)
        with self._checked_data() as checked:
            return super().train_on_batch(
                *checked(x, y, *third, training=True), **weights, return_dict=return_dict
            )

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Tests on one batch, as Keras does. Data are checked as in `fit`."""
        weights: dict[str, Any] = {"sample_weight": sample_weight}
        third = self._third(weights)
        self._refuse_weights("test_on_batch", weights)
        with self._checked_data() as checked:
            return super().test_on_batch(*checked(x, y, *third), **weights, return_dict=return_dict)

    def _third(self, arguments):
        """Removes the third part of a batch, Keras' `sample_weight`, from `arguments`."""
        spec = self.data_spec()
        return [arguments.pop("sample_weight")] if spec is not None and len(spec.parts) == 3 else []

    def _refuse_weights(self, call, arguments):
        given = [
            name for name in ("class_weight", "sample_weight") if arguments.get(name) is not None
        ]
        if given and self.data_spec() is not None:
            raise ValueError(
                f"{call} of a {type(self).__name__} takes no weights of its data; received "
                f"{given[0]}"
            )

    @contextlib.contextmanager
    def _checked_data(self) -> Iterator[Callable]:
        """Yields a function that checks data. A failure on the data restores the weights."""
        spec = self.data_spec()
        watching: list[Checked] = []

        def checked(*data, training=False, batches=None):
            if spec is None:
                return data
            watching.append(Checked(functools.partial(spec.check, training=training)))
            wrapped = watching[-1].wrap(data[0])
            if wrapped is not None:
                if hasattr(data[0], "element_spec"):  # of `tf.data`: known before the first step
                    spec.check_traced(data[0].element_spec, training)
                return wrapped, *data[1:]
            data = tuple(_array_of_numbers(x) for x in data)
            data = spec.check(data, training)
            if batches:
                batch_size, split = batches
                count = len(keras.tree.flatten(data)[0])
                spec.check_split(int(count * (1 - split)), batch_size)
            return data

        with backend.restored_on_failure(self):
            try:
                yield checked
            except Exception as error:
                for one in watching:
                    if one.error is not None and one.error is not error:
                        raise one.error from None
                raise

    def _tell_directions(self, callbacks):
        """Sets the direction of callbacks with `mode="auto"`; Keras would guess from the name."""
        callbacks = getattr(callbacks, "callbacks", callbacks)
        for callback in keras.tree.flatten(callbacks or []):
            if getattr(callback, "mode", None) == "auto" and self.direction(
                getattr(callback, "monitor", "")
            ):
                callback.mode, callback.monitor_op = self.direction(callback.monitor), None


class _JoinedCallbacks(keras.callbacks.CallbackList):
    """Callbacks of two `fit` calls that are one training.

    Attributes:
        last: Whether the running `fit` is the last one, after which the training ends.
    """

    last = False
    _begun = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        if not self._begun:
            self._begun = True
            super().on_train_begin(logs)

    def on_train_end(self, logs: dict | None = None) -> None:
        if self.last:
            super().on_train_end(logs)


def _array_of_numbers(x):
    """Converts a list or tuple of numbers, such as labels, to an array."""
    if isinstance(x, (list, tuple)) and x and all(map(np.isscalar, keras.tree.flatten(x))):
        return np.asarray(x)
    return x


def step_with_equal_averages(step: Callable) -> Callable:
    """Wraps a training step: afterwards, the moving statistics are equal on all replicas.

    With batch statistics per device, each replica moves them by its own batch. `report` averages
    them in its own exchange. Another one is needed only if `report` was not called, or if a network
    has moved its statistics after it.
    """

    @functools.wraps(step)
    def complete(self, data):
        replicas.moving_statistics.differ = replicas.device_statistics()
        logs = step(self, data)
        mean_with_statistics(self, [])
        return logs

    return complete


def mean_with_statistics(model: keras.Model, values: Sequence) -> list:
    """Returns the means of values over the replicas, with one exchange.

    The same exchange averages the moving statistics of a model if they may differ.

    Args:
        model: The model whose step runs.
        values: List of tensors.
    """
    moving = []
    if replicas.moving_statistics.differ and replicas.count() > 1:
        moving = [
            average
            for layer in model._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization)
            for average in (layer.moving_mean, layer.moving_variance)
        ]
    replicas.moving_statistics.differ = False
    means = replicas.mean([*values, *moving])
    for average, value in zip(moving, means[len(values) :], strict=True):
        average.assign(value)
    return means[: len(values)]


def checked_step(step: Callable, training: bool) -> Callable:
    """Wraps a step with a check of the shapes and dtypes of its data when it is traced."""

    @functools.wraps(step)
    def checked(self, data):
        spec = self.data_spec()
        if spec is not None:
            spec.check_traced(data, training, replicas.count())
        return step(self, data)

    return checked
