"""HDGAN: hierarchically nested GAN for text-to-image synthesis at 64, 128 and 256 pixels.

Zhang, Xie and Yang, 2018, "Photographic Text-to-Image Synthesis with a Hierarchically-nested
Adversarial Network", https://arxiv.org/abs/1802.09178, its released code, and the training notes
(run names such as `zz_mmgan_plain_gl_disc_birds_256`). Quotation marks enclose terms of the
training notes.

**Differences from the paper and its code**

- Nearest-neighbour upsampling and the following convolution are one layer, with the same weights
  and the same results. Reason: speed.
- The smaller real images are average-pooled from the full crop. The code stretches the contrast of
  each resized image separately.
- The generator update does not change the moving averages of the discriminators' batch norm.
  Training does not use them.
- Convolutions of stride 2 pad at the bottom and right (`padding="same"` in Keras) instead of at the
  top and left.
- The first feature map is reshaped channels-last, which permutes the weights.
- 512 pixels follow the rule of the smaller sizes. The paper's frozen extension is not implemented
  because its code does not run.
"""

import functools
import math
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from kerasgan import backend
from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Images, Numbers
from kerasgan.ema import ema_copy
from kerasgan.io.deferred import is_deferred
from kerasgan.losses.damsm import damsm_loss
from kerasgan.losses.matching import (
    KINDS,
    LOSSES,
    adversarial_loss,
    image_term,
    pair_term,
)
from kerasgan.losses.penalties import squared_gradient_norm
from kerasgan.models.hdgan_networks import (
    CONDITION_DIM as CONDITION_DIM,
    IMAGE_LOSSES as IMAGE_LOSSES,
    LATENT_DIM as LATENT_DIM,
    NORMS as NORMS,
    SIZES as SIZES,
    build_discriminator as build_discriminator,
    build_generator as build_generator,
    check_sizes as check_sizes,
)
from kerasgan.models.text_to_image import TextToImageModel
from kerasgan.ops import replicas
from kerasgan.ops.augment import crop
from kerasgan.ops.precision import full_precision
from kerasgan.types import Tensor


def conditioning_divergence(mean: Tensor, log_deviation: Tensor) -> Tensor:
    """KL divergence of the condition's distribution from N(0, 1).

    This is the regularization term of conditioning augmentation in StackGAN
    (https://arxiv.org/abs/1612.03242, equation 2).

    Args:
        mean: Mean of the condition, `[N, D]`.
        log_deviation: Log standard deviation of the condition, `[N, D]`.

    Returns:
        Scalar, the mean over images and dimensions.
    """
    return ops.mean(0.5 * (ops.square(mean) + ops.exp(2.0 * log_deviation) - 1.0) - log_deviation)


@keras.saving.register_keras_serializable("kerasgan")
class ExtraCriticSteps:
    """Schedule of extra discriminator updates from the training notes ("ncritic", "ncric").

    Maps the number of generator updates so far to the number of discriminator updates before the
    next one. In the first epoch it is 5 for each of the first 100 updates and for every 20th update
    up to 1,000. In later epochs it is 10 for every 50th update. Otherwise it is 1.

    Args:
        steps_per_epoch: Generator updates per epoch.
        epochs: Number of epochs with extra updates: 100 ("first 100"), 10 ("ncric10") or `None`
            for the whole run ("continue_ncric", "allncric").
    """

    def __init__(self, steps_per_epoch: int, epochs: int | None = 100):
        self.steps_per_epoch, self.epochs = steps_per_epoch, epochs

    def __call__(self, updates: Tensor) -> Tensor:
        first = updates < self.steps_per_epoch
        often = ops.logical_and(first, (updates < 100) | ((updates < 1000) & (updates % 20 == 0)))
        steps = ops.where(often, 5, ops.where(updates % 50 == 0, 10, 1))
        active = True if self.epochs is None else updates < self.steps_per_epoch * self.epochs
        return ops.where(active, steps, 1)

    def get_config(self) -> dict:
        return {"steps_per_epoch": self.steps_per_epoch, "epochs": self.epochs}

    @classmethod
    def from_config(cls, config: dict) -> "ExtraCriticSteps":
        return cls(**config)


