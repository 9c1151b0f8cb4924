"""StylEx: redraws images as a classifier sees them, so that what it looks at can be found and changed.

    python -m zoo.stylex --preset=quick
    python -m zoo.stylex --preset=digits_8_9 --classifier=runs/classifier/classifier_digits_8_9_32_C_epoch_40.h5

Trains on real handwritten eights and nines, an eight or any other digit, drawn birds by one attribute, PlantVillage's
leaves, CelebA's faces, or a folder of your own images in class folders. The classifier is a file of `zoo.classifier`,
or is trained first. On two CPU cores the operations of small networks run best side by side, on one thread each:
TF_NUM_INTRAOP_THREADS=1 in the environment.
"""

import dataclasses
import functools

import keras
import numpy as np

from kerasgan import images
from kerasgan.io import checkpoints
from kerasgan.losses.perceptual import LPIPS
from kerasgan.metrics.diversity import intra_class_diversity
from kerasgan.models import stylegan2, stylex
from kerasgan.ops.augment import translate
from kerasgan.schedules import FlatThenLinear
from zoo import classifier, recipe
from zoo.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """The defaults are the reproduction's; each question of the training notes is one of these."""

    epochs: int = setting(100, "epochs in all, those before a resume included", least=1)
    batch_size: int = setting(32, "images a step", least=1)
    data: str = setting(
        "digits",
        "digits (offline), mnist, synthetic_birds, plants, celeba, or a folder of class folders",
    )
    classes: str = setting(
        "8,9", "digits: 8,9 or 8,rest; birds: size or belly:yellow,blue; celeba: an attribute"
    )
    size: int = setting(32, "side in pixels, a power of two; digits have 28 and a margin", least=1)
    channels: int = setting(3, "of a folder's images, 1 or 3", choices=(1, 3))
    drawn: int = setting(
        4000, "number of drawn birds, before those of other values are left out", least=1
    )
    classifier: str = setting(
        "", "file of the classifier, from zoo.classifier; without, one is trained first"
    )
    form: str = setting(
        "reproduction",
        "losses and penalty: reproduction (hinge) or authors (logistic, R1)",
        choices=("reproduction", "authors"),
    )
    capacity: int = setting(16, "half the channels of the generator's last block", least=1)
    max_channels: int = setting(512, "the most channels of any layer", least=1)
    latent_dim: int = setting(512, "numbers of a style w", least=1)
    depth: int = setting(8, "layers of the mapping network", least=1)
    mapping_form: str = setting(
        "reproduction",
        "paper, or reproduction, in which w of latents fade below 512 numbers",
        choices=("paper", "reproduction"),
    )
    encoder_gain: float = setting(
        1.0, "how large the encoder's last weights begin, over Kaiming's", least=0
    )
    condition_on: str = setting(
        "probabilities",
        "what the generator is told of the classifier; or logits",
        choices=("probabilities", "logits"),
    )
    alternation: str = setting(
        "micro",
        "batches of: none (encoder), step (latents, encoder in turn), micro (halves)",
        choices=("none", "step", "micro"),
    )
    rec_in_discriminator_phase: str = setting(
        "",
        "none, or accumulate, extra_step, second_step (the control)",
        choices=("", "accumulate", "extra_step", "second_step"),
    )
    rec_weight: float = setting(1.0, "of the reconstruction", least=0)
    perceptual_weight: float = setting(
        0.1, "in the reconstruction, of the perceptual distance", least=0
    )
    w_weight: float = setting(0.1, "in the reconstruction, of the distance of w", least=0)
    pixel_weight: float = setting(
        1.0, "in the reconstruction, of the distance of pixels, in units of [0, 1]", least=0
    )
    kl_weight: float = setting(1.0, "of the divergence of the classifier's opinions", least=0)
    reverse_kl: bool = setting(
        False, "the divergence of the images' classes from the reconstructions'"
    )
    lpips: str = setting(
        "", "file of AlexNet's weights: LPIPS in place of the classifier's features"
    )
    stretch: bool = setting(
        True, "show the perceptual distance images stretched to [-1, 1], each by itself"
    )
    penalty_weight: float = setting(
        2.5, "of the discriminator's slope, once a step; 0 is none", least=0
    )
    penalty_every: int = setting(4, "steps from one slope to the next", least=1)
    path_weight: float = setting(1 / 32, "of path lengths, once a step; 0 is none", least=0)
    path_every: int = setting(32, "steps from one path length to the next", least=1)
    path_start: int = setting(5000, "steps before the first", least=0)
    path_source: str = setting(
        "both",
        "styles at which path lengths are taken: z, encoder or both",
        choices=("z", "encoder", "both"),
    )
    w_match: str = setting(
        "",
        "pull the encoder's w to those of latents by moments or mmd; none",
        choices=("", "moments", "mmd"),
    )
    w_match_weight: float = setting(1.0, "of that", least=0)
    mixing: float = setting(0.9, "share of samples of two latents", least=0, most=1)
    ema_decay: float = setting(
        0.995, "decay of the moving averages, which draw; 0 is none", least=0, below=1
    )
    shift: bool = setting(
        False, "shift all that the discriminator sees by up to two pixels (black backgrounds)"
    )
    learning_rate: float = setting(2e-4, "of the generator's Adam", above=0)
    encoder_rate: float = setting(0.05, "the encoder's learning rate over the generator's", above=0)
    discriminator_rate: float = setting(
        1.5, "the discriminator's learning rate over the generator's", above=0
    )
    beta_1: float = setting(0.5, "of Adam", least=0, below=1)
    beta_2: float = setting(0.9, "of Adam", least=0, below=1)
    accumulate: int = setting(
        1, "batches whose gradients make one step, for less memory than one large batch", least=1
    )
    decay: bool = setting(False, "let the learning rates fall to a twentieth over the second half")


