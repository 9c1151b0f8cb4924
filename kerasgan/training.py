"""Adversarial and cooperative training in Keras' own `fit`: one `train_step`, several players,
three backends.

Keras 3 has no backend-neutral `train_step`, and its JAX trainer knows one optimizer. Here a model
writes

    class MyGAN(AdversarialModel):
        players = ("generator", "discriminator")

        def train_step(self, data):
            d_loss = self.minimize("discriminator", lambda: ...)
            g_loss = self.minimize("generator", lambda: ...)
            return self.report(discriminator_loss=d_loss, generator_loss=g_loss)

once, with `keras.ops`, and compiles it with one optimizer a player.
"""

import contextlib
import functools
import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan import backend, data_spec, ema
from kerasgan.arguments import check_count
from kerasgan.compatibility import (
    RenamedArguments,
    accept_earlier_attributes,
    forget_earlier_attributes,
)
from kerasgan.datasets.checked import Checked
from kerasgan.io import presets
from kerasgan.io.export import ExportableModel, SamplingModel
from kerasgan.ops.precision import full_precision


@keras.saving.register_keras_serializable("kerasgan")
class PlayerOptimizers(keras.optimizers.Optimizer):
    """The optimizers of all players in the shape of one, for what Keras does with
    `model.optimizer`.

    The JAX trainer's state, `save_weights`, `.keras` files and `BackupAndRestore` see every
    variable of every player's optimizer, each once, under its player. `group["generator"]` is that
    player's optimizer.

    Args:
        optimizers: dict of player name to `keras.optimizers.Optimizer`, each an object of its own.
    """

    # Keras' TensorBoard logs the rate of the one optimizer that a model has; here it finds that
    # there is none.
    inner_optimizer = None

    def __init__(self, optimizers, name="player_optimizers"):
        super().__init__(learning_rate=0.0, name=name)
        self._players = tuple(optimizers)
        for player, optimizer in optimizers.items():
            setattr(
                self, player, optimizer
            )  # Keras' saving walks the attributes: the file's paths are the players

    def __getitem__(self, player):
        if player not in self._players:
            raise ValueError(
                f"an optimizer is named by its player, one of {list(self._players)}; received "
                f"{player!r}"
            )
        return getattr(self, player)

    @property
    def variables(self):
        return [v for player in self._players for v in self[player].variables]

    @property
    def iterations(self):
        """Updates of the first player: in a GAN, the generator's."""
        return self[self._players[0]].iterations

    @property
    def learning_rate(self):
        raise ValueError(
            f"a learning rate belongs to a player, one of {list(self._players)}: use "
            "kerasgan.callbacks.LearningRateScheduler(player, schedule) or "
            "model.optimizer[player].learning_rate; "
            "received none"
        )

    @learning_rate.setter
    def learning_rate(self, value):
        type(self).learning_rate.fget(self)

    def build(self, variables):
        """`variables`: dict of player name to the variables it owns."""
        self._owned = variables
        for player, owned in variables.items():
            if not self[player].built:
                self[player].build(owned)
        self.built = True

    def apply(self, grads, trainable_variables=None):
        raise ValueError(
            "gradients belong to a player; use model.minimize(player, loss) or "
            "model.apply_gradients"
        )

    def finalize_variable_values(self, var_list):
        for (
            player,
            owned,
        ) in self._owned.items():  # an optimizer's own average says nothing of another's variables
            self[player].finalize_variable_values(owned)

    def save_own_variables(self, store):
        pass  # the players' optimizers save theirs

    def load_own_variables(self, store):
        pass

    def get_config(self):
        return {
            "optimizers": {p: keras.saving.serialize_keras_object(self[p]) for p in self._players},
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        optimizers = {
            p: keras.saving.deserialize_keras_object(c) for p, c in config["optimizers"].items()
        }
        return cls(optimizers, config["name"])


class _Presets:
    """Class property: the shipped presets of a model class, from name to description."""

    def __get__(self, model: Any, cls: type) -> dict[str, str]:
        return presets.descriptions(None if cls is AdversarialModel else cls.__name__)


class AdversarialModel(RenamedArguments, ExportableModel):
    """A `keras.Model` of several players, each with its own networks, loss and optimizer.

    A subclass names its players, builds its networks in `__init__` (as attributes of the players'
    names, or says in `player_layers` what else a player owns) and overrides `train_step(self,
    data)`, and `test_step(self, data)` for `evaluate`. `data` is what the data set yields: a
    tensor, or a tuple without trailing Nones.

    Give dropout layers a `seed`: without one, Keras on torch draws from a global generator that no
    checkpoint holds.

    Attributes:
        players: names, the player whose updates are counted as iterations first.
        conditioning: Kind of input that a sample is generated from: `"labels"`, `"captions"`, or
            `None`.
        sampling_networks: Roles of the networks that `sample` needs. Presets store only these. The
            first letter of a role, in upper case, is the network's key in `checkpoint_networks()`.
            The network that produces images has the role `"generator"` in every model.
        sample_options: Names of further arguments of `sample` that the command line offers.
        evaluation_protocol: Name of the module of `kerasgan.metrics.protocols` whose evaluation
            classifier scores the samples, `"digits"` or `"birds"`, or `None`.
        averages: the attribute of each EMA copy of a network, and the attribute of that network.
        not_loaded: letters of the `checkpoint_networks` that begin untrained, because no file
            brought their weights.
        reports: names of the numbers that `report` averages over the epoch; `<player>_loss` by
            default.
        higher_is_better: those of `reports` that training should raise; names that end in
            "accuracy" are so anyway.
    """

    presets = _Presets()
    players = ("generator", "discriminator")
    conditioning = None
    sampling_networks = ("generator",)
    sample_options = ()
    evaluation_protocol = None
    ema_networks = {}
    renamed_attributes = {"averaged": "ema_generator", "averaged_encoder": "ema_encoder"}
    not_loaded = ()
    reports = None
    higher_is_better = ()

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name in ("train_step", "test_step"):
            if name in vars(cls):
                setattr(
                    cls, name, backend.step(_checked_step(vars(cls)[name], name == "train_step"))
                )

    def __init__(self, name=None):
        super().__init__(name=name)
        names = self.reports or tuple(f"{player}_loss" for player in self.players)
        self._reported = {name: keras.metrics.Mean(name) for name in names}

    # === What a player owns ===

    def player_layers(self, player):
        """The layers whose trainable variables `player` moves; a model whose players split networks
        says so here.
        """
        layers = getattr(self, player)
        if isinstance(layers, dict):
            return list(layers.values())
        return list(layers) if isinstance(layers, (list, tuple)) else [layers]

    def player_variables(self, player):
        """The trainable variables of one player, or of several (a tuple), in a fixed order."""
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
        run_eagerly=False,
        jit_compile="auto",
        steps_per_execution=1,
        auto_scale_loss=True,
        **optimizers,
    ):
        """Gives each player its optimizer.

        Args:
            run_eagerly, jit_compile, steps_per_execution, auto_scale_loss: as in
                `keras.Model.compile`. On CPUs `"auto"` is TensorFlow's plain graph: XLA is 4 to 5
                times slower there.
            **optimizers: one for each name in `players`: an optimizer object, or its Keras name or
                config.

        Raises:
            ValueError: for a missing or unknown player, or one optimizer object given to two
                players.
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
        half = [layer for layer in self._player_layers() if layer.compute_dtype == "float16"]
        if not backend.trains_float16_convolutions() and any(
            "Conv" in type(x).__name__ for x in half
        ):
            raise ValueError(
                "PyTorch does not train float16 convolutions on CPUs: use the policy "
                "mixed_bfloat16 or a GPU; "
                f"received float16 layers such as {half[0].name}"
            )
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
        """All layers of all players. A loaded model keeps the dtype policies of its layers, not its
        own.
        """
        networks = [network for player in self.players for network in self.player_layers(player)]
        return [layer for network in networks for layer in network._flatten_layers()]

    def get_compile_config(self):
        if not self.compiled:
            return {}
        optimizers = {
            p: keras.saving.serialize_keras_object(self.optimizer[p]) for p in self.players
        }
        return self._compile_arguments | optimizers

    def compile_from_config(self, config):
        optimizers = {p: keras.saving.deserialize_keras_object(config[p]) for p in self.players}
        self.compile(**(config | optimizers))

    # === Files ===

    def copies_of(self, network):
        """All copies of a network: itself, and its moving average or the network that it is the
        average of.
        """
        for average, trained in self.ema_networks.items():
            pair = [getattr(self, trained), getattr(self, average)]
            if any(each is network for each in pair):
                return [each for each in pair if each is not None]
        return [network]

    def exported(self):
        return SamplingModel(self.checkpoint_networks()["G"], self.call)

    def save(self, filepath, *arguments, **options):
        """`keras.Model.save` to a `.keras` file. Keras' old format of whole models (`.h5`) loses
        the optimizers.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                f"{filepath}: a {type(self).__name__} is saved whole as .keras; .weights.h5 with "
                "save_weights holds "
                "its weights"
            )
        return super().save(filepath, *arguments, **options)

    def _seed_states(self):
        return [v for v in self.variables if v.name == "seed_generator_state"]

    def save_own_variables(self, store):
        """As Keras', and the states of all seed generators, which Keras leaves out of its files:
        without them a run that goes on would draw its first noise again."""
        forget_earlier_attributes(self)
        super().save_own_variables(store)
        for index, state in enumerate(self._seed_states()):
            store[f"seed_{index}"] = state

    def load_own_variables(self, store):
        self.not_loaded = ()
        accept_earlier_attributes(self, store)
        super().load_own_variables(
            {key: store[key] for key in store.keys() if not key.startswith("seed_")}
        )
        for index, state in enumerate(self._seed_states()):
            state.assign(
                np.asarray(store[f"seed_{index}"]).astype(state.dtype)
            )  # its width differs between backends

    # === What a train_step is written with ===

    def minimize(self, player, loss_fn):
        """One step of `player`'s optimizer on `loss_fn()`; no other player's variables move.

        Args:
            player: a name, or a tuple of names that share this loss, each moved by its own
                optimizer.
            loss_fn: a function of nothing that returns the scalar loss, or `(loss, extras)`.

        Returns:
            What `loss_fn` returned.
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

    def minimize_sum(self, player, loss_fns):
        """One step of `player`'s optimizer on the sum of several losses, which take turns: the
        gradients of one are made before the next is computed, so that what the two keep for theirs
        is never in memory at once.

        Args:
            player: a name.
            loss_fns: functions as `minimize` takes them.

        Returns:
            What each of them returned, a list.
        """
        variables = self.player_variables(player)
        if not variables:
            return [full_precision(loss_fn()) for loss_fn in loss_fns]
        objectives = [self._objective(player, loss_fn) for loss_fn in loss_fns]
        outputs, gradients = backend.value_and_gradients_of_sum(objectives, variables)
        self.apply_gradients(player, gradients)
        return outputs

    def _objective(self, player, loss_fn):
        """What the backend differentiates: -> the scaled loss, and what `loss_fn` returned."""

        def objective():
            outputs = full_precision(loss_fn())
            return self._scaled(
                player, outputs[0] if isinstance(outputs, tuple) else outputs
            ), outputs

        return objective

    def vjp(self, player, fn):
        """`fn()` now, its gradients later: one forward of `player` that serves two phases.

        Returns:
            `(outputs, pull)`. `outputs` are constants to every other player; `pull(cotangents)`,
            given d loss / d outputs in the structure of `outputs`, returns the gradients that
            `apply_gradients(player, …)` takes.
        """
        first = player if isinstance(player, str) else player[0]
        outputs, pullback = backend.vjp(lambda: full_precision(fn()), self.player_variables(player))

        def pull(cotangents):
            return pullback(keras.tree.map_structure(lambda c: self._scaled(first, c), cotangents))

        return outputs, pull

    def apply_gradients(self, player, gradients):
        """One optimizer step of `player` (a name or a tuple of names) with gradients from `trace`'s
        `pull`.
        """
        names = (player,) if isinstance(player, str) else tuple(player)
        gradients = list(gradients)
        for name in names:
            variables = self.player_variables(name)
            if not variables:
                continue
            own, gradients = gradients[: len(variables)], gradients[len(variables) :]
            if (
                name != names[0]
            ):  # the loss carries the first player's scale; each optimizer takes out its own
                ratio = self._scaled(name, 1.0) / self._scaled(names[0], 1.0)
                own = [g * ops.cast(ratio, g.dtype) for g in own]
            backend.apply(self.optimizer[name], own, variables)

    def _scaled(self, player, value):
        """The loss times the scale with which `player`'s optimizer keeps half-precision gradients
        from underflow.
        """
        value = ops.convert_to_tensor(value)
        return ops.cast(self.optimizer[player].scale_loss(value), value.dtype)

    def input_gradient(self, fn, x, player=None):
        """d sum(fn(x)) / dx, of `x`'s shape; may be differentiated again (penalties) or followed
        (Langevin).
        """
        return self.value_and_input_gradient(fn, x, player)[1]

    def value_and_input_gradient(self, fn, x, player=None):
        """`fn(x)`, a value or `(value, extras)`, and d sum(value) / dx, for one forward; `x` may be
        a list.

        Args:
            player: Player whose loss the gradient is part of. Under float16 the backward pass then
                carries that player's loss scale, at most 128, and the result is divided by it:
                small gradients would underflow.
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
        """The loss scale of a player's optimizer, or None where it has none."""
        optimizer = self.optimizer[player] if player and self.compiled else None
        scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if not scales:
            return None
        # The loss scale starts at 2^15, which would overflow the large gradients of path lengths.
        return ops.minimum(ops.convert_to_tensor(optimizer.scale_loss(1.0), "float32"), 128.0)

    def frozen_moving_statistics(self, fn):
        """`fn()`, in which batch norm uses the batch's statistics but adds nothing to its moving
        averages.
        """
        return backend.frozen_moving_statistics(fn)

    def lazy_regularization(self, every, player, fn):
        """`fn()` in each `every`-th update of `player`, the first included, otherwise 0.0: lazy
        regularisation.
        """
        due = ops.equal(ops.mod(self.optimizer[player].iterations, every), 0)
        return backend.cond(
            due, lambda: ops.cast(fn(), "float32"), lambda: ops.zeros((), "float32")
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

    def report(self, **values):
        """Adds scalars to the epoch's running means and returns them all, as `train_step` and
        `test_step` must.
        """
        unknown = set(values) - set(self._reported)
        if unknown:
            raise ValueError(
                f"report takes the names in `reports`, {list(self._reported)}; received "
                f"{sorted(unknown)}"
            )
        for name, value in values.items():
            self._reported[name].update_state(value)
        return {name: self._reported[name].result() for name in values}

    @backend.step
    def test_step(self, data):
        raise NotImplementedError(
            f"evaluate needs {type(self).__name__}.test_step(data), written like train_step"
        )

    # === fit ===

    def make_train_function(self, force=False):
        """As Keras', for `fit` and `train_on_batch`; first warns of the networks that no file
        brought.
        """
        if self.not_loaded:
            networks = self.checkpoint_networks()
            named = ", ".join(f"{letter} ({networks[letter].name})" for letter in self.not_loaded)
            self.not_loaded = ()  # they learn now
            warnings.warn(
                f"training begins with untrained weights of {named}: the files that this "
                f"{type(self).__name__} was "
                "loaded from do not hold them",
                stacklevel=3,
            )
        return super().make_train_function(force)

    @property
    def distribute_strategy(self):
        """What Keras trains by on TensorFlow; other backends' models have none. On one device its
        data sets do not tune themselves, unless their own options ask for it."""
        return backend.without_autotune(super().distribute_strategy)

    def fit(self, x=None, y=None, *, callbacks=None, **arguments):
        """`keras.Model.fit`. A data set with `set_epoch` is told each epoch's number, so that a
        resumed run sees the batches it would have seen."""
        self._refuse_weights("fit", arguments)
        batch_size = arguments.get("batch_size")
        if isinstance(x, np.ndarray):
            self.check_arrays(x, y, batch_size)
        self._tell_directions(callbacks)
        if hasattr(x, "set_epoch") and not isinstance(callbacks, keras.callbacks.CallbackList):
            told = keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs, data=x: data.set_epoch(epoch)
            )
            arguments["shuffle"] = (
                False  # Keras would shuffle the batches once more, by a generator that has no epoch
            )
            callbacks = [told, *keras.tree.flatten(callbacks or [])]
        siblings = keras.tree.flatten(getattr(callbacks, "callbacks", callbacks) or [])
        checkpoints = [callback for callback in siblings if hasattr(callback, "siblings")]
        for checkpoint in checkpoints:  # a `callbacks.Checkpoint` saves the state of the others too
            checkpoint.siblings, checkpoint.initial_epoch = (
                siblings,
                arguments.get("initial_epoch", 0),
            )
        try:
            return self._fit_checked(x, y, callbacks, **arguments)
        finally:
            self.resumed = None
            for checkpoint in checkpoints:
                checkpoint.release()

    def _fit_checked(self, x, y, callbacks, **arguments):
        with self._checked_data() as checked:
            held = arguments.get("validation_data")
            if held is not None:
                arguments["validation_data"] = (
                    checked(*held) if isinstance(held, (tuple, list)) else checked(held)[0]
                )
            split = arguments.get("validation_split", 0.0) if held is None else 0.0
            x, y = checked(x, y, training=True, batches=(arguments.get("batch_size"), split))
            return super().fit(x, y, callbacks=callbacks, **arguments)

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, **arguments
    ):
        """`keras.Model.evaluate`, whose data are checked as those of `fit`."""
        arguments |= {"batch_size": batch_size, "verbose": verbose, "sample_weight": sample_weight}
        if arguments.get("_use_cached_eval_dataset"):  # by `fit`, which has checked them
            return super().evaluate(x, y, **arguments)
        third = self._third(arguments)
        self._refuse_weights("evaluate", arguments)
        with self._checked_data() as checked:
            x, y, *third = checked(x, y, *third)
            if third:
                arguments["sample_weight"] = third[0]
            return super().evaluate(x, y, **arguments)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """`keras.Model.train_on_batch`, whose data are checked as those of `fit`."""
        weights = {"sample_weight": sample_weight, "class_weight": class_weight}
        third = self._third(weights)
        self._refuse_weights("train_on_batch", weights)
        with self._checked_data() as checked:
            return super().train_on_batch(
                *checked(x, y, *third, training=True), **weights, return_dict=return_dict
            )

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """`keras.Model.test_on_batch`, whose data are checked as those of `fit`."""
        weights = {"sample_weight": sample_weight}
        third = self._third(weights)
        self._refuse_weights("test_on_batch", weights)
        with self._checked_data() as checked:
            return super().test_on_batch(*checked(x, y, *third), **weights, return_dict=return_dict)

    def data_spec(self):
        """What the model trains on, a `kerasgan.data_spec.DataSpec`; None checks nothing."""
        return None

    def _third(self, arguments):
        """The third part of a batch of three, which Keras' calls name `sample_weight`, taken out of
        `arguments`.
        """
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
    def _checked_data(self):
        """A function that checks what `fit` and the others take; what fails leaves the model its
        weights.
        """
        spec, watching = self.data_spec(), []

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

    def direction(self, name):
        """Which way a report is better, "min" or "max"; None for a name that is none of
        `reports`.
        """
        name = name.removeprefix("val_")
        if name not in self._reported:
            return None
        return "max" if name in self.higher_is_better or name.endswith("accuracy") else "min"

    def _tell_directions(self, callbacks):
        """Keras cannot know whether `elbo` should rise: with `mode="auto"` it guesses, or
        refuses.
        """
        callbacks = getattr(callbacks, "callbacks", callbacks)
        for callback in keras.tree.flatten(callbacks or []):
            if getattr(callback, "mode", None) == "auto" and self.direction(
                getattr(callback, "monitor", "")
            ):
                callback.mode, callback.monitor_op = self.direction(callback.monitor), None

    def check_labels(self, labels, count=None):
        """Raises a ValueError, one line, unless `labels` are integers [N] in 0..`self.classes` - 1;
        N is `count`, the number of images, if that is given."""
        data_spec.check_labels(labels, self.classes, count)

    def labels_to_sample(self, n, labels):
        """What `sample(n, labels)` draws: integers [N], the labels given or, of `n`, the classes in
        turn.

        Raises ValueError, one line: neither or both given, or a label that is not a class.
        """
        if (n is None) == (labels is None):
            raise ValueError(
                f"sample takes n or labels, one of them; received n={n} and labels={labels}"
            )
        if labels is None:
            return np.arange(check_count(n)) % self.classes
        labels = np.asarray(labels)
        self.check_labels(labels)
        return labels

    def check_arrays(self, x, y, batch_size):
        """Raises a ValueError, one line, if `fit` cannot train on these numpy arrays; a model that
        knows says how.
        """

    # === The three calls that all models of the zoo share, beside sample() ===

    def checkpoint_networks(self):
        """Letter to network, for checkpoints: `G` is the one that `sample` uses."""
        return {player[0].upper(): getattr(self, player) for player in self.players}

    def sampling_letters(self) -> tuple[str, ...]:
        """Returns the keys of `sampling_networks` in `checkpoint_networks()`."""
        return tuple(name[0].upper() for name in self.sampling_networks)

    def sampling_protocol(self) -> dict:
        """Returns what samples depend on besides the weights, for preset cards and result files.

        An empty dict means that `sample` runs the generator in inference mode.
        """
        return {}

    @classmethod
    def from_preset(cls, name_or_folder):
        """A model with trained weights: a preset that ships with kerasgan, or a folder from
        `save_to_preset`.
        """
        return presets.load(name_or_folder, cls)

    def save_to_preset(self, folder):
        """Writes configuration and weights (half precision) of the networks that draw to
        `folder`.
        """
        presets.save(
            self, folder, letters=self.sampling_letters(), info=self.sampling_protocol() or None
        )


class Critic:
    """A function of images as a penalty takes it; its gradient carries the player's loss scale.

    Args:
        model: an `AdversarialModel`.
        player: whose loss the penalty is part of.
        fn: function of images that returns logits.
    """

    def __init__(self, model, player, fn):
        self.model, self.player, self.fn = model, player, fn

    def __call__(self, x):
        return self.fn(x)

    def input_gradient(self, x):
        return self.model.input_gradient(self.fn, x, self.player)


def _array_of_numbers(x):
    """An array of a list or tuple of numbers, such as labels; anything else as it is."""
    if isinstance(x, (list, tuple)) and x and all(map(np.isscalar, keras.tree.flatten(x))):
        return np.asarray(x)
    return x


def _checked_step(step, training):
    """A step that first looks at the shapes and types of its data: where a data set was not
    checked, and as traced.
    """

    @functools.wraps(step)
    def checked(self, data):
        spec = self.data_spec()
        if spec is not None:
            spec.check_traced(data, training)
        return step(self, data)

    return checked
