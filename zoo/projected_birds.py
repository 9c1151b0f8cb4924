"""Trains one stage of a ProjectedTextGAN on synthetic birds, at 64, 128 or 256 pixels.

    python -m zoo.projected_birds

Presets:

- `quick`: 64 pixels; 10 minutes on two cores.

`python -m zoo.birds_256 --preset=full` trains all stages.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

from zoo import lazy, recipe, scale, settings as fields, text_gan
from zoo.settings import setting

keras = lazy.module("keras")
np = lazy.module("numpy")
images = lazy.module("kerasgan.images")
fresh_birds = lazy.module("kerasgan.datasets.fresh_birds")
synthetic = lazy.module("kerasgan.datasets.synthetic_birds")
image_statistics = lazy.module("kerasgan.metrics.image_statistics")
birds_protocol = lazy.module("kerasgan.metrics.protocols.birds")
gans = lazy.module("kerasgan.models.projected_text_gan")
schedules = lazy.module("kerasgan.schedules")
checkpoints = lazy.module("kerasgan.io.checkpoints")
latent_priors = lazy.module("zoo.latent_prior")
part_encoder = lazy.module("zoo.part_encoder")
part_classifier = lazy.module("zoo.part_classifier")
robust_image_encoder = lazy.module("zoo.robust_image_encoder")


@dataclasses.dataclass(frozen=True)
class Settings(recipe.Settings):
    """Settings of the recipe. Defaults: those of the 64 pixel stage."""

    epochs: int = fields.epochs(20)
    batch_size: int = fields.batch_size(32, least=2)
    size: int = setting(64, "Side of the images in pixels.", group="data", choices=(64, 128, 256))
    num_images: int = fields.num_images(4096, "Number of synthetic birds per epoch.")
    lifetime: int = setting(
        4,
        "Number of epochs after which an image is replaced by a new one. 0: never.",
        group="data",
        least=0,
    )
    birds: str = setting(
        "train",
        "Birds of the training species (train), birds with random attributes but no color "
        "combinations of test species (random), the same with more flying birds (flying), or pairs "
        "of random birds that differ in one attribute (pairs).",
        group="data",
        choices=("train", "random", "flying", "pairs"),
    )
    processes: int = setting(
        1, "Number of worker processes that create birds.", group="data", least=0
    )
    captions: int = setting(
        1,
        "Number of captions per image. They are chosen at random in each step, and their "
        "embeddings are averaged.",
        group="data",
        least=1,
    )
    text_encoder: str = setting(
        "synthetic_birds_text", "Text encoder: a preset or checkpoint.", group="networks"
    )
    image_encoder: str = setting(
        "synthetic_birds_part_encoder",
        "Frozen image encoder: a preset or checkpoint of zoo.part_encoder or "
        "zoo.robust_image_encoder.",
        group="networks",
    )
    width: int = fields.width(24, "Base number of channels of the generator.")
    mirror: bool = setting(
        False,
        "Train on birds that face right, and mirror a random half of the samples.",
        group="networks",
    )
    posterior_width: int = fields.width(
        64,
        "Base number of channels of the posterior, the network that infers latents from images. "
        "0: no posterior and no reconstruction loss.",
        least=0,
    )
    latent_flow: str = setting(
        "",
        "Learned prior of the latents of --start: a folder or checkpoint of zoo.latent_prior. It "
        "becomes a frozen part of the generator, which then needs --posterior_width=0. Default: "
        "none.",
        group="networks",
    )
    head_width: int = fields.width(
        48, "Channels of the discriminator heads on the frozen features. 0: no such heads.", least=0
    )
    pixel_width: int = fields.width(
        16, "Base number of channels of the pixel discriminator. 0: none.", least=0
    )
    spectral_norm: bool = setting(
        True, "Apply spectral normalization to the discriminator heads.", group="networks"
    )
    antialias: bool = setting(
        True, "Blur feature maps before the frozen encoder subsamples them.", group="networks"
    )
    translation: int = setting(
        0,
        "Maximum random shift of the discriminators' input images, in pixels.",
        group="losses",
        least=0,
    )
    mismatch_weight: float = setting(
        0.7,
        "Weight of mismatched pairs in the loss of the negative pairs. Generated images have the "
        "rest.",
        group="losses",
        least=0,
        most=1,
    )
    contrastive_weight: float = setting(
        2.0,
        "Weight of the contrastive image-text matching loss of the heads.",
        group="losses",
        least=0,
    )
    pixel_weight: float = setting(
        1.0,
        "Weight of the pixel discriminator in the generator's loss.",
        group="losses",
        least=0,
    )
    gradient_penalty_weight: float = setting(
        0.5,
        "Weight of the R1 and R2 gradient penalties (at real and generated images).",
        group="losses",
        least=0,
    )
    posterior_share: float = setting(
        0.5,
        "Share of a batch whose latents are inferred from the images. Without discriminators, all "
        "are inferred.",
        group="losses",
        above=0,
        most=1,
    )
    reconstruction_weight: float = setting(
        0.5,
        "Weight of the reconstruction loss of images from their inferred latents.",
        group="losses",
        least=0,
    )
    kl_weight: float = setting(
        0.004,
        "Weight of the KL divergence of the inferred latents from N(0, 1).",
        group="losses",
        least=0,
    )
    damsm_weight: float = setting(
        0.0, "Weight of the DAMSM loss. 0 disables it.", group="losses", least=0
    )
    auxiliary_classifier: str = setting(
        "",
        "Frozen network that compares images with captions in the generator's loss: a folder or "
        "checkpoint of zoo.part_classifier. Default: none.",
        group="losses",
    )
    auxiliary_weight: float = setting(
        1.0, "Weight of the auxiliary classifier's loss.", group="losses", least=0
    )
    frechet_weight: float = setting(
        0.0,
        "Weight of the Fréchet distance between the auxiliary classifier's features of real and "
        "generated images.",
        group="losses",
        least=0,
    )
    ema_decay: float = fields.ema_decay(0.998)
    learning_rate: float = fields.learning_rate(7e-4, "Learning rate of the generator's Adam.")
    discriminator_rate: float = setting(
        1.0,
        "Learning rate of the discriminators, relative to the generator's.",
        group="optimizers",
        above=0,
    )
    beta_1: float = fields.beta_1(0.0)
    beta_2: float = fields.beta_2(0.99)
    decay: bool = fields.decay()
    start: str = setting(
        "",
        "Folder of an earlier run of the same or half the image size. Training starts from its "
        "last networks.",
    )
    frozen: bool = setting(
        True, "Freeze the layers that come from a --start of half the size.", group="networks"
    )


# === Data ===


def data(settings: Settings) -> Any:
    """Returns the training batches."""
    return fresh_birds.FreshBirds(
        settings.num_images,
        settings.batch_size,
        text_gan.encoder(settings.text_encoder),
        settings.size,
        settings.captions,
        settings.lifetime or settings.epochs + 1,
        settings.seed,
        settings.processes if settings.lifetime else 0,
        not settings.mirror,
        settings.birds,
    )


def expected_shape(settings: Settings) -> scale.DataShape:
    """Returns the shape of the data without generating them. Embeddings have 1,024 dimensions."""
    steps = max(settings.num_images // settings.batch_size, 1)
    size = settings.size
    return scale.DataShape((size, size, 3), num_batches=steps, embedding_dim=1024)


# === Model ===


def frozen_encoder(name: str) -> Any:
    """Returns the image encoder of a preset or checkpoint of either encoder recipe."""
    path = pathlib.Path(name)
    if name == part_encoder.NAME or checkpoints.latest(path, letter="P") or "_P_epoch" in path.name:
        return part_encoder.network(name)
    return robust_image_encoder.network(name)


def generator_of(settings: Settings, before: Any, embedding_dim: int) -> Any:
    """Returns a new generator, or one that extends or continues the generator of `start`."""
    if before is None:
        return gans.build_generator(
            settings.size, settings.width, embedding_dim=embedding_dim, mirror=settings.mirror
        )
    network = gans.build_generator_like(before.ema_generator)
    if settings.latent_flow and not gans.has_latent_flow(network):
        prior = latent_priors.network(settings.latent_flow, settings.text_encoder)
        network = gans.with_latent_flow(network, prior.get_layer("latent_flow"))
    while network.output.shape[1] < settings.size:
        network = gans.extend_generator(network, settings.width, settings.frozen)
    return network


def discriminators_of(settings: Settings, encoder: Any, embedding_dim: int) -> dict:
    """Returns the discriminators of whole images and, at a `size` above the encoder's, of crops."""
    features = gans.frozen_maps(encoder, settings.antialias)
    side, networks = encoder.input_shape[1], {}
    for prefix in ("", "crop_") if settings.size > side else ("",):
        if settings.head_width:
            networks[f"{prefix}features"] = gans.build_feature_discriminator(
                features,
                embedding_dim=embedding_dim,
                width=settings.head_width,
                spectral_norm=settings.spectral_norm,
                name=f"{prefix}feature_discriminator",
            )
        if settings.pixel_width:
            networks[f"{prefix}pixels"] = gans.build_pixel_discriminator(
                side,
                settings.pixel_width,
                embedding_dim=embedding_dim,
                name=f"{prefix}pixel_discriminator",
            )
    return networks


