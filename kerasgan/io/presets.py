"""Presets: trained models by name.

A preset is a folder with one file per network, such as `G.h5` (see `kerasgan.io.checkpoints`:
configuration, half-precision weights, checksum), and a model card `card.md`, which describes the
model, its training data, its scores and its licence. The preset of a text encoder contains `T.h5`
instead, and `V.h5` if there is an image encoder.

The presets that ship with the package are the folders of `kerasgan/presets/`. `kerasgan.io.hub`
fetches others: `hf://...`, `kaggle://...` and `https://....tar.gz` are accepted wherever the name
of a preset is.
"""

import os
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import keras

from kerasgan.io import archives, checkpoints, files, hub, model_card
from kerasgan.io.network_names import file_letter, networks_by_letter
from kerasgan.io.paths import user_path
from kerasgan.io.reading import reading
from kerasgan.io.stored_weights import check_storage

SHIPPED = pathlib.Path(__file__).parents[1] / "presets"
# Shipped preset -> class that its file named before. `from_preset` of that class still loads it.
FORMER_CLASSES = {"mnist_gan_digits": "MnistGAN"}
# Earlier name of a shipped preset -> its present name.
ALIASES = {
    "hdgan_drawn_birds_256": "hdgan_synthetic_birds_256",
    "drawn_birds_text": "synthetic_birds_text",
    "drawn_birds_guide": "synthetic_birds_image_encoder",
    "digit_judge": "digit_classifier",
    "bird_judge": "bird_attribute_classifier",
}
# Every preset has one of these networks: a generator, or a text encoder.
KINDS = ("G", "T")


def names(kind: str = "G") -> list[str]:
    """Returns the sorted names of the shipped presets that have a network `kind`."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{kind}.h5"))


def descriptions(class_name: str | None = None) -> dict[str, str]:
    """Describes the shipped presets of one model class. No weights are loaded.

    Args:
        class_name: Name of the class, such as `"HDGAN"`. `None` lists the presets of all classes.

    Returns:
        Dict from preset name to the first paragraph of its model card.
    """
    found = {}
    for name in sorted(name for kind in KINDS for name in names(kind)):
        path = next(SHIPPED / name / f"{kind}.h5" for kind in KINDS if name in names(kind))
        if class_name in (None, checkpoints.read_info(path)["model"]):
            paragraphs = card(name).split("\n\n")
            found[name] = " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else ""
    return found


def load(name_or_folder: str | os.PathLike, cls: type | None = None) -> keras.Model:
    """Loads the model of a preset. It is built, but not compiled.

    Args:
        name_or_folder: Name of a shipped preset, a folder that `save` wrote, or an address, see
            `kerasgan.io.hub`.
        cls: Required class of the model. `None` accepts any class.

    Raises:
        ValueError: The preset does not exist.
        CheckpointError: The preset is damaged or has another class. This is a `ValueError`.
    """
    folder = find(name_or_folder)
    networks = sorted(folder.glob("*.h5"), key=lambda path: (path.name != "G.h5", path.name))
    model = checkpoints.load_model(*networks)[0]
    former = FORMER_CLASSES.get(folder.name)
    if cls is not None and not isinstance(model, cls) and cls.__name__ != former:
        raise checkpoints.CheckpointError(
            f"the preset {name_or_folder} must be a {cls.__name__}; it is a {type(model).__name__}"
        )
    return model


def save(
    model: keras.Model,
    folder: str | os.PathLike,
    *,
    networks: Sequence[str] = ("generator",),
    card: str | None = None,
    info: dict[str, Any] | None = None,
    dtype: str = "float16",
    mantissa_bits: int | None = None,
) -> None:
    """Writes networks of a model and a model card to a folder. The folder is created if needed.

    The loaded model computes in float32, also if it was trained in mixed precision.

    Args:
        model: `AdversarialModel` with a `get_config` method.
        networks: Names of the networks to save, keys of `model.checkpoint_networks()`.
            `"generator"` suffices to sample, `"text_encoder"` to encode text.
        card: Text of `card.md`. `None` keeps an existing card, or writes a short one from `info`.
        info: Dict of JSON values: data set, size, epoch, scores and so on.
        dtype: Data type of the stored weights, `"float16"` (compressed) or `"float32"`.
        mantissa_bits: Number of mantissa bits of a float16 to keep, in 1..10, see
            `stored_weights.stored`. Fewer bits make a smaller file. `None` keeps all.
    """
    check_storage(dtype, mantissa_bits)
    folder, info = user_path(folder), dict(info or {})
    by_letter = networks_by_letter(model)
    kind = next(kind for kind in KINDS if kind in by_letter)
    letters = [file_letter(name) for name in networks]
    if kind not in letters or set(letters) - set(by_letter):
        known = list(model.checkpoint_networks())
        needed = next(name for name in known if file_letter(name) == kind)
        raise ValueError(
            f"networks must be among {', '.join(known)} and include {needed}; received "
            f"{', '.join(networks)}"
        )
    checkpoints.check_folder(folder)
    for letter in letters:
        checkpoints.save_network(
            folder / f"{letter}.h5",
            by_letter[letter],
            model=model,
            letter=letter,
            epoch=info.get("epoch", 0),
            info=info,
            dtype=dtype,
            mantissa_bits=mantissa_bits,
            full_precision=True,  # Without hardware support, bfloat16 is slow.
        )
    if card is not None or not (folder / "card.md").exists():
        facts = "".join(f"- {key}: {value}\n" for key, value in info.items())
        text = (
            card
            if card is not None
            else f"# {folder.name}\n\nA {type(model).__name__} of kerasgan.\n\n{facts}"
        )
        files.write_atomically(folder / "card.md", text)


def card(name_or_folder: str | os.PathLike) -> str:
    """Returns the text of a preset's `card.md`."""
    path = find(name_or_folder) / "card.md"
    with reading(path, "a model card must be text in UTF-8"):
        return path.read_text(encoding="utf-8")


