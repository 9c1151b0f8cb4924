"""StylEx: an encoder and a StyleGAN2 that explain a classifier.

    python -m zoo.stylex
    python -m zoo.stylex --preset=digits_8_9 --classifier=classifier_digits_8_9_32_C_epoch_40.h5

The generator reconstructs images such that the classifier's predictions stay the same.
`zoo.explain` then finds the attributes that change these predictions. The classifier is a file of
`zoo.classifier`. Without one, a classifier is trained first. On two CPU cores, small networks run
fastest with one thread per operation: set TF_NUM_INTRAOP_THREADS=1 in the environment.

Presets:

- `quick`: eights and nines; minutes on two CPU cores.
- `digits_8_9`: eights and nines, with more epochs. The shipped preset was trained with it.
- `digits_8_rest`: eights and all other digits.
- `birds_64`: synthetic birds with yellow and with blue bellies.
- `plants`: healthy and sick leaves of PlantVillage.
- `celeba`: faces of CelebA.
- `ffhq`: a folder of class folders, given by `--data`.
- `reproduction`: MNIST's eights and all other digits, with the settings of the PyTorch
  reproduction.
- `authors`: the same digits, with the settings of the authors' code.
"""

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

from zoo import classifier, lazy, recipe, scale, settings as fields
from zoo.settings import setting

keras = lazy.module("keras")
np = lazy.module("numpy")
images = lazy.module("kerasgan.images")
checkpoints = lazy.module("kerasgan.io.checkpoints")
perceptual = lazy.module("kerasgan.losses.perceptual")
diversity = lazy.module("kerasgan.metrics.diversity")
stylegan2 = lazy.module("kerasgan.models.stylegan2")
stylex = lazy.module("kerasgan.models.stylex")
augment = lazy.module("kerasgan.ops.augment")
schedules = lazy.module("kerasgan.schedules")