def build(settings: Settings, shape: scale.DataShape | None = None) -> Any:
    """Returns the compiled `ProjectedTextGAN`.

    Args:
        settings: The recipe's settings.
        shape: Shape of the data. By default it follows from the settings and the text encoder.
    """
    if shape is None:
        dim = text_gan.encoder(settings.text_encoder).dim
        shape = dataclasses.replace(expected_shape(settings), embedding_dim=dim)
    dim = shape.embedding_dim
    before = text_gan.last_of(settings.start) if settings.start else None
    if settings.latent_flow and before is None:
        raise ValueError("latent_flow needs the run whose latents it learned; received no start")
    if before is not None and before.size > settings.size:
        raise ValueError(
            f"start must be a run of at most {settings.size} pixels; received {settings.start} of "
            f"{before.size}"
        )
    encoder = frozen_encoder(settings.image_encoder)
    posterior = None
    if settings.posterior_width:
        posterior = gans.build_posterior(
            gans.frozen_maps(encoder, settings.antialias),
            embedding_dim=dim,
            width=settings.posterior_width,
        )
    auxiliary = None
    if settings.auxiliary_classifier:
        auxiliary = part_classifier.network(settings.auxiliary_classifier, settings.text_encoder)
    names = (
        "antialias",
        "translation",
        "mismatch_weight",
        "contrastive_weight",
        "pixel_weight",
        "gradient_penalty_weight",
        "posterior_share",
        "reconstruction_weight",
        "kl_weight",
        "damsm_weight",
        "ema_decay",
        "seed",
    )
    gan = gans.ProjectedTextGAN(
        generator_of(settings, before, dim),
        encoder,
        discriminators_of(settings, encoder, dim),
        posterior=posterior,
        text_encoder=text_gan.referenced_encoder(settings.text_encoder),
        auxiliary_classifier=auxiliary,
        auxiliary_weight=settings.auxiliary_weight if auxiliary else 0.0,
        frechet_weight=settings.frechet_weight if auxiliary else 0.0,
        **{name: getattr(settings, name) for name in names},
    )
    if before is not None:
        gan.start_from(before)

    def adam(rate):
        if settings.decay:
            rate = schedules.FlatThenLinear(rate, settings.epochs * shape.num_batches)
        return keras.optimizers.Adam(rate, beta_1=settings.beta_1, beta_2=settings.beta_2)

    gan.compile(
        generator=adam(settings.learning_rate),
        discriminator=adam(settings.learning_rate * settings.discriminator_rate),
        jit_compile=settings.jit_compile or "auto",
    )
    return gan


