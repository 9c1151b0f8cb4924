"""Prior of a model's latents, learned by conditional flow matching.

An autoencoder uses only a part of the space of its latents. Latents that are sampled from N(0, 1)
may lie between the latents of two kinds of images, and give a mixture of both. A learned prior
samples latents as they occur. First an autoencoder is trained, then a network that maps noise and a
condition to its latents: a caption's embedding, for example, to the pose of a bird that the caption
leaves open.

Lipman et al., 2022, "Flow Matching for Generative Modeling" (https://arxiv.org/abs/2210.02747); Dai
and Wipf, 2019, "Diagnosing and Enhancing VAE Models" (https://arxiv.org/abs/1903.05789), for the
second stage; Esser et al., 2024, "Scaling Rectified Flow Transformers for High-Resolution Image
Synthesis" (https://arxiv.org/abs/2403.03206), for the distribution of the times.
"""

from typing import Any

import keras
from keras import ops

from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Numbers
from kerasgan.ema import ema_copy
from kerasgan.layers.latent_flow import LatentFlow
from kerasgan.ops import replicas
from kerasgan.training import AdversarialModel
from kerasgan.types import Tensor

NAME = "latent_flow"  # Name of the layer in each network that contains it.


def build_latent_flow(
    latent_dim: int = 64, condition_dim: int = 1024, **arguments: Any
) -> keras.Model:
    """Builds the network from noise and conditions to latents.

    Args:
        latent_dim: Number of latent values.
        condition_dim: Dimension of the conditions.
        **arguments: Arguments of `LatentFlow`.

    Returns:
        Model of noise `[N, latent_dim]` and conditions `[N, condition_dim]` to latents
        `[N, latent_dim]`.
    """
    noise = keras.Input((latent_dim,), name="noise")
    conditions = keras.Input((condition_dim,), name="conditions")
    latents = LatentFlow(name=NAME, **arguments)([noise, conditions])
    return keras.Model([noise, conditions], latents, name=NAME)


@keras.saving.register_keras_serializable("kerasgan")
class LatentPrior(AdversarialModel):
    """Trains the network of a `LatentFlow` on the latents that a posterior infers.

    Training data: `(posteriors, conditions)`, means and log variances of the latents, float
    `[N, 2 * L]`, and conditions `[N, D]`. Each step samples latents from the posteriors. The
    network learns the velocity `latents - noise` along the lines from noise to latents.

    Args:
        network: Model that `build_latent_flow` builds.
        dropout: Share of the values of a condition that are set to 0 in training, in [0, 1). It
            makes the network rely less on single values of the conditions it was trained on.
        ema_decay: Decay of the network's exponential moving average.
        seed: Integer seed of the noise.

    Raises:
        ValueError: The dropout is out of range.

    Example:
        ```python
        prior = LatentPrior()
        prior.compile(flow=keras.optimizers.Adam(1e-3))
        prior.fit(posteriors, embeddings, batch_size=256, epochs=40)
        prior.ema_network([noise, embeddings])  # Latents [N, 64].
        ```
    """

    players = ("flow",)
    ema_networks = {"ema_network": "network"}
    reports = ("flow_loss",)

    def __init__(
        self,
        network: keras.Model | None = None,
        dropout: float = 0.1,
        ema_decay: float = 0.998,
        seed: int = 0,
        name: str | None = None,
    ):
        super().__init__(name=name)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1; received {dropout}")
        self.network = network or build_latent_flow()
        self.flow = self.network.get_layer(NAME)
        self.ema_network = ema_copy(self.network)
        self.dropout, self.ema_decay, self.seed = dropout, ema_decay, check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        self.built = True

    def get_config(self) -> dict:
        names = ("dropout", "ema_decay", "seed", "name")
        network = keras.saving.serialize_keras_object(self.network)
        return {"network": network} | {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict) -> "LatentPrior":
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**config | {"network": network})

    def checkpoint_networks(self) -> dict[str, keras.Model]:
        return {"latent_flow": self.ema_network}

    def player_layers(self, player: str) -> list[keras.Layer]:
        return [self.network]

    def data_spec(self) -> DataSpec:
        noise, conditions = (x.shape[-1] for x in self.network.inputs)
        return DataSpec((Numbers((2 * noise,), "posteriors"), Numbers((conditions,), "conditions")))

    def flow_loss(
        self, latents: Tensor, noise: Tensor, times: Tensor, conditions: Tensor
    ) -> Tensor:
        """Mean squared error of the velocity at points between noise and latents.

        Args:
            latents: Latents `[N, L]`.
            noise: Noise `[N, L]`.
            times: Times `[N, 1]` in [0, 1]: 0 at the noise, 1 at the latents.
            conditions: Conditions `[N, D]`.
        """
        between = (1.0 - times) * noise + times * latents
        velocity = self.flow.velocity(between, times, self.flow.code(conditions))
        return ops.mean(ops.square(velocity - (latents - noise)))

    def train_step(self, data: tuple) -> dict:
        posteriors, conditions = data
        mean, log_variance = ops.split(posteriors, 2, axis=-1)
        count, dim = ops.shape(mean)[0], mean.shape[-1]
        latents = mean + ops.exp(0.5 * log_variance) * replicas.normal((count, dim), self.seeds)
        noise = replicas.normal((count, dim), self.seeds)
        # Most errors are made in the middle, so times near it are sampled more often.
        times = ops.sigmoid(replicas.normal((count, 1), self.seeds))
        if self.dropout:
            kept = replicas.uniform((count, conditions.shape[-1]), self.seeds) >= self.dropout
            conditions = conditions * ops.cast(kept, conditions.dtype) / (1.0 - self.dropout)
        loss = self.minimize("flow", lambda: self.flow_loss(latents, noise, times, conditions))
        self.update_ema(self.ema_network, self.network, self.ema_decay)
        return self.report(flow_loss=loss)
