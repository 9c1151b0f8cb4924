"""Base class of the text-to-image models: their text encoder, and `sample`."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerasgan.encoders.char_cnn_rnn import TextEncoder, text_encoder as load_text_encoder
from kerasgan.io.export import ExportFunction
from kerasgan.io.presets import check_own_name
from kerasgan.sampling import IMAGES, predict
from kerasgan.training import AdversarialModel
from kerasgan.types import Tensor


class TextToImageModel(AdversarialModel):
    """Base class of models that generate images from captions.

    The constructor of a subclass sets `generator` and `sizes` and calls `set_text_encoder`. Its
    configuration contains `text_encoder_config()`, its checkpoints `text_checkpoint_networks()`.

    Attributes:
        generator: Network from embeddings `[N, D]` and noise to one image of each size, smallest
            first, possibly followed by other outputs.
        ema_generator: Copy of `generator` with the exponential moving average of its weights, or
            `None`.
        sizes: Image sizes, smallest first.
    """

    conditioning = "captions"
    # Earlier versions did not save the text encoder with a run. A run that they saved resumes with
    # the text encoder of the model.
    networks_of_later_versions = ("T",)

    # === Text encoder ===

    def set_text_encoder(self, text_encoder: str | Callable | None) -> None:
        """Sets the text encoder of `sample(captions=...)`.

        Args:
            text_encoder: Name of a preset, a `TextEncoder`, another callable from a list of
                captions to embeddings, or `None`.

        Raises:
            ValueError: If its embeddings have another dimension than the generator's.
        """
        self.text_encoder_name = text_encoder if isinstance(text_encoder, str) else None
        self._text_encoder = None if isinstance(text_encoder, str) else text_encoder
        # Keras tracks the network, so that files of the whole model hold its weights.
        self.text_network = text_encoder.network if isinstance(text_encoder, TextEncoder) else None
        if self.text_network is not None:
            self.sampling_networks = ("generator", "text_encoder")
        self._check_text_encoder()

    def _check_text_encoder(self):
        dim = getattr(self._text_encoder, "dim", None)
        if dim is not None and dim != self.embedding_dim:
            raise ValueError(
                f"text_encoder must return embeddings of the generator's dimension, "
                f"{self.embedding_dim}; received one of dimension {dim}"
            )

    @property
    def text_encoder(self) -> Callable[[list[str]], np.ndarray] | None:
        """Callable from captions to embeddings, or `None`. A preset is loaded at first use."""
        if self._text_encoder is None and self.text_encoder_name:
            self._text_encoder = load_text_encoder(check_own_name(self.text_encoder_name))
            self._check_text_encoder()
        return self._text_encoder

    def text_encoder_config(self) -> Any:
        """Returns the text encoder in the form that a configuration stores, or `None`."""
        if self.text_network is None:
            return self.text_encoder_name
        return keras.saving.serialize_keras_object(self._text_encoder)

    def text_checkpoint_networks(self) -> dict[str, keras.Model]:
        """Returns the part of `checkpoint_networks()` that holds the text encoder."""
        return {} if self.text_network is None else {"text_encoder": self.text_network}

    def use_file_info(self, info: dict) -> None:
        """Takes the name of the text encoder from a file whose configuration lacks it.

        Files saved before the argument `text_encoder` existed name the text encoder of their
        training in the file's `info`.

        Args:
            info: Result of `kerasgan.io.checkpoints.read_info`.
        """
        if self.text_encoder_name is None and self._text_encoder is None:
            self.text_encoder_name = info.get("text_encoder") or None

    # === Sampling ===

    @property
    def embedding_dim(self) -> int:
        """Dimension of the caption embeddings."""
        return self.sampling_generator.inputs[0].shape[-1]

    def call_inputs(self) -> list[keras.KerasTensor]:
        return self.sampling_generator.inputs

    @property
    def latent_dim(self) -> int:  # type: ignore[override]
        """Number of values of the generator's inputs other than the embeddings.

        These are its latents and, if it has conditioning augmentation, the conditioning noise.
        """
        return sum(x.shape[-1] for x in self.sampling_generator.inputs[1:])

    def split_latents(self, latents: Tensor) -> list[Tensor]:
        """Splits latents `[N, latent_dim]` into the generator's inputs after the embeddings."""
        ends = np.cumsum([x.shape[-1] for x in self.sampling_generator.inputs[1:]])
        return [latents[:, start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def sampling_inputs(self) -> dict[str, keras.InputSpec]:
        dims = {"embeddings": self.embedding_dim, "latents": self.latent_dim}
        return {
            name: keras.InputSpec(shape=(None, dim), dtype="float32", name=name)
            for name, dim in dims.items()
        }

    def generate_from(self, inputs: dict[str, Tensor]) -> Tensor:
        outputs = self([inputs["embeddings"], *self.split_latents(inputs["latents"])])
        return keras.tree.flatten(outputs)[len(self.sizes) - 1]

    def export_functions(self) -> dict[str, ExportFunction]:
        def generate(inputs):
            outputs = self([inputs["embeddings"], *self.split_latents(inputs["latents"])])
            return dict(zip(names, keras.tree.flatten(outputs), strict=False))

        names = [*(f"images_{size}" for size in self.sizes[:-1]), "images"]
        network = self.sampling_generator
        described = {name: IMAGES for name in names}
        functions = {
            "generator": ExportFunction(self.sampling_inputs(), generate, [network], described)
        }
        if isinstance(self.text_encoder, TextEncoder):
            functions["text_encoder"] = self.text_encoder.export_function()
        return functions

    def sample(
        self,
        n: None = None,
        captions: list[str] | None = None,
        seed: int | None = None,
        *,
        embeddings: np.ndarray | None = None,
        latents: np.ndarray | None = None,
        sizes: str | None = None,
        batch_size: int = 16,
    ) -> np.ndarray | dict[int, np.ndarray]:
        """Generates images from captions in inference mode.

        It uses the exponential moving average of the generator if the model has one.

        Args:
            n: Not supported: the model generates one image per caption. Repeat a caption for
                several images.
            captions: List of N captions. The model needs a text encoder. A warning names the words
                that the text encoder was not trained on.
            seed: Integer seed of the latents. The same seed gives the same images on the same
                backend. `None` gives new images at each call.
            embeddings: Caption embeddings `[N, D]` instead of captions.
            latents: Latents `[N, latent_dim]` instead of `seed`; see `random_latents`.
            sizes: `None` for images of the largest size, or `"all"` for all sizes.
            batch_size: Number of images per forward pass. It does not change the images.

        Returns:
            Float32 images `[N, S, S, 3]` in [-1, 1] of the largest size S. With `sizes="all"`, a
            dict from size to such an array.

        Raises:
            ValueError: If not exactly one of `captions` and `embeddings` is given, if the model has
                no text encoder, or if the embeddings or latents have another shape.

        Example:
            ```python
            images = gan.sample(captions=["a small red bird"] * 4, seed=0)  # [4, S, S, 3]
            ```
        """
        if n is not None or (captions is None) == (embeddings is None):
            values = {"n": n, "captions": captions, "embeddings": embeddings}
            given = [name for name, value in values.items() if value is not None] or ["none"]
            raise ValueError(
                "sample takes either captions=[...] or embeddings=, one for each image, and no n; "
                f"received {' and '.join(given)}"
            )
        if sizes not in (None, "all"):
            raise ValueError(f"sizes must be None (the largest) or 'all'; received {sizes!r}")
        if captions is not None:
            embeddings = self.encode_captions(captions)
        embeddings = np.asarray(embeddings, "float32")
        if embeddings.ndim != 2 or not len(embeddings) or embeddings.shape[1] != self.embedding_dim:
            raise ValueError(
                f"embeddings must be [N, {self.embedding_dim}] with N at least 1; "
                f"received {list(embeddings.shape)}"
            )
        latents = self.latents_to_sample(len(embeddings), seed, latents)
        inputs = [embeddings, *self.split_latents(latents)]
        network = self.sampling_generator
        outputs = keras.tree.flatten(predict(network, inputs, batch_size))
        images = outputs[: len(self.sizes)]
        return dict(zip(self.sizes, images, strict=True)) if sizes == "all" else images[-1]

    def encode_captions(self, captions: list[str]) -> np.ndarray:
        """Embeddings `[N, D]` of captions by the model's text encoder.

        Raises:
            ValueError: If the model has no text encoder, or if there are no captions.
        """
        if self.text_encoder is None:
            name = type(self).__name__
            raise ValueError(
                f"captions need a model with a text encoder ({name}(text_encoder=...)); this model "
                "was trained on embeddings of its data set: give embeddings="
            )
        if isinstance(captions, (list, tuple)) and not captions:
            raise ValueError("captions must contain at least one caption; received none")
        return self.text_encoder(captions)
