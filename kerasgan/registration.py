"""Registers the classes and functions of kerasgan with Keras without importing all of kerasgan.

A saved configuration contains names such as `kerasgan>MnistGAN`, which
`keras.models.load_model` looks up in its registry. The decorator
`@keras.saving.register_keras_serializable` fills the registry only when a module is imported.
`register` therefore adds a stand-in for each class of `CLASSES`, whose `from_config` imports the
module of the class. Keras returns registered functions as they are, so the modules of `FUNCTIONS`,
which are small, are imported at once. A file cannot cause any other module to be imported.
"""

import importlib

import keras

CLASSES = {
    "kerasgan.layers.batch_norm": ("BatchNormalization",),
    "kerasgan.layers.blur_pool": ("BlurMaxPooling2D",),
    "kerasgan.layers.conditional_affine": ("ConditionalAffine",),
    "kerasgan.layers.conditional_batch_norm": ("ConditionalBatchNormalization",),
    "kerasgan.layers.conv3x3": ("Conv3x3",),
    "kerasgan.layers.conv_transpose": ("SmallConv2DTranspose",),
    "kerasgan.layers.dropout": ("SpatialDropout2D",),
    "kerasgan.layers.image_conv": ("ImageConv2D",),
    "kerasgan.layers.latent_flow": ("LatentFlow",),
    "kerasgan.layers.minibatch_deviation": ("MinibatchDeviation",),
    "kerasgan.layers.minibatch_discrimination": ("MinibatchDiscrimination",),
    "kerasgan.layers.mirror": ("Mirror",),
    "kerasgan.layers.modulated_conv": ("ModulatedConv2D",),
    "kerasgan.layers.reflection_conv": ("ReflectionConv2D", "UpsampleConv2D"),
    "kerasgan.layers.summed_dense": ("SummedDense",),
    "kerasgan.latents.prior": ("LatentPrior",),
    "kerasgan.losses.adversarial": ("NoisyLabels",),
    "kerasgan.losses.frechet": ("FrechetLoss",),
    "kerasgan.losses.perceptual": ("ClassifierDistance", "LPIPS"),
    "kerasgan.models.conditional_gan": ("ConditionalGAN",),
    "kerasgan.models.conditional_vae": ("ConditionalVAE",),
    "kerasgan.models.coopnet": ("CoopNet",),
    "kerasgan.models.real_nvp": ("Couplings", "RealNVP"),
    "kerasgan.models.hdgan": ("HDGAN", "ExtraCriticSteps"),
    "kerasgan.models.mnist_gan": ("MnistGAN",),
    "kerasgan.models.projected_text_gan": ("ProjectedTextGAN",),
    "kerasgan.models.stylegan2": ("StyleGAN2",),
    "kerasgan.models.stylegan2_networks": (
        "EqualDense",
        "Generator",
        "ResidualBlock",
        "StyleLayer",
    ),
    "kerasgan.models.stylex": ("StylEx",),
    "kerasgan.schedules": ("FlatThenLinear", "Halved"),
    "kerasgan.encoders.char_cnn_rnn": ("JointEmbedding", "TextEncoder"),
    "kerasgan.encoders.part_classifier": (
        "AttentionPooling",
        "CaptionMismatch",
        "PartClassifier",
    ),
    "kerasgan.encoders.part_encoder": ("PartEncoder",),
    "kerasgan.encoders.robust_image_encoder": ("RobustImageEncoder",),
    "kerasgan.player_optimizers": ("PlayerOptimizers",),
}
# Class names in files that earlier versions saved.
ALIASES = {
    "ImageGuide": ("kerasgan.encoders.robust_image_encoder", "RobustImageEncoder"),
    "NotedCriticSteps": ("kerasgan.models.hdgan", "ExtraCriticSteps"),
}
# Function names in files that earlier versions saved.
FUNCTION_ALIASES = {
    "squared_slope": ("kerasgan.losses.penalties", "squared_gradient_norm"),
    "noted_class_discriminator_loss": (
        "kerasgan.losses.classes",
        "fake_weighted_class_discriminator_loss",
    ),
    "normal_divergence": ("kerasgan.losses.variational", "normal_kl_divergence"),
    "unit_slope": ("kerasgan.losses.penalties", "unit_gradient_norm"),
}
# A model's own module registers `normal_latents` and `normal_log_prob`, which no other model is
# saved with.
FUNCTIONS = (
    "kerasgan.losses.adversarial",
    "kerasgan.losses.classes",
    "kerasgan.losses.penalties",
    "kerasgan.losses.variational",
    "kerasgan.ops.augment",
)


def register() -> None:
    """Registers every class and function that saved files may contain.

    `import kerasgan` calls it.
    """
    registry = keras.saving.get_custom_objects()
    for module, names in CLASSES.items():
        for name in names:
            registry.setdefault(f"kerasgan>{name}", _stand_in(module, name))
    for alias, (module, name) in ALIASES.items():
        registry.setdefault(f"kerasgan>{alias}", _stand_in(module, name))
    for module in FUNCTIONS:
        importlib.import_module(module)
    for alias, (module, name) in FUNCTION_ALIASES.items():
        registry.setdefault(f"kerasgan>{alias}", getattr(importlib.import_module(module), name))


def _stand_in(module, name):
    """Returns a class that imports `module` when Keras calls its `from_config`.

    Importing the module replaces the stand-in in Keras' registry by the real class.
    """

    def from_config(config):
        return getattr(importlib.import_module(module), name).from_config(config)

    return type(name, (), {"__module__": module, "from_config": staticmethod(from_config)})
