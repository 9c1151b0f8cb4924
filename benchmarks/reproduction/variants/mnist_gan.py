"""Variants of the MNIST GAN: other blocks, norms, pooling, latents, batches and learning rates.

`RECIPE` is `zoo.mnist_gan` with the additional setting `variant`, a key of `VARIANTS`. A variant
changes the networks, the data or the callbacks of the recipe. Quotes are from the training notes.
Progressive growing is in `growing_gan`.
"""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import layers, ops

import zoo.mnist_gan
from benchmarks.reproduction.variants.growing_gan import Grow, build_growing
from kerasgan.datasets.batches import Batches
from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.layers.conditional_batch_norm import ConditionalBatchNormalization
from kerasgan.layers.minibatch_discrimination import MinibatchDiscrimination
from kerasgan.losses import classes
from kerasgan.models import conditional_gan, mnist_gan
from kerasgan.types import Tensor
from zoo.recipe import setting

# === Changed networks ===


def _norm():
    return BatchNormalization(momentum=0.9, epsilon=1e-5)  # The settings of the models.


def _layers_of(network, *kinds):
    """Layers of some classes, in the order of the network."""
    return [layer for layer in network.layers if isinstance(layer, kinds)]


def _edited(network, before=None, after=None, changed=None, without=()):
    """Copy a network with changes, newly initialized.

    Args:
        network: Functional model.
        before: Layer name -> function applied to the layer's first input.
        after: Layer name -> function applied to the layer's output.
        changed: Layer name -> changed entries of the layer's configuration.
        without: Names of layers to leave out.
    """
    before, after, changed = before or {}, after or {}, changed or {}

    def clone(layer):
        return type(layer).from_config(layer.get_config() | changed.get(layer.name, {}))

    def call(layer, inputs, **options):
        if layer.name in without:
            return inputs[0] if isinstance(inputs, (list, tuple)) else inputs
        outputs = layer(before.get(layer.name, lambda x: x)(inputs), **options)
        return after.get(layer.name, lambda x: x)(outputs)

    return keras.models.clone_model(network, clone_function=clone, call_function=call)


def with_fifth_block(generator: keras.Model, kernel: int = 4) -> keras.Model:
    """Add a fifth transposed convolution of stride 1 ("Generator can't have c5")."""
    last = _layers_of(generator, layers.ReLU)[-1]

    def block(x):
        return layers.ReLU()(
            _norm()(layers.Conv2DTranspose(x.shape[-1], kernel, padding="same")(x))
        )

    return _edited(generator, after={last.name: block})


def with_third_convolution(discriminator: keras.Model) -> keras.Model:
    """Add the third convolution c4: 4 channels, 3 x 3, stride 2.

    It is commented out in the development code ("otherwise it will be too strong").
    """
    last = _layers_of(discriminator, layers.LeakyReLU)[-1]
    block = lambda x: layers.LeakyReLU(0.2)(_norm()(layers.Conv2D(4, 3, 2)(x)))  # noqa: E731
    return _edited(discriminator, after={last.name: block})


def with_second_dense(discriminator: keras.Model, units: int = 64) -> keras.Model:
    """Add a second dense layer.

    It is commented out in the development code ("the linear can only have one layer").
    """
    last = _layers_of(discriminator, layers.Dense)[-1]
    return _edited(
        discriminator, before={last.name: lambda x: layers.LeakyReLU(0.2)(layers.Dense(units)(x))}
    )


def with_scaled_minibatch_features(discriminator: keras.Model, scale: float = 0.01) -> keras.Model:
    """Rescale the output of minibatch discrimination ("you should not devide it by 100")."""
    (layer,) = _layers_of(discriminator, MinibatchDiscrimination)
    return _edited(discriminator, after={layer.name: layers.Rescaling(scale)})


def with_pooling(
    discriminator: keras.Model, pooling: type[keras.layers.Layer], slope: float
) -> keras.Model:
    """Replace strides by 2 x 2 pooling, and set the negative slope of the leaky ReLUs.

    Max pooling and a slope of 0 give sparse gradients; average pooling and 0.2 do not.

    Args:
        discriminator: Functional model.
        pooling: Class of the pooling layer.
        slope: Negative slope.
    """
    strided = [
        layer for layer in _layers_of(discriminator, layers.Conv2D) if layer.strides != (1, 1)
    ]
    rectifiers = _layers_of(discriminator, layers.LeakyReLU)
    changed = {layer.name: {"strides": (1, 1)} for layer in strided}
    changed |= {layer.name: {"negative_slope": slope} for layer in rectifiers}
    after = {layer.name: lambda x: pooling(2, padding="same")(x) for layer in rectifiers}
    return _edited(discriminator, after=after, changed=changed)


def with_norm(discriminator: keras.Model) -> keras.Model:
    """Add batch norm after each convolution except the first (DCGAN, arXiv 1511.06434)."""
    return _edited(
        discriminator,
        after={x.name: lambda x: _norm()(x) for x in _layers_of(discriminator, layers.Conv2D)[1:]},
    )


