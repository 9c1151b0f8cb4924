"""The optimizers of all players as one Keras optimizer."""

from collections.abc import Mapping
from typing import Any

import keras


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
