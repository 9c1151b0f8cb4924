"""Presets: trained models by name. A preset is a checkpoint without its resume sibling, and a card.

A preset's folder holds one file a network, `G.h5` (see `checkpoints`: configuration, half-precision
weights, checksum), and `card.md`: what it is, what it was trained on, its scores and its licence.
Those that ship with the package are the folders of `kerasgan/io/presets/`. A text encoder's holds
`T.h5` (and `V.h5`, the image encoder's) instead.
"""

import pathlib

from kerasgan.io import checkpoints, files
from kerasgan.io.paths import user_path

SHIPPED = pathlib.Path(__file__).parents[1] / "presets"
# Former name -> present name of a shipped preset.
ALIASES = {
    "hdgan_drawn_birds_256": "hdgan_synthetic_birds_256",
    "drawn_birds_text": "synthetic_birds_text",
    "drawn_birds_guide": "synthetic_birds_image_encoder",
    "digit_judge": "digit_classifier",
    "bird_judge": "bird_attribute_classifier",
}
KINDS = (
    "G",
    "T",
)  # the network that a preset cannot be without: one that samples, or one that encodes text


def names(kind="G"):
    """The names of the presets of a kind that ship with the package, sorted."""
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


def load(name_or_folder, cls=None):
    """The model of a preset, built and with its weights, ready to `sample`; not compiled.

    Args:
        name_or_folder: a name of `names()` or `names("T")`, or a folder that `save` wrote.
        cls: the class that the model must be of; None admits any.

    Raises:
        ValueError: for an unknown preset; `CheckpointError`, one of those, for a damaged one or
            another class.
    """
    folder = find(name_or_folder)
    files = sorted(folder.glob("*.h5"), key=lambda path: (path.name != "G.h5", path.name))
    model = checkpoints.load_model(*files)[0]
    if cls is not None and not isinstance(model, cls):
        held = type(model).__name__
        raise checkpoints.CheckpointError(
            f"the preset {name_or_folder} is of a {held}; asked for a {cls.__name__}"
        )
    return model


def save(model, folder, *, letters=("G",), card=None, info=None, dtype="float16"):
    """Writes a model's networks and a card to a folder, which is made if need be.

    Args:
        model: an `AdversarialModel` that tells its configuration.
        letters: which of `model.checkpoint_networks()` to keep; `G` alone is enough to sample, `T`
            to encode text.
        card: text of `card.md`; None writes a short one from `info`, and leaves one that is there
            alone.
        info: a dictionary that JSON can hold: dataset, size, epoch, scores ...
        dtype: of the weights on the disk, `"float16"` or `"float32"`.
    """
    folder, networks, info = user_path(folder), model.checkpoint_networks(), dict(info or {})
    kind = next(kind for kind in KINDS if kind in networks)
    if kind not in letters or set(letters) - set(networks):
        raise ValueError(
            f"letters must be of {', '.join(networks)}, {kind} among them; received "
            f"{', '.join(letters)}"
        )
    checkpoints.check_folder(folder)
    for letter in letters:
        checkpoints.save_network(
            folder / f"{letter}.h5",
            networks[letter],
            model=model,
            letter=letter,
            epoch=info.get("epoch", 0),
            info=info,
            dtype=dtype,
        )
    if card is not None or not (folder / "card.md").exists():
        facts = "".join(f"- {key}: {value}\n" for key, value in info.items())
        text = (
            card
            if card is not None
            else f"# {folder.name}\n\nA {type(model).__name__} of kerasgan.\n\n{facts}"
        )
        files.write_atomically(folder / "card.md", text)


def card(name_or_folder):
    """The text of a preset's `card.md`."""
    return (find(name_or_folder) / "card.md").read_text(encoding="utf-8")


def find(name_or_folder):
    """The folder of a preset."""
    name_or_folder = ALIASES.get(str(name_or_folder), name_or_folder)
    for folder in (SHIPPED / str(name_or_folder), user_path(name_or_folder)):
        if any((folder / f"{kind}.h5").is_file() for kind in KINDS):
            return folder
    known = ", ".join(name for kind in KINDS for name in names(kind)) or "none"
    raise ValueError(
        f"a preset must be one of: {known}, or a folder that holds a G.h5; received "
        f"{name_or_folder!r}"
    )