def _loss(default, text, **rules):
    return setting(default, text, group="losses", **rules)


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """Settings of the recipe. The defaults are those of the reproduction."""

    epochs: int = fields.epochs(100)
    batch_size: int = fields.batch_size(32)
    data: str = fields.data("digits", classifier.DATA_HELP)
    classes: str = setting("8,9", classifier.CLASSES_HELP, group="data")
    size: int = setting(32, classifier.SIZE_HELP, group="data", least=1)
    channels: int = fields.channels(3)
    num_images: int = fields.num_images(4000, classifier.NUM_IMAGES_HELP)
    classifier: str = setting(
        "",
        "Classifier: a file of zoo.classifier. By default one is trained first.",
        group="networks",
    )
    capacity: int = fields.capacity()
    max_channels: int = fields.max_channels()
    latent_dim: int = fields.latent_dim(
        512, "Dimension of w, the output of the mapping network and the encoder."
    )
    depth: int = fields.mapping_depth()
    mapping_form: str = fields.mapping_form("reproduction")
    encoder_gain: float = setting(
        1.0,
        "Scale of the initial weights of the encoder's last layer. 1 is Kaiming initialization.",
        group="networks",
        least=0,
    )
    condition_on: str = setting(
        "probabilities",
        "Output of the classifier on which the generator is conditioned.",
        group="networks",
        choices=("probabilities", "logits"),
    )
    form: str = _loss(
        "reproduction",
        "Adversarial loss and gradient penalty: reproduction (hinge) or authors (logistic, R1).",
        choices=("reproduction", "authors"),
    )
    alternation: str = _loss(
        "micro",
        "Source of w: the encoder in all steps (none), latents and the encoder in alternate steps "
        "(step), or each for half of every batch (micro).",
        choices=("none", "step", "micro"),
    )
    rec_in_discriminator_phase: str = _loss(
        "",
        "Apply a reconstruction loss in the discriminator's phase, too: within the generator's "
        "update (accumulate) or in an update of its own (extra_step). second_step, for "
        "comparison, also applies the adversarial loss in that update.",
        choices=("", "accumulate", "extra_step", "second_step"),
    )
    rec_weight: float = _loss(
        1.0,
        "Weight of the reconstruction loss, the weighted sum of perceptual, w and pixel distance.",
        least=0,
    )
    perceptual_weight: float = _loss(
        0.1, "Weight of the perceptual distance of image and reconstruction.", least=0
    )
    w_weight: float = _loss(
        0.1, "Weight of the distance of the w of image and reconstruction.", least=0
    )
    pixel_weight: float = _loss(
        1.0,
        "Weight of the mean absolute difference of the pixels, in units of [0, 1].",
        least=0,
    )
    kl_weight: float = _loss(
        1.0,
        "Weight of the KL divergence of the classifier's predictions for image and reconstruction.",
        least=0,
    )
    reverse_kl: bool = _loss(
        False, "Use KL(reconstruction || image) instead of KL(image || reconstruction)."
    )
    lpips: str = _loss(
        "",
        "File of AlexNet's weights. With it, the perceptual distance is LPIPS. By default it "
        "compares features of the classifier.",
    )
    stretch: bool = _loss(
        True, "Stretch each image to [-1, 1] before the perceptual distance is computed."
    )
    gradient_penalty_weight: float = _loss(
        2.5, "Weight of the gradient penalty; gamma of R1. 0 disables it.", least=0
    )
    gradient_penalty_every: int = _loss(
        4, "Number of steps from one gradient penalty to the next.", least=1
    )
    path_weight: float = fields.path_weight(1 / 32)
    path_every: int = fields.path_every(32)
    path_start: int = fields.path_start(5000)
    path_source: str = _loss(
        "both",
        "Source of w for path length regularization: latents (z), the encoder, or both.",
        choices=("z", "encoder", "both"),
    )
    w_match: str = _loss(
        "",
        "Experimental loss that matches the w of the encoder to those of latents: by means and "
        "deviations (moments) or by MMD.",
        choices=("", "moments", "mmd"),
    )
    w_match_weight: float = _loss(1.0, "Weight of the loss of --w_match.", least=0)
    mixing: float = fields.mixing()
    shift: bool = fields.shift()
    ema_decay: float = fields.ema_decay(0.995)
    learning_rate: float = fields.learning_rate(2e-4, "Learning rate of the generator's Adam.")
    encoder_rate: float = fields.learning_rate(
        0.05, "Learning rate of the encoder, relative to the generator's."
    )
    discriminator_rate: float = fields.learning_rate(
        1.5, "Learning rate of the discriminator, relative to the generator's."
    )
    beta_1: float = fields.beta_1(0.5)
    beta_2: float = fields.beta_2(0.9)
    accumulate: int = setting(
        1,
        "Number of batches whose gradients are accumulated for one update. Saves memory.",
        group="optimizers",
        least=1,
    )
    decay: bool = fields.decay()


