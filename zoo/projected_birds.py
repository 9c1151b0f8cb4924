"""Birds from captions with a frozen-feature discriminator: one stage of the training, at 64, 128 or
256 pixels.

python -m zoo.projected_birds                    64 pixels, 10 minutes on two cores
python -m zoo.projected_birds --preset=stage_64  the first stage of the full schedule
"""

import dataclasses
import functools

import keras
import numpy as np

from kerasgan import images
from kerasgan.data.drawn_birds import drawn_birds
from kerasgan.data.fresh_birds import FreshBirds
from kerasgan.images import from_uint8
from kerasgan.metrics.birds import score_birds
from kerasgan.metrics.image_statistics import mean_pixel_distance, period_two_peak
from kerasgan.models import projected_text_gan as gans
from kerasgan.schedules import FlatThenLinear
from zoo import image_guide, recipe, text_gan
from zoo.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """The defaults are those of the 64 pixel stage."""

    epochs: int = setting(20, "Number of epochs, including those before a resume.", least=1)
    batch_size: int = setting(32, "Images per step.", least=2)
    size: int = setting(64, "Side of the images.", choices=(64, 128, 256))
    birds: int = setting(4096, "Number of birds in an epoch.", least=2)
    lifetime: int = setting(
        4,
        "Epochs for which an image is kept; 1 replaces all in every epoch, 0 none ever.",
        least=0,
    )
    processes: int = setting(1, "Worker processes that draw birds.", least=0)
    captions: int = setting(
        1, "Number of caption embeddings that are averaged for one image.", least=1
    )
    text_encoder: str = setting("drawn_birds_text", "Preset or checkpoint of the text encoder.")
    guide: str = setting(
        "drawn_birds_guide", "Frozen image encoder: preset or checkpoint of zoo.image_guide."
    )
    width: int = setting(16, "Multiplier of the generator's channels.", least=1)
    head_width: int = setting(
        48, "Channels of the heads on the frozen features; 0 leaves them out.", least=0
    )
    pixel_width: int = setting(16, "Width of the pixel discriminator; 0 leaves it out.", least=0)
    spectral_norm: bool = setting(True, "Apply spectral normalization to the heads.")
    antialias: bool = setting(True, "Blur before subsampling in the frozen encoder.")
    translation: int = setting(
        0, "Largest random shift of the discriminators' images, in pixels.", least=0
    )
    mismatch_weight: float = setting(
        0.7, "Share of mismatched pairs among negative pairs.", least=0, most=1
    )
    contrastive_weight: float = setting(
        1.0, "Weight of the contrastive matching loss of the heads.", least=0
    )
    pixel_weight: float = setting(
        1.0, "Weight of the pixel discriminator in the generator's loss.", least=0
    )
    penalty_weight: float = setting(0.5, "Weight (gamma) of R1 and R2.", least=0)
    damsm_weight: float = setting(0.0, "Weight of the DAMSM loss.", least=0)
    ema_decay: float = setting(0.999, "Decay of the generator's moving average.", least=0, below=1)
    learning_rate: float = setting(5e-4, "Learning rate of the generator's Adam.", above=0)
    discriminator_rate: float = setting(
        0.0, "Learning rate of the discriminators; 0 takes the generator's.", least=0
    )
    beta_2: float = setting(0.99, "Second-moment decay of Adam.", least=0, below=1)
    decay: bool = setting(
        False, "Let the rates fall linearly over the second half of the training."
    )
    start: str = setting("", "Run folder of the smaller stage, or of the same one, to start from.")
    frozen: bool = setting(True, "Freeze the smaller stage's generator.")


def data(settings):
    encode = text_gan.encoder(settings.text_encoder)
    lifetime = settings.lifetime or settings.epochs + 1
    return FreshBirds(
        settings.birds,
        settings.batch_size,
        encode,
        settings.size,
        settings.captions,
        lifetime,
        settings.seed,
        settings.processes if settings.lifetime else 0,
    )


def generator_of(settings, before):
    """A new generator, or one that extends or continues that of the stage before."""
    dim = text_gan.encoder(settings.text_encoder).dim
    if before is None:
        return gans.build_generator(settings.size, settings.width, embedding_dim=dim)
    if before.size == settings.size:
        return gans.build_generator_like(before.ema_generator)
    smaller = gans.build_generator_like(before.ema_generator)
    while smaller.output.shape[1] < settings.size:
        smaller = gans.extend_generator(smaller, settings.width, settings.frozen)
    return smaller