@keras.saving.register_keras_serializable("kerasgan")
class HDGAN(TextToImageModel):
    """Hierarchically nested GAN that generates images at several resolutions from a caption.

    One generator outputs an image at each resolution. Each resolution has a discriminator with two
    kinds of heads: one scores image-caption pairs, the others score the image alone.

    Training data: `(real, mismatched, embeddings)` as from `CaptionedBatches`: float images
    `[N, S, S, 3]` in [-1, 1] at the largest size S, and caption embeddings `[N, D]`. `mismatched`
    are real images of another class. N must be at least 2.

    Args:
        generator: Model built by `build_generator`. Defaults to the paper's width.
        discriminators: Dict from size to a model built by `build_discriminator`.
        loss: `"least_squares"` (paper) or `"logistic"`.
        regenerate_fakes: If `True`, generates new fakes for the generator update, as the code of
            the training notes does. By default both updates share one batch of fakes, as in the
            released code, which saves one generator pass.
        divergence_weight: Weight of the KL divergence of the condition. The paper uses 4 for birds
            and flowers and 2 for COCO.
        critic_steps: Callable mapping the number of generator updates to the number of
            discriminator updates before the next one, such as `ExtraCriticSteps`. Each update uses
            a new batch. `None` means one.
        r1_weight: Weight of the R1 gradient penalty (https://arxiv.org/abs/1801.04406) on real
            images. 0 (paper) disables it. Small networks train faster and more stably with it.
        r1_every: Number of discriminator updates between penalties (lazy regularization,
            https://arxiv.org/abs/1912.04958, appendix B).
        ema_decay: Decay of the generator's exponential moving average, which `sample` uses. `None`
            (paper) disables it.
        damsm_encoder: Network from images `[N, s, s, 3]` in [-1, 1] to vectors `[N, D]`, trained
            jointly with the text encoder. It adds the DAMSM loss, which teaches narrow networks
            small parts that the discriminators learn late. The encoder is neither trained nor
            saved: pass it again to continue the training of a loaded model. `None` (paper) disables
            the DAMSM loss.
        damsm_weight: Weight of the DAMSM loss at each resolution.
        damsm_crop: Minimum side of the random crops of fakes given to `damsm_encoder`, as a
            fraction of the image. 1 disables cropping. Without crops the generator learns textures
            that only the encoder perceives.
        damsm_queue: Number of captions of previous steps used as additional negatives in the DAMSM
            loss (a queue as in MoCo, https://arxiv.org/abs/1911.05722). 0 uses the batch only.
        text_encoder: Text encoder for `sample(captions=...)`: the name of a preset, a `TextEncoder`
            or another callable from a list of captions to embeddings. The configuration stores a
            name as it is and a `TextEncoder` with its network; other callables are not saved.
        seed: Integer seed of the training noise.

    Example:
        ```python
        gan = kerasgan.models.HDGAN.from_preset("hdgan_synthetic_birds_256")
        images = gan.sample(captions=["a small red bird with a yellow belly"], seed=0)
        # [1, 256, 256, 3]
        ```

    Reference:
        Zhang, Xie and Yang, 2018, "Photographic Text-to-Image Synthesis with a
        Hierarchically-nested Adversarial Network", https://arxiv.org/abs/1802.09178
    """

    evaluation_protocol = "birds"
    ema_networks = {"ema_generator": "generator"}
    renamed_arguments = {
        "average": "ema_decay",
        "image_encoder": "damsm_encoder",
        "penalty": "r1_weight",
        "penalty_every": "r1_every",
        "redraw": "regenerate_fakes",
    }
    reports = (
        "generator_loss",
        "discriminator_loss",
        "divergence",
        "pair_loss",
        "image_loss",
        "damsm_loss",
    )

    def __init__(
        self,
        generator: keras.Model | None = None,
        discriminators: dict[int, keras.Model] | None = None,
        *,
        loss: str = "least_squares",
        regenerate_fakes: bool = False,
        divergence_weight: float = 4.0,
        critic_steps: Callable[[Tensor], Tensor] | None = None,
        r1_weight: float = 0.0,
        r1_every: int = 4,
        ema_decay: float | None = None,
        damsm_encoder: keras.Model | None = None,
        damsm_weight: float = 1.0,
        damsm_crop: float = 1.0,
        damsm_queue: int = 0,
        text_encoder: str | Callable[[list[str]], np.ndarray] | None = None,
        seed: int = 0,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.generator = generator or build_generator()
        self.ema_decay = ema_decay
        # As in `ProjectedTextGAN`, the copy of a deferred generator is read in its place.
        average = ema_copy(self.generator) if ema_decay and is_deferred(self.generator) else None
        self.sizes = tuple(image.shape[1] for image in (average or self.generator).outputs[:-2])
        self.discriminators = discriminators or {
            s: build_discriminator(s, embedding_dim=self.embedding_dim) for s in self.sizes
        }
        if set(self.discriminators) != set(self.sizes):
            raise ValueError(
                f"discriminators must have one entry for each size of the generator, "
                f"{list(self.sizes)}; received {sorted(self.discriminators)}"
            )
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}; received {loss!r}")
        if not 0 < damsm_crop <= 1:
            raise ValueError(f"damsm_crop must be above 0 and at most 1; received {damsm_crop}")
        if damsm_queue < 0:
            raise ValueError(f"damsm_queue must be at least 0; received {damsm_queue}")
        self.loss_kind = loss
        self.damsm_encoder, self.damsm_weight, self.damsm_crop = (
            damsm_encoder,
            damsm_weight,
            damsm_crop,
        )
        self.damsm_queue = damsm_queue if damsm_encoder is not None else 0
        if damsm_encoder is not None:
            self._check_damsm_encoder()
        self.set_text_encoder(text_encoder)
        self.regenerate_fakes, self.critic_steps = regenerate_fakes, critic_steps
        self.divergence_weight = divergence_weight
        self.r1_weight, self.r1_every = r1_weight, r1_every
        self.ema_generator = average or (ema_copy(self.generator) if ema_decay else None)
        self.seed = check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        if critic_steps:
            self.steps_since_update = self.add_weight(
                (), "zeros", "int32", trainable=False, name="steps_since_update"
            )
        if self.damsm_queue:
            # Until the queue is full, its zero vectors act as captions that match no image.
            self.caption_queue = self.add_weight(
                (damsm_queue, self.embedding_dim),
                "zeros",
                "float32",
                trainable=False,
                name="caption_queue",
            )
        self.built = True

    def _check_damsm_encoder(self):
        side, dim = self.damsm_encoder.input_shape[1], self.damsm_encoder.output_shape[-1]
        if dim != self.embedding_dim or not side or any(size % side for size in self.sizes):
            raise ValueError(
                f"damsm_encoder must map images whose side divides {self.sizes} to vectors of the "
                f"embedding dimension, {self.embedding_dim}; received one from side {side} to "
                f"dimension {dim}"
            )

    # === Networks and configuration ===

    def player_layers(self, player: str) -> list[keras.Layer]:
        return [self.generator] if player == "generator" else list(self.discriminators.values())

    def checkpoint_networks(self) -> dict[str, keras.Model]:
        networks = {"generator": self.sampling_generator}
        networks |= {
            f"discriminator_{size}": network for size, network in self.discriminators.items()
        }
        return networks | self.text_checkpoint_networks()

    def get_config(self) -> dict:
        nested = keras.saving.serialize_keras_object
        names = (
            "regenerate_fakes",
            "divergence_weight",
            "r1_weight",
            "r1_every",
            "ema_decay",
            "damsm_weight",
            "damsm_crop",
            "damsm_queue",
            "seed",
            "name",
        )
        return {name: getattr(self, name) for name in names} | {
            "loss": self.loss_kind,
            "generator": nested(self.generator),
            "discriminators": {str(s): nested(d) for s, d in self.discriminators.items()},
            "critic_steps": self.critic_steps and nested(self.critic_steps),
            "text_encoder": self.text_encoder_config(),
        }

    @classmethod
    def from_config(cls, config: dict) -> "HDGAN":
        nested = keras.saving.deserialize_keras_object
        names = ("generator", "critic_steps", "text_encoder")
        config = config | {name: nested(config.get(name)) for name in names}
        config["discriminators"] = {int(s): nested(d) for s, d in config["discriminators"].items()}
        return cls(**config)

    def start_from(self, other: "HDGAN") -> None:
        """Copies the trained networks of a model with fewer sizes, or with the same sizes.

        The generator (its moving average, if it has one) and the discriminators of `other` are
        copied into the corresponding parts of this model. The paper trains 512 pixels from a
        256-pixel model in this way.

        Args:
            other: Trained model whose sizes are the first of this model's sizes.

        Raises:
            ValueError: If the sizes or the shapes of the weights differ; then nothing is copied.
        """
        count = len(other.sizes)
        if other.sizes != self.sizes[:count]:
            raise ValueError(
                f"start_from needs a model whose sizes are the first of {self.sizes}; "
                f"received {other.sizes}"
            )
        trained = other.sampling_generator
        pairs = [(self.discriminators[size], other.discriminators[size]) for size in other.sizes]
        for network in (self.generator, self.ema_generator):
            if network is not None:
                outputs = [*network.outputs[:count], *network.outputs[-2:]]
                pairs.append((keras.Model(network.inputs, outputs), trained))
        for target, source in pairs:
            shapes = [[tuple(v.shape) for v in network.variables] for network in (target, source)]
            if shapes[0] != shapes[1]:
                raise ValueError(
                    "start_from needs networks with weights of the same shapes; "
                    f"{source.name} differs"
                )
        for target, source in pairs:
            for variable, value in zip(target.variables, source.variables, strict=True):
                variable.assign(value)

    def data_spec(self) -> DataSpec:
        shape = (self.sizes[-1], self.sizes[-1], 3)
        return DataSpec(
            (
                Images(shape),
                Images(shape, "mismatched images"),
                Numbers((self.embedding_dim,), "embeddings"),
            ),
            smallest=2,
            reason="batch norm has no statistics of one image",
        )

    # === Training ===

    def generate(self, embeddings: Tensor, training: bool = True) -> list[Tensor]:
        """Generates images from new latents and conditioning noise.

        Args:
            embeddings: Caption embeddings `[N, D]`.
            training: If `True`, batch norm uses the statistics of the batch.

        Returns:
            List of images of each size, smallest first, followed by the mean and the log standard
            deviation of the condition.
        """
        count = ops.shape(embeddings)[0]
        noise = [
            replicas.normal((count, x.shape[-1]), self.seeds) for x in self.generator.inputs[1:]
        ]
        return full_precision(self.generator([embeddings, *noise], training=training))

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """Average-pools real images `[N, S, S, 3]` to each size, smallest first."""
        factors = [self.sizes[-1] // size for size in self.sizes[:-1]]
        return [*(_downsample(images, n) for n in factors), images]

    def discriminate(self, images: list, embeddings: Tensor, training: bool = True) -> list[list]:
        """Discriminator logits of images at all sizes.

        Args:
            images: List of images `[N, s, s, 3]` for each size, smallest first.
            embeddings: Caption embeddings `[N, D]`.
            training: If `True`, batch norm uses the statistics of the batch.

        Returns:
            List with the logits of each size, themselves a list `[pair, *image_heads]`.
        """
        calls = self.discriminator_calls(images, embeddings, training)
        return [logits for call in calls for logits in call()]

    def discriminator_calls(
        self, images: list, embeddings: Tensor, training: bool = True
    ) -> list[Callable[[], list[list]]]:
        """Splits `discriminate` into one call per network, to limit memory.

        Returns:
            List of functions without arguments. Each returns the logits of the sizes that one
            network handles. Their concatenation is the result of `discriminate`.
        """

        def call(size, x):
            logits = self.discriminators[size]([x, embeddings], training=training)
            return [keras.tree.flatten(full_precision(logits))]  # Keras unpacks a list of one.

        return [
            functools.partial(call, size, x) for size, x in zip(self.sizes, images, strict=True)
        ]

    def discriminator_loss(self, real: list, mismatched: list, fake: list) -> tuple:
        """Discriminator loss, summed over sizes.

        Args:
            real: Result of `discriminate` for real images with their captions.
            mismatched: Result of `discriminate` for real images with captions of another class.
            fake: Result of `discriminate` for generated images with their captions.

        Returns:
            `(loss, (pair_loss, image_loss))`, scalars.
        """
        return _sum_structures(
            self.discriminator_term(*each)
            for each in zip(KINDS, (real, mismatched, fake), strict=True)
        )

    def discriminator_term(self, kind: str, logits: list) -> tuple:
        """Contribution of one kind of pairs to `discriminator_loss`.

        Args:
            kind: One of `kerasgan.losses.matching.KINDS`.
            logits: Result of `discriminate` for this kind, or a part of it.

        Returns:
            `(loss, (pair_loss, image_loss))`, scalars.
        """
        pair = sum(pair_term(heads[0], kind, self.loss_kind) for heads in logits)
        image = sum(
            _mean([image_term(head, kind, self.loss_kind) for head in heads[1:]])
            for heads in logits
        )
        return pair + image, (pair, image)

    def generator_loss(
        self, fakes: list, logits: list, embeddings: Tensor, training: bool = True
    ) -> tuple:
        """Generator loss, summed over sizes.

        Args:
            fakes: Result of `generate`.
            logits: Result of `discriminate` for these images.
            embeddings: Caption embeddings `[N, D]`.
            training: If `True`, the DAMSM loss uses random crops and the caption queue.

        Returns:
            `(loss, (divergence, damsm_loss))`, scalars. The parts are not weighted.
        """
        *images, mean, log_deviation = fakes
        divergence = conditioning_divergence(mean, log_deviation)
        pair = sum(adversarial_loss(heads[0], True, self.loss_kind) for heads in logits)
        image = sum(
            _mean([adversarial_loss(head, True, self.loss_kind) for head in heads[1:]])
            for heads in logits
        )
        damsm = self.damsm_loss(images, embeddings, training)
        loss = self.divergence_weight * divergence + pair + image + self.damsm_weight * damsm
        return loss, (divergence, damsm)

    def damsm_loss(self, images: list, embeddings: Tensor, training: bool = True) -> Tensor:
        """Sum of the DAMSM losses of all sizes, without the weight; 0 without `damsm_encoder`.

        Args:
            images: List of generated images of each size.
            embeddings: Caption embeddings `[N, D]`.
            training: If `True`, uses random crops and the caption queue.
        """
        if self.damsm_encoder is None:
            return ops.zeros((), "float32")
        side = self.damsm_encoder.input_shape[1]
        images = [x if x.shape[1] == side else _downsample(x, x.shape[1] // side) for x in images]
        if training and self.damsm_crop < 1:
            images = [crop(x, self.seeds, self.damsm_crop) for x in images]
        queue = None
        if self.damsm_queue and training:
            queue = ops.convert_to_tensor(self.caption_queue)
        return sum(
            damsm_loss(self.damsm_encoder(x, training=False), embeddings, others=queue)
            for x in images
        )

    def r1_penalty(self, images: list, embeddings: Tensor) -> Tensor:
        """R1 penalty of real images, multiplied by `r1_weight / 2` and by `r1_every`.

        The penalty differentiates the sum over heads of each head's mean logit.

        Args:
            images: List of real images `[N, s, s, 3]` of each size.
            embeddings: Caption embeddings `[N, D]`.
        """

        def score(images):
            logits = self.frozen_moving_statistics(lambda: self.discriminate(images, embeddings))
            return sum(ops.sum(h) / math.prod(h.shape[1:]) for heads in logits for h in heads)

        gradients = self.input_gradient(score, images, "discriminator")
        return sum(map(squared_gradient_norm, gradients)) * (self.r1_every * self.r1_weight / 2)

    def train_step(self, data: tuple) -> dict:
        real, mismatched, embeddings = data
        reals, mismatched = self.pyramid(real), self.pyramid(mismatched)
        if self.regenerate_fakes:
            fakes = self.generate(embeddings)
        else:
            fakes, vjp_fn = self.vjp("generator", lambda: self.generate(embeddings))

        def term(kind, call):
            return self.discriminator_term(kind, call())

        # Separate calls keep the batch statistics of real, mismatched and fake images apart.
        calls = [
            self.discriminator_calls(images, embeddings)
            for images in (reals, mismatched, fakes[:-2])
        ]
        terms: list[Callable[[], tuple]] = [
            functools.partial(term, kind, call)
            for group in zip(*calls, strict=True)
            for kind, call in zip(KINDS, group, strict=True)
        ]
        if self.r1_weight:
            penalty = lambda: self.r1_penalty(reals, embeddings)  # noqa: E731
            lazy = functools.partial(
                self.lazy_regularization, self.r1_every, "discriminator", penalty
            )
            terms.append(lambda: (lazy(), (0.0, 0.0)))

        def generator_objective(fakes):
            logits = self.frozen_moving_statistics(
                lambda: self.discriminate(fakes[:-2], embeddings)
            )
            return self.generator_loss(fakes, logits, embeddings)

        d_loss, (pair, image) = _sum_structures(self.minimize_sum("discriminator", terms))
        if self.regenerate_fakes:
            fakes, vjp_fn = self.vjp("generator", lambda: self.generate(embeddings))
        (g_loss, (divergence, damsm)), gradients = self.value_and_input_gradient(
            generator_objective, fakes, "generator"
        )
        self.update_generator(vjp_fn(gradients))
        if self.damsm_queue:
            queue = ops.concatenate([replicas.gather(embeddings), self.caption_queue], axis=0)
            self.caption_queue.assign(queue[: self.damsm_queue])
        if self.ema_decay:
            self.update_ema(self.ema_generator, self.generator, self.ema_decay)
        return self.report(
            generator_loss=g_loss,
            discriminator_loss=d_loss,
            divergence=divergence,
            pair_loss=pair,
            image_loss=image,
            damsm_loss=damsm,
        )

    def update_generator(self, gradients: list) -> None:
        """Applies gradients to the generator, if `critic_steps` allows an update in this step."""
        if self.critic_steps is None:
            return self.apply_gradients("generator", gradients)

        def update():
            self.apply_gradients("generator", gradients)
            self.steps_since_update.assign(0)
            return ops.zeros(())

        def skip():
            return ops.zeros(())

        steps = ops.convert_to_tensor(self.steps_since_update) + 1
        self.steps_since_update.assign(steps)
        updates = ops.cast(self.optimizer["generator"].iterations, "int32")
        backend.cond(steps >= self.critic_steps(updates), update, skip)

    def test_step(self, data: tuple) -> dict:
        real, mismatched, embeddings = data
        fakes = self.generate(embeddings, training=False)
        batches = self.pyramid(real), self.pyramid(mismatched), fakes[:-2]
        logits = [self.discriminate(images, embeddings, training=False) for images in batches]
        d_loss, (pair, image) = self.discriminator_loss(*logits)
        g_loss, (divergence, damsm) = self.generator_loss(
            fakes, logits[-1], embeddings, training=False
        )
        return self.report(
            generator_loss=g_loss,
            discriminator_loss=d_loss,
            divergence=divergence,
            pair_loss=pair,
            image_loss=image,
            damsm_loss=damsm,
        )

    # === Sampling ===

    def call(self, inputs: list, training: bool = False) -> list:
        """Outputs of the network that `sample` uses.

        Args:
            inputs: `[embeddings, latents, conditioning_noise]`.
            training: If `True`, batch norm uses the statistics of the batch.

        Returns:
            Outputs of the generator; see `build_generator`.
        """
        return self.sampling_generator(inputs, training=training)


def _sum_structures(structures):
    """Sums nested tuples of one structure, leaf by leaf."""
    return keras.tree.map_structure(lambda *leaves: sum(leaves), *structures)


def _downsample(images, factor):
    return ops.average_pool(images, factor, factor, data_format="channels_last")


def _mean(losses):
    return sum(losses) / max(len(losses), 1)