# Settings of the authors' code that differ from the reproduction, as in `kerasgan.models.stylex` (a
# test compares them).
AUTHORS = {
    "gradient_penalty_weight": 10.0,
    "gradient_penalty_every": 16,
    "path_weight": 2.0,
    "path_every": 4,
    "path_start": 0,
    "ema_decay": 0.998,
    "stretch": False,
    "learning_rate": 2e-3,
    "encoder_rate": 1.0,
    "discriminator_rate": 1.0,
    "beta_1": 0.0,
    "beta_2": 0.99,
    "form": "authors",
    "mapping_form": "paper",
}
# Small networks for two CPU cores. With a learning rate of 0.001, training diverges within 600
# steps, or within 300 if the encoder has the generator's rate. With the authors' betas, Adam takes
# ten times larger steps after a sudden large gradient, and 0.0002 diverges, too. Fewer channels
# make each style coordinate matter more: with twice as many, reconstructions were sharper but few
# single attributes changed the prediction. With smaller initial weights of the encoder, the first
# attributes were easier to recognize. The reproduction's mapping network has small w at 256
# dimensions; with it, all samples from latents looked alike.
SMALL = AUTHORS | {
    "capacity": 3,
    "max_channels": 96,
    "latent_dim": 256,
    "depth": 8,
    "encoder_gain": 0.1,
    "learning_rate": 2e-4,
    "encoder_rate": 1.0,
    "beta_1": 0.5,
    "beta_2": 0.9,
    "gradient_penalty_weight": 1.0,
    "path_weight": 0.0,
    "rec_weight": 5.0,
    "shift": True,
    "decay": True,
}
DIGITS = SMALL | {"epochs": 300, "score_every": 20, "checkpoint_every": 20, "grid_every": 10}
PHOTOGRAPHS = AUTHORS | {"size": 64, "learning_rate": 2e-4, "rec_weight": 5.0, "score_every": 5}
PRESETS = {
    "quick": SMALL | {"epochs": 60, "score_every": 10, "grid_every": 5},
    # The shipped preset: generator, encoder and classifier are under 10 MB in half precision.
    "digits_8_9": DIGITS,
    "digits_8_rest": DIGITS
    | {"classes": "8,rest", "epochs": 50, "score_every": 5, "checkpoint_every": 5},
    "birds_64": SMALL
    | {
        "data": "synthetic_birds",
        "classes": "belly:yellow,blue",
        "size": 64,
        "num_images": 8000,
        "capacity": 8,
        "max_channels": 256,
        "epochs": 60,
        "shift": False,
        "checkpoint_every": 5,
    },
    "plants": PHOTOGRAPHS | {"data": "plants", "epochs": 50},
    "celeba": PHOTOGRAPHS | {"data": "celeba", "classes": "Male", "epochs": 20},
    # --data must name a folder of class folders.
    "ffhq": PHOTOGRAPHS | {"data": "ffhq", "epochs": 40},
    # On all of MNIST. The authors trained on photographs of 64 and 256 pixels, and the reproduction
    # on 8 and the rest.
    "reproduction": {"data": "mnist", "classes": "8,rest"},
    "authors": AUTHORS | {"data": "mnist", "classes": "8,rest"},
}
NETWORKS = (
    "capacity",
    "max_channels",
    "latent_dim",
    "depth",
    "mapping_form",
    "encoder_gain",
    "seed",
)


# === Data and model ===


def loaded(settings: Settings) -> tuple[Any, Any, list]:
    """Returns training and held-out images with labels, and the names of the classes."""
    return classifier.load(*classifier.task_of(settings))


def data(settings: Settings) -> Any:
    """Returns the training batches."""
    train, _, names = loaded(settings)
    repeats = settings.repeats or 1
    return classifier.balanced_batches(
        settings.data, train, settings.batch_size, settings.seed, len(names), repeats
    )


def expected_shape(settings: Settings) -> scale.DataShape:
    """Returns the shape of the data without reading them."""
    return classifier.expected_shape(settings)


@functools.lru_cache(1)
def trained(task: tuple) -> Any:
    """Returns a newly trained classifier of a task, see `classifier.task_of`."""
    changes = dict(zip(classifier.TASK, task, strict=True))
    network, log = classifier.train(classifier.fitted(**changes))
    print(
        f"the classifier: {log['heldout_accuracy']:.1%} of {log['heldout_images']} held-out "
        f"images right"
    )
    return network


def given_classifier(settings: Settings) -> Any:
    """Returns the network of `--classifier`. Raises ValueError if its images have another size."""
    network = checkpoints.load_network(settings.classifier)[0]
    size = network.input_shape[1]
    if size != settings.size:
        raise ValueError(
            f"--size must be that of the images of {settings.classifier}, {size}; "
            f"received {settings.size}"
        )
    return network


def build(settings: Settings, shape: scale.DataShape | None = None) -> Any:
    """Builds and compiles the `StylEx`.

    Args:
        settings: The recipe's settings.
        shape: Shape of the data. With it, no data are read and no classifier is trained.
    """
    stylegan2.check_size(settings.size)
    if shape is not None:
        names, train = [""] * shape.num_classes, None
        network = classifier.build(classifier.Settings(size=settings.size), shape)
        if settings.classifier and os.path.isfile(settings.classifier):
            given_classifier(settings)
    else:
        train, heldout, names = loaded(settings)
        if len(heldout[0]) < 4:
            raise ValueError(
                f"there must be at least 4 held-out images; received {len(heldout[0])}"
            )
        shape = scale.DataShape(train[0].shape[1:], len(names), data(settings).num_batches)
        if settings.classifier:
            network = given_classifier(settings)
        else:
            network = trained(classifier.task_of(settings))
    keras.utils.set_random_seed(settings.seed)  # The classifier's training has set its own seed.
    steps = settings.epochs * shape.num_batches

    def schedule(rate, updates):
        return schedules.FlatThenLinear(rate, steps * updates)

    model = recipe.built_quickly(stylex.build)(
        network,
        settings=model_settings(settings),
        **{name: getattr(settings, name) for name in NETWORKS},
        perceptual=perceptual.LPIPS(settings.lpips) if settings.lpips else None,
        augment=augment.translate if settings.shift else None,
        schedule=schedule if settings.decay else None,
        jit_compile=settings.jit_compile or "auto",
    )
    if model.classes != len(names):
        raise ValueError(
            f"the classifier must distinguish {len(names)} classes ({','.join(names)}); "
            f"it has {model.classes}"
        )
    if train is not None:
        model.check_arrays(train[0], None, None)
    return model