FIELDS = {field.name for field in dataclasses.fields(Settings)}
OF_AUTHORS = {
    name: value for name, value in stylex.AUTHORS.items() if name in FIELDS and value is not None
}
# Small enough for two CPU cores. A rate of 0.001 explodes within 600 steps, with an encoder as fast as the generator
# within 300; with the authors' betas of Adam, by which a sudden gradient moves ten times as far as a usual one, 0.0002
# does too. Of few channels each does more; of twice as many, drawings were sharper and few attributes flipped anything.
# Where the encoder began small, first attributes were plainer in the runs looked at. With the reproduction's mapping,
# whose w fade at 256 numbers, samples of latents were all alike.
SMALL = OF_AUTHORS | {
    "form": "authors",
    "capacity": 3,
    "max_channels": 96,
    "latent_dim": 256,
    "depth": 8,
    "mapping_form": "paper",
    "encoder_gain": 0.1,
    "learning_rate": 2e-4,
    "encoder_rate": 1.0,
    "beta_1": 0.5,
    "beta_2": 0.9,
    "penalty_weight": 0.5,
    "path_weight": 0.0,
    "rec_weight": 5.0,
    "shift": True,
    "decay": True,
}
DIGITS = SMALL | {"epochs": 300, "score_every": 20, "checkpoint_every": 20, "grid_every": 10}
PHOTOGRAPHS = OF_AUTHORS | {
    "form": "authors",
    "mapping_form": "paper",
    "size": 64,
    "learning_rate": 2e-4,
    "rec_weight": 5.0,
    "score_every": 5,
}
PRESETS = {
    "quick": SMALL | {"epochs": 60, "score_every": 10, "grid_every": 5},
    # The shipped preset's: generator, encoder and classifier are under 10 MB in half precision.
    "digits_8_9": DIGITS,
    "digits_8_rest": DIGITS
    | {"classes": "8,rest", "epochs": 50, "score_every": 5, "checkpoint_every": 5},
    "birds_64": SMALL
    | {
        "data": "synthetic_birds",
        "classes": "belly:yellow,blue",
        "size": 64,
        "drawn": 8000,
        "capacity": 8,
        "max_channels": 256,
        "epochs": 60,
        "shift": False,
        "checkpoint_every": 5,
    },
    "plants": PHOTOGRAPHS | {"data": "plants", "epochs": 50},
    "celeba": PHOTOGRAPHS | {"data": "celeba", "classes": "Male", "epochs": 20},
    "ffhq": PHOTOGRAPHS
    | {"data": "ffhq", "epochs": 40},  # name yours by --data: a folder for each class
    # As they were trained, on all of MNIST: theirs were photographs of 64 and 256 pixels, and 8 against the rest.
    "reproduction": {"data": "mnist", "classes": "8,rest"},
    "authors": OF_AUTHORS
    | {"form": "authors", "mapping_form": "paper", "data": "mnist", "classes": "8,rest"},
}
FORMS = {"reproduction": stylex.REPRODUCTION, "authors": stylex.AUTHORS}
NETWORKS = (
    "capacity",
    "max_channels",
    "latent_dim",
    "depth",
    "mapping_form",
    "encoder_gain",
    "seed",
)
TASK = ("data", "classes", "size", "channels", "drawn")


def loaded(settings):
    return classifier.load(*(getattr(settings, name) for name in TASK))