def find(name_or_folder: str | os.PathLike) -> pathlib.Path:
    """Returns the folder of a preset, after a download if it is an address of `kerasgan.io.hub`.

    Raises:
        ValueError: There is no such preset, or it cannot be fetched.
    """
    if hub.is_uri(name_or_folder):
        return hub.fetch(str(name_or_folder))
    name_or_folder = ALIASES.get(str(name_or_folder), name_or_folder)
    for folder in (SHIPPED / str(name_or_folder), user_path(name_or_folder)):
        if any((folder / f"{kind}.h5").is_file() for kind in KINDS):
            return folder
    if (user_path(name_or_folder) / "checkpoints").is_dir():
        raise ValueError(
            "a run is not a preset: name a file of its folder `checkpoints` (..._G_epoch_n.h5), or "
            f"make a preset with zoo.preset --run={name_or_folder}; received {name_or_folder!r}"
        )
    known = ", ".join(name for kind in KINDS for name in names(kind)) or "none"
    raise ValueError(
        f"a preset must be one of {known}, a folder that contains G.h5 or T.h5, or an address "
        f"(hf://, kaggle://, https://); received {name_or_folder!r}"
    )


def is_file(name: str | os.PathLike) -> bool:
    """Returns whether a name is that of a checkpoint file, not of a preset."""
    return str(name).endswith(".h5") and not hub.is_uri(name)


def network_file(name: str | os.PathLike, letter: str = "G") -> pathlib.Path:
    """Returns the file of a network: the named checkpoint file, or the file in a preset.

    Args:
        name: Checkpoint file, or a preset, see `find`.
        letter: Letters of the network in a preset.
    """
    return user_path(name) if is_file(name) else find(name) / f"{letter}.h5"


def check_own_name(name: str) -> str:
    """Returns the name of a network that a file mentions. Raises for addresses.

    A file must not decide from where something is downloaded; only the user does.
    """
    if hub.is_uri(name):
        raise ValueError(
            "a model must not name the address of a text encoder; pass the encoder itself, "
            f"kerasgan.encoders.text_encoder(address); received {archives.shown(name)}"
        )
    return name


# === Hubs ===


def stage(
    uri: str,
    name_or_folder: str | os.PathLike,
    target: pathlib.Path,
    captions: Sequence[str] = (),
) -> str:
    """Copies what an upload contains to a folder: the preset's files, and a `README.md`.

    Args:
        uri: Address, see `hub.upload`.
        name_or_folder: Preset, see `find`.
        target: Existing folder. If it contains `samples.png`, the `README.md` shows it.
        captions: Captions of the images in `samples.png`.

    Returns:
        The text of `README.md`. It is always written anew, from `card.md` and the scores in the
        preset.

    Raises:
        CheckpointError: A file of the preset is damaged.
    """
    folder = find(name_or_folder)
    for path in sorted(folder.iterdir()):
        if archives.FILES.fullmatch(path.name) and path.is_file():
            if path.suffix == ".h5":
                checkpoints.verify(path)
            if not (target / path.name).exists():
                files.copy(path, target / path.name)
    main = next(folder / f"{kind}.h5" for kind in KINDS if (folder / f"{kind}.h5").is_file())
    info, model = checkpoints.read_info(main), load(folder)
    samples = "samples.png" if (target / "samples.png").exists() else None
    text = model_card.Card(
        uri,
        info["model"],
        model.conditioning if main.name == "G.h5" else "encoder",
        info,
        card(folder) if (folder / "card.md").exists() else f"# {folder.name}\n",
        captions,
        samples,
    ).readme()
    files.write_atomically(target / "README.md", text)
    return text


def upload_preset(uri: str, name_or_folder: str | os.PathLike, *, private: bool = False) -> str:
    """Uploads a preset to a hub, with a model card (`README.md`) that has the hub's metadata.

    Only files with the name of a preset's file are uploaded. `python -m zoo.upload` does the same
    with sample images.

    Args:
        uri: `hf://owner/name` or `kaggle://owner/model/framework/variation`.
        name_or_folder: Name of a shipped preset, or a folder written by `save_to_preset`.
        private: If `True`, a new Hugging Face repository is private.

    Returns:
        The address of the preset's page.

    Raises:
        ValueError: The preset is damaged, or the hub refuses it.

    Example:
        ```python
        model.save_to_preset("my_preset")
        upload_preset("hf://me/my_preset", "my_preset")
        ```
    """
    hub.check_target(uri)
    with tempfile.TemporaryDirectory() as folder:
        stage(uri, name_or_folder, pathlib.Path(folder))
        return hub.upload(uri, pathlib.Path(folder), private)