def model_settings(settings: Settings) -> dict:
    """Returns the `settings` argument of `kerasgan.models.stylex.build`."""
    form = {"reproduction": stylex.REPRODUCTION, "authors": stylex.AUTHORS}[settings.form]
    own = {field.name for field in dataclasses.fields(settings)}
    given = {name: getattr(settings, name) for name in form if name in own}
    given |= {name: getattr(settings, name) or None for name in stylex.CHOICES}
    return form | given | {"ema_decay": settings.ema_decay or None}


# === Samples and scores ===


def score(settings: Settings) -> Callable:
    """Returns the scoring function.

    It scores reconstructions of held-out images, the gap between w of latents and of the encoder,
    and samples from latents: their diversity within a class, relative to that of the images, and
    the share of samples that the classifier assigns to their class.
    """
    (train, classes), (pictures, labels), _ = loaded(settings)
    classes = classes[:1000]
    several = np.isin(classes, np.flatnonzero(np.bincount(classes) > 1))
    real_diversity = diversity.intra_class_diversity(train[:1000][several], classes[several])

    def scored(model, samples):
        chosen = np.random.default_rng(0).permutation(len(pictures))[:samples]
        right = model.image_conditions(pictures[chosen]).argmax(axis=1) == labels[chosen]
        found = model.reconstruction_scores(pictures[chosen])
        found = {f"heldout_{name}": value for name, value in found.items()}
        found |= model.w_gap(pictures[chosen])
        conditions = np.arange(max(len(chosen), 2 * model.classes)) % model.classes
        generated = model.sample(labels=conditions, seed=0)
        agrees = model.image_conditions(generated).argmax(axis=1) == conditions
        found["sample_agreement"] = float(agrees.mean())
        found["sample_diversity"] = (
            diversity.intra_class_diversity(generated, conditions) / real_diversity
        )
        about = {
            "images": len(chosen),
            "pixel": "mean |x - x'| in units of [0, 1]",
            "truncation": "none",
        }
        return found | {"classifier_accuracy": float(right.mean()), "protocol": about}

    return scored


def sample_grid(settings: Settings, columns: int = 12) -> Callable:
    """Returns a function of the model: held-out images, their reconstructions, then samples."""
    pictures, labels = loaded(settings)[1]
    order = np.argsort(labels, kind="stable")
    shown = pictures[order[np.linspace(0, len(order) - 1, 2 * columns).astype(int)]]

    def grid(model):
        reconstructed, samples = model.reconstruct(shown), model.sample(2 * columns, seed=0)
        halves = slice(0, columns), slice(columns, None)
        rows = [part[half] for half in halves for part in (shown, reconstructed)]
        return images.grid(np.concatenate([*rows, samples]), columns)

    return grid


RECIPE = recipe.Recipe(
    name="stylex",
    description="StylEx: reconstructs images as a classifier sees them, to explain the classifier.",
    settings=Settings,
    presets=PRESETS,
    data=data,
    build=build,
    sample_grid=sample_grid,
    dataset=lambda settings: classifier.task_name(settings.data, settings.classes),
    size=lambda settings: settings.size,
    score=score,
    shipped="stylex_digits_8_9",
    monitor="heldout_pixel",
    shape=expected_shape,
    count=classifier.count_training_images,
    doc=__doc__,
)


def main() -> None:
    recipe.main(RECIPE)


if __name__ == "__main__":
    main()