def data(settings):
    train, _, names = loaded(settings)
    repeats = settings.repeats or 1
    return classifier.batches(
        settings.data, train, settings.batch_size, settings.seed, len(names), repeats
    )


@functools.lru_cache(1)
def trained(task):
    network, log = classifier.train(classifier.fitted(**dict(zip(TASK, task, strict=True))))
    print(
        f"the classifier: {log['heldout_accuracy']:.1%} of {log['heldout_images']} held-out images right"
    )
    return network


def build(settings):
    if settings.form not in FORMS:
        raise ValueError(f"form must be {' or '.join(FORMS)}; received {settings.form!r}")
    stylex.check_choices(
        chosen := {name: getattr(settings, name) or None for name in stylex.CHOICES}
    )
    stylegan2.check_size(settings.size)
    train, heldout, names = loaded(settings)
    if len(heldout[0]) < 4:
        raise ValueError(f"held-out images must be at least 4; received {len(heldout[0])}")
    if settings.classifier:
        network = checkpoints.load_network(settings.classifier)[0]
    else:
        network = trained(tuple(getattr(settings, name) for name in TASK))
    keras.utils.set_random_seed(settings.seed)  # the classifier's training has set its own
    given = {name: getattr(settings, name) for name in stylex.REPRODUCTION if name in FIELDS}
    given |= chosen | {"ema_decay": settings.ema_decay or None}
    steps = settings.epochs * data(settings).num_batches
    model = stylex.build(
        network,
        settings=FORMS[settings.form] | given,
        **{name: getattr(settings, name) for name in NETWORKS},
        perceptual=LPIPS(settings.lpips) if settings.lpips else None,
        augment=translate if settings.shift else None,
        schedule=(lambda rate, updates: FlatThenLinear(rate, steps * updates))
        if settings.decay
        else None,
        jit_compile=settings.jit_compile or "auto",
    )
    if model.classes != len(names):
        told = ",".join(names)
        raise ValueError(
            f"classifier must tell the {len(names)} classes {told} apart; received one of {model.classes}"
        )
    model.check_arrays(train[0], None, None)
    return model


def score(settings):
    """Of held-out images: how they are drawn again; how far the two kinds of w are apart; and of samples of latents:
    how far apart those of a class are, over the same of the images, and how often the classifier sees their class."""
    (train, classes), (pictures, labels), _ = loaded(settings)
    classes = classes[:1000]
    several = np.isin(classes, np.flatnonzero(np.bincount(classes) > 1))
    real_diversity = intra_class_diversity(train[:1000][several], classes[several])

    def scored(model, samples):
        chosen = np.random.default_rng(0).permutation(len(pictures))[:samples]
        right = model.image_conditions(pictures[chosen]).argmax(axis=1) == labels[chosen]
        found = model.reconstruction_scores(pictures[chosen])
        found = {f"heldout_{name}": value for name, value in found.items()} | model.w_gap(
            pictures[chosen]
        )
        asked = np.arange(max(len(chosen), 2 * model.classes)) % model.classes
        drawn = model.sample(labels=asked, seed=0)
        found["sample_agreement"] = float(
            (model.image_conditions(drawn).argmax(axis=1) == asked).mean()
        )
        found["sample_diversity"] = intra_class_diversity(drawn, asked) / real_diversity
        about = {
            "images": len(chosen),
            "pixel": "mean |x - x'| in units of [0, 1]",
            "truncation": "none",
        }
        return found | {"classifier_accuracy": float(right.mean()), "protocol": about}

    return scored


def draw(settings, columns=12):
    """Held-out images of all classes, their reconstructions under them; then two rows from latents."""
    pictures, labels = loaded(settings)[1]
    order = np.argsort(labels, kind="stable")
    shown = pictures[order[np.linspace(0, len(order) - 1, 2 * columns).astype(int)]]

    def drawn(model):
        again, samples = model.reconstruct(shown), model.sample(2 * columns, seed=0)
        halves = slice(0, columns), slice(columns, None)
        rows = [part[half] for half in halves for part in (shown, again)]
        return images.grid(np.concatenate([*rows, samples]), columns)

    return drawn


RECIPE = recipe.Recipe(
    name="stylex",
    description="Redraws images as a classifier sees them, so that what it looks at can be found and changed.",
    settings=Settings,
    presets=PRESETS,
    data=data,
    build=build,
    draw=draw,
    dataset=lambda settings: classifier.named(settings.data, settings.classes),
    size=lambda settings: settings.size,
    score=score,
    shipped="stylex_digits_8_9",
    monitor="heldout_pixel",
)

if __name__ == "__main__":
    recipe.main(RECIPE)
