"""Variants of the MNIST GAN that single notes want: other blocks, norms, pooling, latents, batches, rates, growing.

`RECIPE` is `zoo.mnist_gan` with one more setting, `arm`, one of `ARMS`: what differs from the recipe's model, in its
networks, data or callbacks. A term of the notes stands in quotes.
"""

import dataclasses

import keras
import numpy as np
from keras import layers, ops

import zoo.mnist_gan
from kerasgan.datasets.batches import Batches
from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.layers.conditional_batch_norm import ConditionalBatchNormalization
from kerasgan.layers.minibatch_deviation import MinibatchDeviation
from kerasgan.layers.minibatch_discrimination import MinibatchDiscrimination
from kerasgan.losses import classes
from kerasgan.models import conditional_gan, mnist_gan
from zoo.recipe import setting

# === Networks with a layer more, less or other ===


def _norm():
    return BatchNormalization(momentum=0.9, epsilon=1e-5)  # as in the models


def _of(network, *kinds):
    """The layers of some kinds, from first to last."""
    return [layer for layer in network.layers if isinstance(layer, kinds)]


def _edited(network, before=None, after=None, changed=None, without=()):
    """A new `network`, whose weights are not kept, with functions of maps around some layers.

    Args:
        before, after: name of a layer -> function of its first input, of its output.
        changed: name of a layer -> what differs in its configuration.
        without: names of layers to leave out.
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


def with_fifth_block(generator, kernel=4):
    """One more transposed convolution before the image ("Generator can't have c5"), which keeps the maps' size."""
    last = _of(generator, layers.ReLU)[-1]

    def block(x):
        return layers.ReLU()(
            _norm()(layers.Conv2DTranspose(x.shape[-1], kernel, padding="same")(x))
        )

    return _edited(generator, after={last.name: block})


def with_third_convolution(discriminator):
    """The notes' c4, commented out there: 4 channels, 3 x 3, stride 2 ("otherwise it will be too strong")."""
    last = _of(discriminator, layers.LeakyReLU)[-1]
    block = lambda x: layers.LeakyReLU(0.2)(_norm()(layers.Conv2D(4, 3, 2)(x)))  # noqa: E731
    return _edited(discriminator, after={last.name: block})


def with_second_dense(discriminator, units=64):
    """The notes' second dense layer, commented out there ("the linear can only have one layer")."""
    last = _of(discriminator, layers.Dense)[-1]
    return _edited(
        discriminator, before={last.name: lambda x: layers.LeakyReLU(0.2)(layers.Dense(units)(x))}
    )


def with_scaled_closeness(discriminator, scale=0.01):
    """Minibatch discrimination's output, rescaled ("you should not devide it by 100")."""
    (layer,) = _of(discriminator, MinibatchDiscrimination)
    return _edited(discriminator, after={layer.name: layers.Rescaling(scale)})


def with_pooling(discriminator, pooling, slope):
    """Strided convolutions as plain ones, each followed by 2 x 2 `pooling` (a layer class); leaky ReLUs of `slope`.

    A slope of 0 with max pooling has sparse gradients, 0.2 with average pooling has not.
    """
    strided = [layer for layer in _of(discriminator, layers.Conv2D) if layer.strides != (1, 1)]
    rectifiers = _of(discriminator, layers.LeakyReLU)
    changed = {layer.name: {"strides": (1, 1)} for layer in strided}
    changed |= {layer.name: {"negative_slope": slope} for layer in rectifiers}
    after = {layer.name: lambda x: pooling(2, padding="same")(x) for layer in rectifiers}
    return _edited(discriminator, after=after, changed=changed)


def with_norm(discriminator):
    """Batch norm after each convolution but the first, as Radford et al. (arXiv 1511.06434) have it."""
    return _edited(
        discriminator,
        after={x.name: lambda x: _norm()(x) for x in _of(discriminator, layers.Conv2D)[1:]},
    )


def without_norm(network):
    """No batch norm at all."""
    kinds = layers.BatchNormalization, ConditionalBatchNormalization
    return _edited(network, without={layer.name for layer in _of(network, *kinds)})