def discriminators_of(settings, encoder, dim):
    """Networks on the whole image, and on a crop where the generator is larger than the encoder."""
    features = gans.build_frozen_features(encoder, settings.antialias)
    side, networks = encoder.input_shape[1], {}
    for prefix in ("", "crop_") if settings.size > side else ("",):
        if settings.head_width:
            networks[f"{prefix}features"] = gans.build_feature_discriminator(
                features,
                embedding_dim=dim,
                width=settings.head_width,
                spectral_norm=settings.spectral_norm,
                name=f"{prefix}feature_discriminator",
            )
        if settings.pixel_width:
            networks[f"{prefix}pixels"] = gans.build_pixel_discriminator(
                side, settings.pixel_width, embedding_dim=dim, name=f"{prefix}pixel_discriminator"
            )
    return networks


def build(settings):
    before = text_gan.last_of(settings.start) if settings.start else None
    encoder = image_guide.network(settings.guide)
    dim = text_gan.encoder(settings.text_encoder).dim
    names = (
        "antialias",
        "translation",
        "mismatch_weight",
        "contrastive_weight",
        "pixel_weight",
        "penalty_weight",
        "damsm_weight",
        "ema_decay",
        "seed",
    )
    gan = gans.ProjectedTextGAN(
        generator_of(settings, before),
        encoder,
        discriminators_of(settings, encoder, dim),
        **{name: getattr(settings, name) for name in names},
    )
    if before is not None:
        gan.start_from(before)
    steps = settings.birds // settings.batch_size

    def adam(rate):
        if settings.decay:
            rate = FlatThenLinear(rate, settings.epochs * steps)
        return keras.optimizers.Adam(rate, beta_1=0.0, beta_2=settings.beta_2)

    gan.compile(
        generator=adam(settings.learning_rate),
        discriminator=adam(settings.discriminator_rate or settings.learning_rate),
        jit_compile=settings.jit_compile or "auto",
    )
    return gan


@functools.cache
def _test(size, text_encoder, count=200):
    """Test birds with the embeddings of their captions, and as float images of a size."""
    birds = drawn_birds("test", count, size=size * 19 // 16).embed(text_gan.encoder(text_encoder))
    edge = (birds.images.shape[1] - size) // 2
    return birds, from_uint8(birds.images[:, edge : edge + size, edge : edge + size])


def draw(settings):
    """Sixteen captions of unseen species, and below them eight captions with eight latents each."""

    def picture(model):
        birds, _ = _test(settings.size, settings.text_encoder)
        chosen = np.random.default_rng(0).permutation(len(birds))[:16]
        captions, embeddings = [birds.captions[i][0] for i in chosen], birds.embeddings[chosen, 0]
        sheet = images.captioned_sheet(
            captions, {settings.size: model.sample(embeddings, seed=0)}, columns=4
        )
        many = model.sample(np.repeat(embeddings[:8], 8, axis=0), seed=1)
        grid = images.grid(images.to_uint8(many), 8)
        width = max(sheet.shape[1], grid.shape[1])
        padded = [
            np.pad(x, ((0, 0), (0, width - x.shape[1]), (0, 0)), constant_values=255)
            for x in (sheet, grid)
        ]
        return np.concatenate(padded)

    return picture


class _BySize:
    """A model as `score_birds` takes it: `sample` returns a dictionary by size."""

    def __init__(self, model):
        self.sizes, self.noise, self.model = (model.size,), model.noise, model

    def sample(self, embeddings, noise=None, seed=None):
        return {self.sizes[0]: self.model.sample(embeddings, noise, seed, batch_size=50)}


def score(settings):
    def scores(model, samples):
        found = score_birds(_BySize(model), text_gan.encoder(settings.text_encoder), None, 1000)
        birds, real = _test(model.size, settings.text_encoder)
        found["period_two_peak"] = period_two_peak(model.sample(birds.embeddings[:, 1], seed=2))
        found["period_two_peak_data"] = period_two_peak(real)
        one = model.sample(np.repeat(birds.embeddings[:50, 0], 4, axis=0), seed=3)
        of_species = real.reshape(4, 50, *real.shape[1:]).swapaxes(
            0, 1
        )  # bird i is of species i mod 50
        distances = (
            mean_pixel_distance(one.reshape(50, 4, *one.shape[1:])),
            mean_pixel_distance(of_species),
        )
        found["latent_diversity"] = distances[0] / distances[1]
        return found

    return scores


RECIPE = recipe.Recipe(
    name="projected_birds",
    description="Birds from captions with a frozen-feature discriminator, one stage.",
    settings=Settings,
    presets={
        "quick": {"decay": True},
        "stage_64": {"epochs": 280, "decay": True, "score_every": 40},
    },
    data=data,
    build=build,
    draw=draw,
    dataset=lambda settings: "drawn_birds",
    size=lambda settings: settings.size,
    score=score,
    monitor="attribute_accuracy",
    mode="max",
)

if __name__ == "__main__":
    recipe.main(RECIPE)