def without_norm(network: keras.Model) -> keras.Model:
    """Remove all batch norm."""
    kinds = layers.BatchNormalization, ConditionalBatchNormalization
    return _edited(network, without={layer.name for layer in _layers_of(network, *kinds)})


def in_unit_range(
    generator: keras.Model, discriminator: keras.Model
) -> tuple[keras.Model, keras.Model]:
    """Make both networks work in [0, 1] with a sigmoid output; inputs and outputs stay in [-1, 1].

    Since 2 sigmoid(x) - 1 = tanh(x / 2), the differences are the gain of the output and the zero of
    the discriminator's input.
    """
    last = _layers_of(generator, layers.Conv2D, layers.Conv2DTranspose)[-1]
    first = _layers_of(discriminator, layers.Conv2D)[0]
    generator = _edited(
        generator,
        after={last.name: layers.Rescaling(2.0, -1.0)},
        changed={last.name: {"activation": "sigmoid"}},
    )
    return generator, _edited(discriminator, before={first.name: layers.Rescaling(0.5, 0.5)})


# === Latents, batches, rates ===


@keras.saving.register_keras_serializable("benchmarks")
def uniform_latents(shape: tuple[int, ...], seed: Any) -> Tensor:
    """Sample latents from U[0, 1), like torch's `rand`.

    Training notes: "`rand` to `randn` (silly! most important!!!)".
    """
    return keras.random.uniform(shape, seed=seed)


class SortedBatches(Batches):
    """Batches sorted by label, so that groups of minibatch discrimination share a label."""

    def __getitem__(self, index):
        images, labels = super().__getitem__(index)
        order = np.argsort(labels, kind="stable")
        return images[order], labels[order]


class LowerRate(keras.callbacks.Callback):
    """Lowers the discriminator's learning rate after accurate epochs.

    Training notes: "if d_acc > 0.95: d_lr -= 0.0001", where `d_acc` is the mean of `real_accuracy`
    and `fake_accuracy`. They give no initial rate. Their rule would make the rate negative after a
    few epochs, so it is bounded by `least`.

    Args:
        above: Accuracy above which the rate is lowered.
        by: Amount by which the rate is lowered.
        least: Lower bound of the rate.
    """

    def __init__(self, above: float = 0.95, by: float = 1e-4, least: float = 0.0):
        super().__init__()
        self.above, self.by, self.least = above, by, least

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = {} if logs is None else logs
        optimizer = self.model.optimizer["discriminator"]
        rate = float(ops.convert_to_numpy(optimizer.learning_rate))
        if (logs["real_accuracy"] + logs["fake_accuracy"]) / 2 > self.above:
            optimizer.learning_rate = rate = max(rate - self.by, self.least)
        logs["discriminator_learning_rate"] = rate


# === Minibatch discrimination by loops ===


def similarities_by_pairs(m: Tensor) -> Tensor:
    """Sum the similarities of `MinibatchDiscrimination` with two loops: `[N, B, C]` to `[N, B]`.

    The similarity of a sample with itself is included.
    """
    return ops.stack(
        [sum(ops.exp(-ops.sum(ops.abs(a - b), axis=-1)) for b in m) for a in ops.unstack(m)]
    )


def similarities_by_samples(m: Tensor) -> Tensor:
    """Sum the similarities like `similarities_by_pairs`, with one loop over samples."""
    return ops.stack(
        [ops.sum(ops.exp(-ops.sum(ops.abs(a - m), axis=-1)), axis=0) for a in ops.unstack(m)]
    )


# === Gradients ===


def generator_gradient_norm(gan: mnist_gan.MnistGAN, labels: Tensor) -> dict[str, float]:
    """Return the norm of the generator's gradient, of all weights and of the first layer.

    Args:
        gan: A compiled `MnistGAN`. Its loss is taken without feature matching.
        labels: Integers `[N]`, labels of the fakes.

    Returns:
        Dict with `generator_gradient_norm` and `first_layer_gradient_norm`.
    """
    labels = ops.convert_to_tensor(labels, "int32")

    def loss(fake):
        return gan.generator_loss(gan.discriminate(fake, labels, training=True)[0], labels)

    def gradients():
        fake, vjp = gan.vjp("generator", lambda: gan.generate(labels, training=True))
        return vjp(gan.input_gradient(loss, fake))

    squares = [
        float(np.sum(np.square(ops.convert_to_numpy(g))))
        for g in gan.frozen_moving_statistics(gradients)
    ]
    return {
        "generator_gradient_norm": sum(squares) ** 0.5,
        "first_layer_gradient_norm": sum(squares[:2]) ** 0.5,
    }


# === Variants ===


def _generator(settings, **knobs):
    return mnist_gan.build_generator(width=settings.width or 64, **knobs)


def _discriminator(settings, **knobs):
    return mnist_gan.build_discriminator(
        reproduce_training_notes=settings.model == "training_notes", **knobs
    )


def _changed_discriminator(edit, *arguments):
    """Variant that applies `edit` to the discriminator of the settings' model."""

    def variant(settings):
        projection = settings.model in ("best", "plain")
        built = conditional_gan.build_discriminator() if projection else _discriminator(settings)
        return {"discriminator": edit(built, *arguments)}

    return variant