def in_unit_range(generator, discriminator):
    """Both networks in [0, 1] inside, with a sigmoid at the generator's end; images outside stay in [-1, 1].

    2 sigmoid(x) - 1 is tanh(x / 2): what differs is a slope, and where the discriminator's 0 is.
    """
    last = _of(generator, layers.Conv2D, layers.Conv2DTranspose)[-1]
    first = _of(discriminator, layers.Conv2D)[0]
    generator = _edited(
        generator,
        after={last.name: layers.Rescaling(2.0, -1.0)},
        changed={last.name: {"activation": "sigmoid"}},
    )
    return generator, _edited(discriminator, before={first.name: layers.Rescaling(0.5, 0.5)})


# === Latents, batches, rates ===


@keras.saving.register_keras_serializable("benchmarks")
def uniform_latents(shape, seed):
    """z ~ U[0, 1), torch's `rand` ("`rand` to `randn` (silly! most important!!!)")."""
    return keras.random.uniform(shape, seed=seed)


class SortedBatches(Batches):
    """The same batches, each in the order of its labels, so that a group of minibatch discrimination shares a label."""

    def __getitem__(self, index):
        images, labels = super().__getitem__(index)
        order = np.argsort(labels, kind="stable")
        return images[order], labels[order]


class LowerRate(keras.callbacks.Callback):
    """The notes' rule by hand, after each epoch: "if d_acc > 0.95: d_lr -= 0.0001".

    `d_acc` is the mean of `real_accuracy` and `fake_accuracy`. The notes name no rate to start from; as theirs would
    be negative after a few epochs, it stops at `least`.

    Args:
        above: accuracy from which on the rate falls.
        by: how far it falls.
        least: the lowest rate.
    """

    def __init__(self, above=0.95, by=1e-4, least=0.0):
        super().__init__()
        self.above, self.by, self.least = above, by, least

    def on_epoch_end(self, epoch, logs=None):
        optimizer = self.model.optimizer["discriminator"]
        rate = float(ops.convert_to_numpy(optimizer.learning_rate))
        if (logs["real_accuracy"] + logs["fake_accuracy"]) / 2 > self.above:
            optimizer.learning_rate = rate = max(rate - self.by, self.least)
        logs["discriminator_learning_rate"] = rate


# === Minibatch discrimination by loops ===


def closeness_by_pairs(m):
    """`MinibatchDiscrimination`'s sums of M [N, B, C] -> [N, B], a sample with itself included: two loops."""
    return ops.stack(
        [sum(ops.exp(-ops.sum(ops.abs(a - b), axis=-1)) for b in m) for a in ops.unstack(m)]
    )


def closeness_by_samples(m):
    """The same by one loop: a sample with all at a time."""
    return ops.stack(
        [ops.sum(ops.exp(-ops.sum(ops.abs(a - m), axis=-1)), axis=0) for a in ops.unstack(m)]
    )


# === Gradients ===


def generator_slope(gan, labels):
    """The generator's gradient in training, as it is now: norm of the whole, and of its first layer's alone.

    Args:
        gan: a compiled `MnistGAN`, whose loss is taken without feature matching.
        labels: integers [N] of the fakes.
    """
    labels = ops.convert_to_tensor(labels, "int32")

    def loss(fake):
        return gan.generator_loss(gan.discriminate(fake, labels, training=True)[0], labels)

    def slopes():
        fake, pull = gan.vjp("generator", lambda: gan.generate(labels, training=True))
        return pull(gan.input_gradient(loss, fake))

    squares = [
        float(np.sum(np.square(ops.convert_to_numpy(g))))
        for g in gan.frozen_moving_statistics(slopes)
    ]
    return {"generator_slope": sum(squares) ** 0.5, "first_layer_slope": sum(squares[:2]) ** 0.5}


# === Progressive growing ===


@keras.saving.register_keras_serializable("benchmarks")
class Fade(layers.Layer):
    """[coarse, fine] -> coarse + share * (fine - coarse), the two ways through a network while it grows.

    The share is a weight that `Grow` moves; it is 1, fully grown, at first.
    """

    def build(self, input_shape):
        self.share = self.add_weight((), "ones", trainable=False, name="share")

    def call(self, inputs):
        coarse, fine = inputs
        return coarse + self.share * (fine - coarse)

    def compute_output_shape(self, input_shape):
        return input_shape[0]


