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

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan import backend, ema
from kerasgan.compatibility import (
    RenamedArguments,
    accept_earlier_attributes,
    forget_earlier_attributes,
)
from kerasgan.fitting import (
    CheckedFit,
    checked_step,
    mean_with_statistics,
    step_with_equal_averages,
)
from kerasgan.io import presets
from kerasgan.io.export import ExportableModel
from kerasgan.ops import replicas
from kerasgan.ops.precision import full_precision
from kerasgan.player_optimizers import PlayerOptimizers
from kerasgan.sampling import SamplingInterface
from kerasgan.types import Tensor

Player = str | Sequence[str]
"""Name of a player, or a tuple of names that share a loss."""


class _Presets:
    """Class property: the shipped presets of a model class, from name to description."""

    def __get__(self, model: Any, cls: type) -> dict[str, str]:
        return presets.descriptions(None if cls is AdversarialModel else cls.__name__)


class AdversarialModel(RenamedArguments, SamplingInterface, CheckedFit, ExportableModel):
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
    reports: tuple[str, ...] | None = None
    higher_is_better: tuple[str, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "train_step" in vars(cls):
            step = checked_step(step_with_equal_averages(cls.train_step), training=True)
            cls.train_step = backend.step(step)
        if "test_step" in vars(cls):
            cls.test_step = backend.step(  # type: ignore[method-assign]
                checked_step(cls.test_step, training=False)
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
        gradients = replicas.mean_gradients(gradients)
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
        return backend.cond_or_zero(
            self.regularization_due(every, player), lambda: ops.cast(fn(), "float32")
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
        means = mean_with_statistics(self, [ops.cast(value, "float32") for value, _ in pairs])
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

    def direction(self, name: str) -> str | None:
        """Returns `"min"` or `"max"`, the direction in which a metric improves, or `None`."""
        name = name.removeprefix("val_")
        if name not in self._reported:
            return None
        return "max" if name in self.higher_is_better or name.endswith("accuracy") else "min"

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