def _norms(of_generator, of_discriminator):
    """Variant with or without batch norm in each network.

    It is the unconditional batch norm, because the conditional one provides the class.
    """

    def variant(settings):
        generator, discriminator = _generator(settings), conditional_gan.build_discriminator()
        return {
            "generator": generator if of_generator else without_norm(generator),
            "discriminator": with_norm(discriminator) if of_discriminator else discriminator,
        }

    return variant


def _pair(build):
    return lambda settings: dict(zip(("generator", "discriminator"), build(settings), strict=True))


def _unit_range(settings):
    if settings.model in ("best", "plain"):
        return in_unit_range(
            conditional_gan.build_generator(width=settings.width or 32),
            conditional_gan.build_discriminator(),
        )
    return in_unit_range(_generator(settings), _discriminator(settings))


# Name -> function of the settings that returns arguments of `MnistGAN`.
VARIANTS = {
    "": lambda settings: {},
    "uniform_latents": lambda settings: {"sample_latents": uniform_latents},
    "fifth_block": lambda settings: {"generator": with_fifth_block(_generator(settings))},
    "last_kernel_3": lambda settings: {"generator": _generator(settings, last_kernel=3)},
    "last_kernel_5": lambda settings: {"generator": _generator(settings, last_kernel=5)},
    "large_kernels": lambda settings: {"generator": _generator(settings, kernels=(7, 8, 8))},
    "third_convolution": _changed_discriminator(with_third_convolution),
    "second_dense": _changed_discriminator(with_second_dense),
    "no_minibatch_discrimination": lambda settings: {
        "discriminator": _discriminator(settings, kernels=0)
    },
    "minibatch_20x20": lambda settings: {
        "discriminator": _discriminator(settings, kernels=20, dims=20)
    },
    "minibatch_4x100": lambda settings: {
        "discriminator": _discriminator(settings, kernels=4, dims=100)
    },
    "scaled_minibatch_features": _changed_discriminator(with_scaled_minibatch_features),
    "groups": lambda settings: {"discriminator": _discriminator(settings, group=16)},
    # `data` adds `SortedBatches`.
    "sorted_groups": lambda settings: {"discriminator": _discriminator(settings, group=16)},
    "slope_0.01": lambda settings: {"discriminator": _discriminator(settings, negative_slope=0.01)},
    "slope_0.3": lambda settings: {"discriminator": _discriminator(settings, negative_slope=0.3)},
    "no_feature_matching": lambda settings: {"feature_matching_weight": 0.0},
    "no_smoothing": lambda settings: {"discriminator_loss": classes.class_discriminator_loss},
    "noted_smoothing": lambda settings: {
        "discriminator_loss": classes.fake_weighted_class_discriminator_loss
    },
    "manual_rate": lambda settings: {},  # `callbacks` adds `LowerRate`.
    "max_pooling": _changed_discriminator(with_pooling, layers.MaxPooling2D, 0.0),
    "average_pooling": _changed_discriminator(with_pooling, layers.AveragePooling2D, 0.2),
    "norm_none": _norms(False, False),
    "norm_generator": _norms(True, False),
    "norm_discriminator": _norms(False, True),
    "norm_both": _norms(True, True),
    "unit_range": _pair(_unit_range),
    "grown": _pair(lambda settings: build_growing(width=settings.width or 32)),
    "growing": _pair(
        lambda settings: build_growing(width=settings.width or 32)
    ),  # `callbacks` adds `Grow`.
}


@dataclasses.dataclass(frozen=True)
class Settings(zoo.mnist_gan.Settings):
    """Settings of the recipe, and the variant of the model."""

    variant: str = setting(
        "", f"Variant: {', '.join(filter(None, VARIANTS))}. Empty for the recipe's model."
    )


def build(settings: Settings) -> mnist_gan.MnistGAN:
    """Build the model of a variant."""
    if settings.variant not in VARIANTS:
        names = ", ".join(filter(None, VARIANTS))
        raise ValueError(f"variant must be one of {names}; received {settings.variant!r}")
    return zoo.mnist_gan.build(settings, **VARIANTS[settings.variant](settings))


def data(settings: Settings) -> Batches:
    """Load the batches of a variant."""
    batches = zoo.mnist_gan.data(settings)
    if settings.variant != "sorted_groups":
        return batches
    return SortedBatches(
        batches.images, batches.labels, batches.batch_size, seed=settings.seed, classes=10
    )


def callbacks(settings: Settings, folder: Any) -> list[keras.callbacks.Callback]:
    """Create the callbacks of a variant."""
    used = zoo.mnist_gan.pretraining(settings, folder)
    if settings.variant == "manual_rate":
        used.append(LowerRate())
    if settings.variant == "growing":
        used.append(Grow(max(settings.epochs // 4, 1)))  # Half of all epochs have full size.
    return used


RECIPE = dataclasses.replace(
    zoo.mnist_gan.RECIPE, settings=Settings, data=data, build=build, callbacks=callbacks
)
