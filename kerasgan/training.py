"""Adversarial training in Keras' own `fit`: one `train_step`, several players, three backends.

Plain Keras 3 gives `train_step` a different signature on JAX than on TensorFlow and PyTorch, and
its JAX trainer supports one optimizer. A subclass of `AdversarialModel` writes

    class MyGAN(AdversarialModel):
        players = ("generator", "discriminator")

        def train_step(self, data):
            d_loss = self.minimize("discriminator", lambda: ...)
            g_loss = self.minimize("generator", lambda: ...)
            return self.report(discriminator_loss=d_loss, generator_loss=g_loss)

once, with `keras.ops`, and is compiled with one optimizer per player. The guide "Writing a new GAN"
in `docs/guides/new_gan.md` contains a complete example.
"""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan import backend, data_spec, distribution, ema
from kerasgan.compatibility import (
    RenamedArguments,
    accept_earlier_attributes,
    forget_earlier_attributes,
)
from kerasgan.datasets.checked import Checked
from kerasgan.datasets.remaining import RemainingBatches
from kerasgan.io import presets
from kerasgan.io.export import ExportableModel
from kerasgan.ops import replicas
from kerasgan.ops.precision import full_precision
from kerasgan.sampling import SamplingInterface
from kerasgan.types import Tensor

Player = str | Sequence[str]
"""Name of a player, or a tuple of names that share a loss."""