def build_growing(latent_dim=64, classes=10, width=32):
    """The best model's networks, made to grow from 7 to 14 and 28 pixels: `(generator, discriminator)`.

    Karras et al., "Progressive Growing of GANs" (arXiv 1710.10196), section 2: a size fades in beside the doubled
    picture of the one before, on both sides. Differences from the paper:
    - all sizes are computed at all times, as in its code's form "linear": an epoch takes as long at any size;
    - pictures are always of 28 pixels, the smaller ones doubled; the discriminator shrinks what it sees itself;
    - conditional batch norm, tanh, and no equalised rate, as in the model that does not grow: growing alone differs.
    """
    latents, labels = (
        keras.Input((latent_dim,), name="latents"),
        keras.Input((), dtype="int32", name="labels"),
    )
    one_hot = layers.CategoryEncoding(classes, "one_hot")(labels)

    def activated(x):
        return layers.ReLU()(ConditionalBatchNormalization()([x, one_hot]))

    def picture(x):
        return layers.Conv2D(1, 3, padding="same", activation="tanh")(x)

    x = layers.Dense(7 * 7 * 4 * width, kernel_initializer="he_normal")(
        layers.Concatenate()([latents, one_hot])
    )
    x = activated(layers.Reshape((7, 7, 4 * width))(x))
    image = picture(x)  # [N, 7, 7, 1]
    for size, maps in ((14, 2 * width), (28, width)):
        up = layers.Conv2DTranspose(
            maps, 4, 2, padding="same", use_bias=False, kernel_initializer="he_normal"
        )
        x = activated(up(x))
        image = Fade(name=f"fade_{size}")([layers.UpSampling2D(2)(image), picture(x)])
    generator = keras.Model([latents, labels], image, name="generator")

    def convolution(x, maps, kernel, stride):
        x = layers.Conv2D(maps, kernel, stride, padding="same", kernel_initializer="he_normal")(x)
        return layers.LeakyReLU(0.2)(x)

    seen = images = keras.Input((28, 28, 1), name="images")
    x = convolution(images, width // 2, 1, 1)
    for size, maps in ((28, width), (14, 2 * width)):  # [N, 14, 14, 32], [N, 7, 7, 64]
        seen = layers.AveragePooling2D(2)(seen)
        coarse = convolution(seen, maps, 1, 1)
        x = Fade(name=f"fade_{size}")([coarse, convolution(x, maps, 4, 2)])
    features = MinibatchDeviation()(layers.Flatten()(convolution(x, 4 * width, 3, 2)))
    direction = layers.Dense(features.shape[-1], use_bias=False)(one_hot)
    logit = layers.Add()([layers.Dense(1)(features), layers.Dot(-1)([features, direction])])
    return generator, keras.Model([images, labels], [logit, features], name="discriminator")


class Grow(keras.callbacks.Callback):
    """Grows networks of `build_growing` from size to size: the first half of `epochs` fades one in, then it stays.

    As a size begins, the optimizers start anew, as in the paper's code: their averages know nothing of new layers.

    Args:
        epochs: that each size but the last has.
    """

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        size, within = divmod(epoch, self.epochs)
        for network in (self.model.generator, self.model.discriminator, self.model.ema_generator):
            for index, pixels in enumerate((14, 28) if network else (), start=1):
                grown = (
                    min(2 * (within + 1) / self.epochs, 1.0)
                    if size == index
                    else float(size > index)
                )
                network.get_layer(f"fade_{pixels}").share.assign(grown)
        if within == 0 and 1 <= size <= 2:
            for player in self.model.players:
                optimizer = self.model.optimizer[player]
                for variable in optimizer.variables:
                    if variable is not optimizer._learning_rate:
                        variable.assign(ops.zeros_like(variable))


# === Arms ===


def _generator(settings, **knobs):
    return mnist_gan.build_generator(width=settings.width or 64, **knobs)


def _discriminator(settings, **knobs):
    return mnist_gan.build_discriminator(
        reproduce_training_notes=settings.model == "noted", **knobs
    )


def _judged(edit, *arguments):
    """Of an edit of a discriminator: the arm, for the model of the settings."""

    def arm(settings):
        projection = settings.model in ("best", "plain")
        built = conditional_gan.build_discriminator() if projection else _discriminator(settings)
        return {"discriminator": edit(built, *arguments)}

    return arm


def _norms(of_generator, of_discriminator):
    """Both players of the plain model with or without batch norm, not the conditional one: that knows the class."""

    def arm(settings):
        generator, discriminator = _generator(settings), conditional_gan.build_discriminator()
        return {
            "generator": generator if of_generator else without_norm(generator),
            "discriminator": with_norm(discriminator) if of_discriminator else discriminator,
        }

    return arm


def _pair(build):
    return lambda settings: dict(zip(("generator", "discriminator"), build(settings), strict=True))


def _unit_range(settings):
    if settings.model in ("best", "plain"):
        return in_unit_range(
            conditional_gan.build_generator(width=settings.width or 32),
            conditional_gan.build_discriminator(),
        )
    return in_unit_range(_generator(settings), _discriminator(settings))


ARMS = {  # name -> settings -> arguments of MnistGAN
    "": lambda settings: {},
    "uniform_latents": lambda settings: {"sample_latents": uniform_latents},
    "fifth_block": lambda settings: {"generator": with_fifth_block(_generator(settings))},
    "last_kernel_3": lambda settings: {"generator": _generator(settings, last_kernel=3)},
    "last_kernel_5": lambda settings: {"generator": _generator(settings, last_kernel=5)},
    "large_kernels": lambda settings: {"generator": _generator(settings, kernels=(7, 8, 8))},
    "third_convolution": _judged(with_third_convolution),
    "second_dense": _judged(with_second_dense),
    "no_closeness": lambda settings: {"discriminator": _discriminator(settings, kernels=0)},
    "closeness_20_20": lambda settings: {
        "discriminator": _discriminator(settings, kernels=20, dims=20)
    },
    "closeness_4_100": lambda settings: {
        "discriminator": _discriminator(settings, kernels=4, dims=100)
    },
    "scaled_closeness": _judged(with_scaled_closeness),
    "groups": lambda settings: {"discriminator": _discriminator(settings, group=16)},
    "sorted_groups": lambda settings: {
        "discriminator": _discriminator(settings, group=16)
    },  # and `SortedBatches`
    "slope_0.01": lambda settings: {"discriminator": _discriminator(settings, negative_slope=0.01)},
    "slope_0.3": lambda settings: {"discriminator": _discriminator(settings, negative_slope=0.3)},
    "no_feature_matching": lambda settings: {"feature_matching_weight": 0.0},
    "no_smoothing": lambda settings: {"discriminator_loss": classes.class_discriminator_loss},
    "noted_smoothing": lambda settings: {
        "discriminator_loss": classes.noted_class_discriminator_loss
    },
    "manual_rate": lambda settings: {},  # and `LowerRate`
    "max_pooling": _judged(with_pooling, layers.MaxPooling2D, 0.0),
    "average_pooling": _judged(with_pooling, layers.AveragePooling2D, 0.2),
    "norm_none": _norms(False, False),
    "norm_generator": _norms(True, False),
    "norm_discriminator": _norms(False, True),
    "norm_both": _norms(True, True),
    "unit_range": _pair(_unit_range),
    "grown": _pair(lambda settings: build_growing(width=settings.width or 32)),
    "growing": _pair(lambda settings: build_growing(width=settings.width or 32)),  # and `Grow`
}


@dataclasses.dataclass(frozen=True)
class Settings(zoo.mnist_gan.Settings):
    """Those of the recipe, and which arm of which claim."""

    arm: str = setting("", f"one of {', '.join(filter(None, ARMS))}; none is the recipe's model")


def build(settings):
    if settings.arm not in ARMS:
        raise ValueError(
            f"arm must be one of {', '.join(filter(None, ARMS))}; received {settings.arm!r}"
        )
    return zoo.mnist_gan.build(settings, **ARMS[settings.arm](settings))


def data(settings):
    batches = zoo.mnist_gan.data(settings)
    if settings.arm != "sorted_groups":
        return batches
    return SortedBatches(
        batches.images, batches.labels, batches.batch_size, seed=settings.seed, classes=10
    )


def callbacks(settings, folder):
    used = zoo.mnist_gan.pretraining(settings, folder)
    if settings.arm == "manual_rate":
        used.append(LowerRate())
    if settings.arm == "growing":
        used.append(Grow(max(settings.epochs // 4, 1)))  # half of all epochs at full size
    return used


RECIPE = dataclasses.replace(
    zoo.mnist_gan.RECIPE, settings=Settings, data=data, build=build, callbacks=callbacks
)