# === Samples and scores ===


@functools.cache
def _test(size, text_encoder, count=200):
    """Returns test birds with caption embeddings, and their images as float arrays of a size."""
    birds = synthetic.synthetic_birds("test", count, size=size * 19 // 16)
    birds = birds.embed(text_gan.encoder(text_encoder))
    edge = (birds.images.shape[1] - size) // 2
    return birds, images.from_uint8(birds.images[:, edge : edge + size, edge : edge + size])


def sample_grid(settings: Settings) -> Callable:
    """Returns a function that maps a model to a sheet of unseen captions with their images.

    The first sixteen captions have one image each. The next eight have eight images each, from
    different latents.
    """

    def sheets(model):
        birds, _ = _test(settings.size, settings.text_encoder)
        chosen = np.random.default_rng(0).permutation(len(birds))[:16]
        captions, embeddings = [birds.captions[i][0] for i in chosen], birds.embeddings[chosen, 0]
        sheet = images.captioned_sheet(
            captions, model.sample(embeddings=embeddings, seed=0, sizes="all"), columns=4
        )
        many = model.sample(embeddings=np.repeat(embeddings[:8], 8, axis=0), seed=1)
        grid = images.grid(images.to_uint8(many), 8)
        width = max(sheet.shape[1], grid.shape[1])
        padded = [
            np.pad(x, ((0, 0), (0, width - x.shape[1]), (0, 0)), constant_values=255)
            for x in (sheet, grid)
        ]
        return np.concatenate(padded)

    return sheets


def score(settings: Settings) -> Callable:
    """Returns the scoring function: `score_birds` on 1,000 images, artifacts and diversity."""

    def scores(model, samples):
        found = birds_protocol.score_birds(
            model, text_gan.encoder(settings.text_encoder), None, 1000
        )
        birds, real = _test(model.size, settings.text_encoder)
        peak, distance = image_statistics.period_two_peak, image_statistics.mean_pixel_distance
        found["period_two_peak"] = peak(model.sample(embeddings=birds.embeddings[:, 1], seed=2))
        found["period_two_peak_data"] = peak(real)
        one = model.sample(embeddings=np.repeat(birds.embeddings[:50, 0], 4, axis=0), seed=3)
        # Bird i is of species i mod 50.
        of_species = real.reshape(4, 50, *real.shape[1:]).swapaxes(0, 1)
        generated = distance(one.reshape(50, 4, *one.shape[1:]))
        found["latent_diversity"] = generated / distance(of_species)
        return found

    return scores


RECIPE = recipe.Recipe(
    name="projected_birds",
    description="Birds from captions with a frozen-feature discriminator, one stage.",
    settings=Settings,
    presets={
        "quick": {"decay": True, "mirror": True},
    },
    data=data,
    build=recipe.built_quickly(build),
    sample_grid=sample_grid,
    dataset=lambda settings: "synthetic_birds",
    size=lambda settings: settings.size,
    score=score,
    monitor="attribute_accuracy",
    mode="max",
    shape=expected_shape,
    doc=__doc__,
)


def main() -> None:
    recipe.main(RECIPE)


if __name__ == "__main__":
    main()