@keras.saving.register_keras_serializable("kerasgan")
class PlayerOptimizers(keras.optimizers.Optimizer):
    """Wraps one optimizer per player as a single Keras optimizer, `model.optimizer`.

    Keras' JAX trainer, `save_weights`, `.keras` files and `BackupAndRestore` access the variables
    of all players' optimizers through it. `model.optimizer["generator"]` is the optimizer of one
    player.

    Args:
        optimizers: Dict from player name to a `keras.optimizers.Optimizer`. Each must be a separate
            object.
    """

    # Keras' TensorBoard callback logs the learning rate of `inner_optimizer`; there is no single
    # one.
    inner_optimizer = None

    def __init__(
        self, optimizers: Mapping[str, keras.optimizers.Optimizer], name: str = "player_optimizers"
    ):
        super().__init__(learning_rate=0.0, name=name)
        self._players = tuple(optimizers)
        for player, optimizer in optimizers.items():
            # Keras' saving walks the attributes, so that paths in a file begin with the player.
            setattr(self, player, optimizer)

    def __getitem__(self, player: str) -> keras.optimizers.Optimizer:
        if player not in self._players:
            raise ValueError(
                f"an optimizer is named by its player, one of {list(self._players)}; received "
                f"{player!r}"
            )
        return getattr(self, player)

    @property
    def variables(self) -> list[keras.Variable]:
        return [v for player in self._players for v in self[player].variables]

    @property
    def iterations(self) -> keras.Variable:
        """Number of updates of the first player, which is the generator in a GAN."""
        return self[self._players[0]].iterations

    @property
    def learning_rate(self) -> float:
        raise self._no_common_rate()

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        raise self._no_common_rate()

    def _no_common_rate(self):
        return ValueError(
            f"a learning rate belongs to a player, one of {list(self._players)}: use "
            "kerasgan.callbacks.LearningRateScheduler(player, schedule) or "
            "model.optimizer[player].learning_rate; received no player"
        )

    def build(self, variables: Mapping[str, list[keras.Variable]]) -> None:
        """Builds the optimizers.

        Args:
            variables: Dict from player name to the list of its trainable variables.
        """
        self._owned = variables
        for player, owned in variables.items():
            if not self[player].built:
                self[player].build(owned)
        self.built = True

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        raise ValueError(
            "gradients belong to a player; use model.minimize(player, loss) or "
            "model.apply_gradients"
        )

    def finalize_variable_values(self, var_list: Any) -> None:
        for player, owned in self._owned.items():
            # The moving average of an optimizer covers the variables of its own player only.
            self[player].finalize_variable_values(owned)

    def save_own_variables(self, store: dict) -> None:
        pass  # the players' optimizers save theirs

    def load_own_variables(self, store: dict) -> None:
        pass

    def get_config(self) -> dict:
        return {
            "optimizers": {p: keras.saving.serialize_keras_object(self[p]) for p in self._players},
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "PlayerOptimizers":
        optimizers = {
            p: keras.saving.deserialize_keras_object(c) for p, c in config["optimizers"].items()
        }
        return cls(optimizers, config["name"])


class _Presets:
    """Class property: the shipped presets of a model class, from name to description."""

    def __get__(self, model: Any, cls: type) -> dict[str, str]:
        return presets.descriptions(None if cls is AdversarialModel else cls.__name__)


class AdversarialModel(RenamedArguments, SamplingInterface, ExportableModel):
    """Base class of models with several players, each with its networks, loss and optimizer.

    A subclass names its `players`, builds their networks in `__init__` as attributes of the same
    names, and overrides `train_step(self, data)`. `evaluate` also needs `test_step(self, data)`.
    `data` is one batch of the data set: a tensor, or a tuple without trailing `None`s.

    Give dropout layers a `seed`. Without one, Keras on PyTorch uses a global generator whose state
    no checkpoint contains.

    Attributes:
        players: Names of the players. Updates of the first one count as iterations.
        conditioning: Kind of input that a sample is generated from: `"labels"`, `"captions"`, or
            `None`.
        sampling_networks: Names of the networks that `sample` needs, keys of
            `checkpoint_networks()`. Presets store only these. The network that produces images is
            named `"generator"` in every model.
        sample_options: Names of further arguments of `sample` that the command line offers.
        evaluation_protocol: Name of the module of `kerasgan.metrics.protocols` whose evaluation
            classifier scores the samples, `"digits"` or `"birds"`, or `None`.
        ema_networks: Dict from the attribute of each EMA copy to the attribute of its network.
        not_loaded: Names of the networks whose weights are untrained because no file contained
            them.
        reports: Names of the scalars that `report` accepts. Defaults to `<player>_loss`.
        higher_is_better: Names in `reports` that training should increase. Names that end in
            "accuracy" are included automatically.
    """

    presets = _Presets()
    players: tuple[str, ...] = ("generator", "discriminator")
    conditioning: str | None = None
    sampling_networks: tuple[str, ...] = ("generator",)
    sample_options: tuple[str, ...] = ()
    evaluation_protocol: str | None = None
    ema_networks: Mapping[str, str] = {}
    renamed_attributes = {"averaged": "ema_generator", "averaged_encoder": "ema_encoder"}
    not_loaded: tuple[str, ...] = ()
    resumed: Any = None
    reports: tuple[str, ...] | None = None
    higher_is_better: tuple[str, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("train_step", "test_step"):
            if name in vars(cls):
                setattr(
                    cls, name, backend.step(_checked_step(vars(cls)[name], name == "train_step"))
                )

    def __init__(self, name: str | None = None):
        super().__init__(name=name)
        names = self.reports or tuple(f"{player}_loss" for player in self.players)
        self._reported = {name: keras.metrics.Mean(name) for name in names}

    # === What a player owns ===

    def player_layers(self, player: str) -> list[keras.layers.Layer]:
        """Returns the layers whose trainable variables a player owns.

        Override this method if a player owns something else than the attribute of its name.
        """
        layers = getattr(self, player)
        if isinstance(layers, dict):
            return list(layers.values())
        return list(layers) if isinstance(layers, (list, tuple)) else [layers]

    def player_variables(self, player: Player) -> list[keras.Variable]:
        """Returns the trainable variables of a player or a tuple of players, in a fixed order."""
        names = (player,) if isinstance(player, str) else player
        unknown = [name for name in names if name not in self.players]
        if unknown:
            raise ValueError(f"a player is one of {list(self.players)}; received {unknown[0]!r}")
        return [
            v
            for name in names
            for layer in self.player_layers(name)
            for v in layer.trainable_variables
        ]

    # === Keras' compile, one optimizer a player ===

    def compile(
        self,
        *,
        run_eagerly: bool = False,
        jit_compile: bool | str = "auto",
        steps_per_execution: int = 1,
        auto_scale_loss: bool = True,
        **optimizers: Any,
    ) -> None:
        """Assigns an optimizer to each player.

        Args:
            run_eagerly, jit_compile, steps_per_execution, auto_scale_loss: As in
                `keras.Model.compile`. `jit_compile="auto"` does not use XLA for TensorFlow on CPUs,
                where it is 4 to 5 times slower.
            **optimizers: One optimizer for each name in `players`: an object, a Keras name or a
                config.

        Raises:
            ValueError: If a player is missing or unknown, if two players share an optimizer object,
                or if the backend does not train convolutions of a layer's data type on this device
                (PyTorch on a CPU: float16, and bfloat16 without AVX-512).
        """
        if set(optimizers) != set(self.players):
            raise ValueError(
                f"compile takes one optimizer for each player, {list(self.players)}; received "
                f"{sorted(optimizers)}"
            )
        unbuilt = [
            layer.name for p in self.players for layer in self.player_layers(p) if not layer.built
        ]
        if unbuilt:
            raise ValueError(
                "networks must be built before compile (give them an Input); received unbuilt "
                f"{unbuilt}"
            )
        optimizers = {player: keras.optimizers.get(optimizers[player]) for player in self.players}
        if len({id(o) for o in optimizers.values()}) < len(optimizers):
            raise ValueError(
                "each player needs an optimizer object of its own; received one object twice"
            )
        self._compile_arguments = {
            "run_eagerly": run_eagerly,
            "jit_compile": jit_compile,
            "steps_per_execution": steps_per_execution,
            "auto_scale_loss": auto_scale_loss,
        }
        self._check_convolutions()
        half = [layer for layer in self._player_layers() if layer.compute_dtype == "float16"]
        if auto_scale_loss and half:
            wrap = keras.optimizers.LossScaleOptimizer
            optimizers = {p: o if isinstance(o, wrap) else wrap(o) for p, o in optimizers.items()}
        group = PlayerOptimizers(optimizers)
        group.build({player: self.player_variables(player) for player in self.players})
        super().compile(
            optimizer=group,
            loss=None,
            run_eagerly=run_eagerly,
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
            auto_scale_loss=False,
        )
        self._loss_tracker = None  # Keras' one loss; ours are in `report`
        self.built = True

    def _player_layers(self):
        """Returns all layers of all players.

        A loaded model keeps the dtype policies of its layers but not its own policy.
        """
        networks = [network for player in self.players for network in self.player_layers(player)]
        return [layer for network in networks for layer in network._flatten_layers()]

    def _check_convolutions(self):
        for layer in self._player_layers():
            dtype = layer.compute_dtype
            if "Conv" not in type(layer).__name__ or backend.trains_convolutions(dtype):
                continue
            others = ["mixed_bfloat16"] if backend.trains_convolutions("bfloat16") else []
            raise ValueError(
                f"PyTorch does not train {dtype} convolutions on this CPU: use the policy "
                f"{' or '.join([*others, 'float32'])}, or a GPU; received {dtype} layers such as "
                f"{layer.name}"
            )

    def get_compile_config(self) -> dict:
        if not self.compiled:
            return {}
        optimizers = {
            p: keras.saving.serialize_keras_object(self.optimizer[p]) for p in self.players
        }
        return self._compile_arguments | optimizers

    def compile_from_config(self, config: dict) -> None:
        optimizers = {p: keras.saving.deserialize_keras_object(config[p]) for p in self.players}
        self.compile(**(config | optimizers))

    # === Files ===

    def copies_of(self, network: keras.Model) -> list[keras.Model]:
        """Returns a network together with its EMA copy, or an EMA copy with its network."""
        for average, trained in self.ema_networks.items():
            pair = [getattr(self, trained), getattr(self, average)]
            if any(each is network for each in pair):
                return [each for each in pair if each is not None]
        return [network]

    def _seed_states(self):
        return [v for v in self.variables if v.name == "seed_generator_state"]

    def save_own_variables(self, store: dict) -> None:
        """Saves the states of all seed generators in addition to Keras' variables.

        Keras leaves them out of its files. Without them a resumed run would repeat its first noise.
        """
        forget_earlier_attributes(self)
        super().save_own_variables(store)
        for index, state in enumerate(self._seed_states()):
            store[f"seed_{index}"] = state

    def load_own_variables(self, store: dict) -> None:
        self.not_loaded = ()
        accept_earlier_attributes(self, store)
        super().load_own_variables(
            {key: store[key] for key in store.keys() if not key.startswith("seed_")}
        )
        for index, state in enumerate(self._seed_states()):
            # The dtype of a seed state differs between backends.
            state.assign(np.asarray(store[f"seed_{index}"]).astype(state.dtype))

    # === What a train_step is written with ===

    def minimize(self, player: Player, loss_fn: Callable[[], Any]) -> Any:
        """Performs one optimizer step of a player on the loss `loss_fn()`.

        The variables of other players do not change.

        Args:
            player: Name of a player, or a tuple of names that share the loss. Each uses its own
                optimizer.
            loss_fn: Function without arguments that returns a scalar loss, or a tuple `(loss,
                extras)`. On several devices, the mean of their losses is minimized.

        Returns:
            The result of `loss_fn()`.
        """
        names = (player,) if isinstance(player, str) else tuple(player)
        variables = self.player_variables(names)
        if not variables:  # frozen
            return full_precision(loss_fn())
        outputs, gradients = backend.value_and_gradients(
            self._objective(names[0], loss_fn), variables
        )
        self.apply_gradients(names, gradients)
        return outputs

    def minimize_sum(self, player: str, loss_fns: Sequence[Callable[[], Any]]) -> list[Any]:
        """Performs one optimizer step of a player on the sum of several losses.

        The gradients of one loss are computed before the next loss, so that the activations of two
        losses are never in memory together.

        Args:
            player: Name of a player.
            loss_fns: List of functions as in `minimize`.

        Returns:
            List of the results of `loss_fns`.
        """
        variables = self.player_variables(player)
        if not variables:
            return [full_precision(loss_fn()) for loss_fn in loss_fns]
        objectives = [self._objective(player, loss_fn) for loss_fn in loss_fns]
        outputs, gradients = backend.value_and_gradients_of_sum(objectives, variables)
        self.apply_gradients(player, gradients)
        return outputs

    def _objective(self, player, loss_fn):
        """Returns a function of no arguments: the scaled loss, and the result of `loss_fn()`."""

        def objective():
            outputs = full_precision(loss_fn())
            return self._scaled(
                player, outputs[0] if isinstance(outputs, tuple) else outputs
            ), outputs

        return objective

    def vjp(
        self, player: Player, fn: Callable[[], Any]
    ) -> tuple[Any, Callable[[Any], list[Tensor]]]:
        """Evaluates `fn()` and returns its vector-Jacobian product function.

        One forward pass of a player can thus serve two phases of a training step: the discriminator
        trains on the outputs, and the generator's gradients follow from the gradient of its loss
        with respect to the same outputs.

        Args:
            player: Name of a player, or a tuple of names.
            fn: Function without arguments that returns a tensor or a nested structure of tensors.

        Returns:
            Tuple `(outputs, vjp_fn)`. `outputs` are constants for all other players.
            `vjp_fn(cotangents)` takes d loss / d outputs in the structure of `outputs` and returns
            the gradients for `apply_gradients(player, gradients)`.
        """
        first = player if isinstance(player, str) else player[0]
        outputs, pullback = backend.vjp(lambda: full_precision(fn()), self.player_variables(player))

        def vjp_fn(cotangents):
            return pullback(keras.tree.map_structure(lambda c: self._scaled(first, c), cotangents))

        return outputs, vjp_fn

    def apply_gradients(self, player: Player, gradients: Sequence[Tensor]) -> None:
        """Performs one optimizer step with gradients from the `vjp_fn` of `vjp`.

        Args:
            player: Name of a player, or the tuple of names that was given to `vjp`.
            gradients: List of gradients.
        """
        names = (player,) if isinstance(player, str) else tuple(player)
        gradients = replicas.mean(list(gradients))
        for name in names:
            variables = self.player_variables(name)
            if not variables:
                continue
            own, gradients = gradients[: len(variables)], gradients[len(variables) :]
            if name != names[0]:
                # The loss carries the first player's scale; each optimizer removes its own.
                ratio = self._scaled(name, 1.0) / self._scaled(names[0], 1.0)
                own = [g * ops.cast(ratio, g.dtype) for g in own]
            backend.apply(self.optimizer[name], own, variables)

    def _scaled(self, player, value):
        """Returns the value times the loss scale, which keeps float16 gradients from underflow."""
        value = ops.convert_to_tensor(value)
        return ops.cast(self.optimizer[player].scale_loss(value), value.dtype)

    def input_gradient(self, fn: Callable[[Any], Any], x: Any, player: str | None = None) -> Any:
        """Returns d sum(fn(x)) / dx, with the shape of `x`.

        The result is differentiable, so it can be part of a penalty (R1) or of a Langevin step.

        Args:
            fn: Function of one tensor.
            x: Tensor, or list of tensors.
            player: See `value_and_input_gradient`.
        """
        return self.value_and_input_gradient(fn, x, player)[1]

    def value_and_input_gradient(
        self, fn: Callable[[Any], Any], x: Any, player: str | None = None
    ) -> tuple[Any, Any]:
        """Returns `fn(x)` and d sum(value) / dx from one forward pass.

        Args:
            fn: Function of one tensor that returns a value or a tuple `(value, extras)`.
            x: Tensor, or list of tensors.
            player: Player whose loss contains the gradient. Under float16 the backward pass is
                scaled by that player's loss scale, at most 128, and the result is divided by it.
                Small gradients would underflow otherwise.
        """
        scale = self._scale(player)
        if scale is None:
            return backend.value_and_input_gradient(lambda x: full_precision(fn(x)), x)

        def scaled(x):
            outputs = full_precision(fn(x))
            value = outputs[0] if isinstance(outputs, tuple) else outputs
            return value * ops.cast(scale, value.dtype), outputs

        (_, outputs), gradient = backend.value_and_input_gradient(scaled, x)
        return outputs, keras.tree.map_structure(lambda g: full_precision(g) / scale, gradient)

    def _scale(self, player):
        """Returns the loss scale of a player's optimizer, or `None` without loss scaling."""
        optimizer = self.optimizer[player] if player and self.compiled else None
        scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if not scales:
            return None
        # The loss scale starts at 2^15, which would overflow the large gradients of path lengths.
        return ops.minimum(ops.convert_to_tensor(optimizer.scale_loss(1.0), "float32"), 128.0)

    def frozen_moving_statistics(self, fn: Callable[[], Any]) -> Any:
        """Calls `fn()` with batch normalization that does not update its moving statistics.

        The batch statistics normalize as in training.
        """
        return backend.frozen_moving_statistics(fn)

    def regularization_due(self, every: int, player: str) -> Tensor:
        """Returns whether `lazy_regularization` evaluates its function, a boolean scalar.

        Call it before the update of the player. `report` takes it as the weight of a penalty.

        Args:
            every: Number of updates between evaluations.
            player: Name of the player whose updates are counted.
        """
        return ops.equal(ops.mod(self.optimizer[player].iterations, every), 0)

    def lazy_regularization(self, every: int, player: str, fn: Callable[[], Tensor]) -> Tensor:
        """Returns `fn()` in every `every`-th update of a player, and 0.0 otherwise.

        Args:
            every: Number of updates between evaluations. The first update evaluates `fn`.
            player: Name of the player whose updates are counted.
            fn: Function without arguments that returns a scalar penalty.

        Reference:
            Karras et al., 2019, https://arxiv.org/abs/1912.04958, appendix B.
        """
        return backend.cond(
            self.regularization_due(every, player),
            lambda: ops.cast(fn(), "float32"),
            lambda: ops.zeros((), "float32"),
        )

    def update_ema(self, ema_network: keras.Model, network: keras.Model, ema_decay: float) -> None:
        """Moves the moving average `ema_network` towards `network`; see `kerasgan.ema.update_ema`.

        Args:
            ema_network: Copy made by `kerasgan.ema.ema_copy`.
            network: Network in training.
            ema_decay: Final decay, in [0, 1). It grows from 0.1 with the updates of the first
                player.
        """
        ema.update_ema(ema_network, network, ema_decay, self.optimizer.iterations)

    def report(self, **values: Any) -> dict[str, Tensor]:
        """Adds scalars to the running means of the epoch and returns the means as logs.

        On several devices, the scalars are averaged over the devices first.

        `train_step` and `test_step` return the result.

        Args:
            **values: A scalar for each name, or a pair `(scalar, computed)`. The mean is over the
                steps where the boolean `computed` is true, such as those with a lazily computed
                penalty. It is 0 in an epoch without such a step.
        """
        unknown = set(values) - set(self._reported)
        if unknown:
            raise ValueError(
                f"report takes the names in the class attribute `reports`, "
                f"{list(self._reported)}; received {sorted(unknown)}"
            )
        pairs = [value if isinstance(value, tuple) else (value, None) for value in values.values()]
        means = replicas.mean([ops.cast(value, "float32") for value, _ in pairs])
        for name, value, (_, computed) in zip(values, means, pairs, strict=True):
            weight = None if computed is None else ops.cast(computed, "float32")
            self._reported[name].update_state(value, sample_weight=weight)
        return {name: self._reported[name].result() for name in values}

    @backend.step
    def test_step(self, data: Any) -> dict[str, Tensor]:
        """Evaluates one batch and returns `report(...)`. Models with `evaluate` override it."""
        raise NotImplementedError(
            f"evaluate needs {type(self).__name__}.test_step(data), written like train_step"
        )

    # === fit ===

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
        of each epoch, so that a resumed run sees the same batches as an uninterrupted one.

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

    def data_spec(self) -> data_spec.DataSpec | None:
        """Returns the `kerasgan.data_spec.DataSpec` of the data, or `None` for no checks."""
        return None

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

    def direction(self, name: str) -> str | None:
        """Returns `"min"` or `"max"`, the direction in which a metric improves, or `None`."""
        name = name.removeprefix("val_")
        if name not in self._reported:
            return None
        return "max" if name in self.higher_is_better or name.endswith("accuracy") else "min"

    def _tell_directions(self, callbacks):
        """Sets the direction of callbacks with `mode="auto"`; Keras would guess from the name."""
        callbacks = getattr(callbacks, "callbacks", callbacks)
        for callback in keras.tree.flatten(callbacks or []):
            if getattr(callback, "mode", None) == "auto" and self.direction(
                getattr(callback, "monitor", "")
            ):
                callback.mode, callback.monitor_op = self.direction(callback.monitor), None

    def check_arrays(self, x: np.ndarray, y: Any, batch_size: int | None) -> None:
        """Raises a `ValueError` if `fit` cannot train on these NumPy arrays. Models override it."""

    # === The three calls that all models of the zoo share, beside sample() ===

    def checkpoint_networks(self) -> dict[str, keras.Model]:
        """Returns the networks that checkpoints contain, a dict from name to network.

        The network that `sample` uses is named `generator`. File names contain letters instead of
        names; see `kerasgan.io.network_names`.
        """
        return {player: getattr(self, player) for player in self.players}

    def sampling_protocol(self) -> dict:
        """Returns what samples depend on besides the weights, for preset cards and result files.

        An empty dict means that `sample` runs the generator in inference mode.
        """
        return {}

    @classmethod
    def from_preset(cls, name_or_folder: str) -> Any:
        """Loads a model with trained weights.

        Args:
            name_or_folder: Name of a shipped preset, a folder written by `save_to_preset`, or an
                address: `hf://owner/name`, `kaggle://owner/model/framework/variation` or
                `https://host/name.tar.gz`.
        """
        return presets.load(name_or_folder, cls)

    def save_to_preset(self, folder: str) -> None:
        """Writes configuration and half-precision weights of the sampling networks to a folder."""
        presets.save(
            self, folder, networks=self.sampling_networks, info=self.sampling_protocol() or None
        )


class Critic:
    """Function of images that gradient penalties differentiate with a player's loss scale.

    Args:
        model: `AdversarialModel`.
        player: Name of the player whose loss contains the penalty.
        fn: Function of images that returns logits.
    """

    def __init__(self, model: AdversarialModel, player: str, fn: Callable[[Tensor], Tensor]):
        self.model, self.player, self.fn = model, player, fn

    def __call__(self, x: Tensor) -> Tensor:
        return self.fn(x)

    def input_gradient(self, x: Tensor) -> Tensor:
        """Returns the differentiable gradient d sum(fn(x)) / dx."""
        return self.model.input_gradient(self.fn, x, self.player)


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


def _checked_step(step, training):
    """Wraps a step with a check of the shapes and dtypes of its data when it is traced."""

    @functools.wraps(step)
    def checked(self, data):
        spec = self.data_spec()
        if spec is not None:
            spec.check_traced(data, training, replicas.count())
        return step(self, data)

    return checked
